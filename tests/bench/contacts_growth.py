"""If a contact costs more where more agents are registered: two fleets side by side, by turns.

Each has a database and a coordinator of its own on the same core. Of the registered agents,
spread over all of them by chance, the same number calls; all of these have called once before.
`growth` is the processors' time of a contact (the database's server counted) in the larger fleet
by that in the smaller, the median of the turns; before each, everything is rolled up.
"""

import random
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

from firmware_sim.fleet.readings import Shape
from firmware_sim.fleet.roster import Roster
from tests.bench.contacts_house import House, Running, caught_up, coordinators, house, play
from tests.bench.contacts_people import let_in

FEW = 1_000
"""Registered in the smaller fleet; as many call in each by default."""
_TURNS = 3
_FIRST_S = 600.0
_SLOWEST_PER_S = 50.0
"""First contacts on a busy machine: 100,000 callers are given half an hour to have called once."""


class _Side:
    """One fleet at work."""

    def __init__(self, home: House, roster: Path) -> None:
        self._home, self._roster = home, roster
        self._running: Running | None = None
        self.cpu_ms: list[float] = []
        self.contacts = self.called_before = 0

    def begin(self, running: Running, callers: int) -> None:
        """Let everybody who will call do so once."""
        self._running = running
        seconds = max(_FIRST_S, callers / _SLOWEST_PER_S)
        found = play(self._roster, running.url, once=True, seconds=seconds)
        self.called_before = found["contacts"]

    def turn(self, seconds: float) -> None:
        """Let them call for a while."""
        assert self._running is not None, "it has begun"
        before_s = self._cpu_s(self._running)
        found = play(self._roster, self._running.url, seconds=seconds)
        passed_s = self._cpu_s(self._running) - before_s
        self.contacts += found["contacts"]
        self.cpu_ms.append(passed_s / max(1, found["contacts"]) * 1000)

    async def rest(self) -> None:
        """Wait until everything is rolled up."""
        await caught_up(self._home.place)

    def _cpu_s(self, running: Running) -> float:
        return running.cpu_s() + self._home.server_cpu_s()

    def figures(self) -> dict[str, Any]:
        """Return what was found."""
        return {
            "cpu_ms_per_contact": round(median(self.cpu_ms), 3),
            "contacts": self.contacts,
            "called_before": self.called_before,
        }


async def growth(
    folder: Path, database: str, registered: int, *, callers: int, seconds: float
) -> dict[str, object]:
    """Measure with `FEW` and with `registered` agents, `seconds` for each in all."""
    async with AsyncExitStack() as stack:
        sides: list[_Side] = []
        entering_s = 0.0
        for agents in (FEW, registered):
            place = folder / f"{len(sides)}"
            place.mkdir()
            home = await stack.enter_async_context(house(place, database))
            began_s = time.monotonic()
            roster = await let_in(home.place, agents, Shape())
            entering_s = time.monotonic() - began_s
            some = random.Random(0).sample(roster.seats, min(callers, agents))
            Roster(roster.heading, some).save(place / "fleet")
            side = _Side(home, place / "fleet")
            side.begin(stack.enter_context(coordinators(home)), len(some))
            await side.rest()
            sides.append(side)
        for _ in range(_TURNS):
            for side in sides:
                side.turn(seconds / _TURNS)
                # What waits to be rolled up is no part of the next turn.
                await side.rest()
    few, many = sides
    ratios = [
        beside / alone for alone, beside in zip(few.cpu_ms, many.cpu_ms, strict=True) if alone
    ]
    return {
        "growth": round(median(ratios), 3),
        "growth_of_turns": [round(one, 3) for one in ratios],
        "callers": callers,
        "registered_per_s": round(registered / entering_s),
        str(FEW): few.figures(),
        str(registered): many.figures(),
    }
