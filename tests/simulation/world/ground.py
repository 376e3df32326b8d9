"""What everything in one world stands on: time, chance, a folder, and what was seen to happen.

Owns the chronicle, whose digest two runs of a seed share, and the counts of faults and transitions
that prove a world was worth playing. Leaves out what lives in the world.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from shared.clock import WallMs
from tests.simulation.loop import START_WALL_MS, SeededEntropy, SimLoop, World

HOUR_S = 3_600


@dataclass
class Ground:
    """The ground of one world."""

    world: World
    folder: Path
    hits: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault struck."""
    transitions: Counter[str] = field(default_factory=Counter)
    """How often each edge of the state tables was walked, as ``task READY RUNNING``."""
    wrongs: list[str] = field(default_factory=list)
    """What was seen on the way that must not be; a checker's findings come at the end."""

    @property
    def loop(self) -> SimLoop:
        return self.world.loop

    @property
    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return self.world.loop.time()

    @property
    def true_ms(self) -> WallMs:
        """What every clock should say."""
        return WallMs(int(START_WALL_MS + self.now_s * 1000))

    def chance(self, *name: object) -> random.Random:
        """Return a source of its own for one purpose: what others draw does not change it."""
        return random.Random(f"{self.world.seed} {name!r}")

    def entropy(self, *name: object) -> SeededEntropy:
        """Return an entropy of its own for one program."""
        return SeededEntropy(self.chance("entropy", *name))

    def note(self, *what: object) -> None:
        """Write into the chronicle that something happened now."""
        self.world.note(*what)

    def hit(self, fault: str, *what: object) -> None:
        """Count a fault that struck, and write it down."""
        self.hits[fault] += 1
        self.note("fault", fault, *what)

    def wrong(self, what: str) -> None:
        """Write down something that must not be."""
        self.note("wrong", what)
        self.wrongs.append(f"at {self.now_s:.3f} s: {what}")
