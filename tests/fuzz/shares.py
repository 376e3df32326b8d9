"""A run of one target in shares that need nothing of each other, so that every core has some.

A share is played from its own seed: the same whichever process plays it, and however many there
are, for every target that begins with the same inputs each time (a stick is sealed anew). Each
ends at its first finding, which is made small, kept, and told with what repeats it.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings

from shared.errors import RefusedError
from tests.fuzz.havoc import Havoc
from tests.fuzz.hostile import hostile
from tests.fuzz.running import (
    LONG_BYTES,
    Place,
    Tally,
    corpus,
    execute,
    hangs_end,
    keep,
    measure,
    watch,
)
from tests.fuzz.shrinking import shrink
from tests.fuzz.targets import TARGETS, Target

SHARE = 20_000
"""Plain inputs of one share: some seconds."""
MEASURED_EVERY, LONG_MEASURED_EVERY = 128, 8
"""Of plain inputs, which are many: one in so many is measured, of long ones one in so many."""
BATCH = 64
"""Inputs under one watch for what never ends: the watch costs as much as a short input."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some inputs for one target."""

    name: str
    start: int
    """Seed of the run."""
    number: int
    """Which of the plain ones; -1: those that hypothesis looks for."""
    executions: int


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a share."""

    share: Share
    tally: Tally
    seconds: float
    """Of processor time."""
    error: str = ""
    """What escaped the decoder; empty: nothing did."""
    kept: str = ""
    """The file that holds the input."""


def shares(names: Sequence[str], start: int, *, plain: int, searched: int) -> list[Share]:
    """Return what is to be played: for each target so many plain inputs and searched ones."""
    found = []
    for name in names:
        if searched:
            found.append(Share(name, start, -1, searched))
        for number, first in enumerate(range(0, plain, SHARE)):
            found.append(Share(name, start, number, min(SHARE, plain - first)))
    return found


def play(share: Share) -> Played:
    """Give its inputs to the target, to the end or to the first finding."""
    tally, began, last = Tally(), time.process_time(), [b""]
    explore = _search if share.number < 0 else _havoc
    try:
        with hangs_end():
            for path in corpus(share.name) if share.number <= 0 else ():
                last[0] = path.read_bytes()
                execute(TARGETS[share.name], last[0], tally)
        explore(share, tally, last)
    except Exception as error:
        trips = _trips(share.name, error)
        if not trips(last[0]):
            raise  # not the decoder's: what makes inputs has failed
        data = last[0] if share.number < 0 else shrink(last[0], trips)
        kept, told = keep(share.name, data), f"{type(error).__name__}: {error}"
        return Played(share, tally, time.process_time() - began, told, str(kept))
    return Played(share, tally, time.process_time() - began)


def _search(share: Share, tally: Tally, last: list[bytes]) -> None:
    target = TARGETS[share.name]
    profile = settings(
        max_examples=share.executions,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    def once(data: bytes) -> None:
        last[0] = data
        with hangs_end():
            execute(target, data, tally)

    seed(share.start)(profile(given(hostile(target))(once)))()


def _havoc(share: Share, tally: Tally, last: list[bytes]) -> None:
    target = TARGETS[share.name]
    dice = random.Random(f"{share.start}/{share.name}/{share.number}")
    known = [*target.seeds(), *(path.read_bytes() for path in corpus(share.name))]
    havoc, places = Havoc(target, known, dice), set[Place | None]()
    for first in range(0, share.executions, BATCH):
        with hangs_end():
            for number in range(first, min(first + BATCH, share.executions)):
                last[0] = data = havoc.next()
                every = LONG_MEASURED_EVERY if len(data) >= LONG_BYTES else MEASURED_EVERY
                look = measure if number % every == 0 else watch
                place = look(target, data, tally)
                if place not in places:
                    places.add(place)
                    havoc.keep(data)


def _trips(name: str, found: Exception) -> Callable[[bytes], bool]:
    """Return what tells whether an input makes a decoder fail in the same way."""
    target: Target = TARGETS[name]

    def trips(data: bytes) -> bool:
        try:
            with hangs_end():
                measure(target, data, Tally())
        except RefusedError:
            return False
        except Exception as error:  # noqa: BLE001  # whatever escapes is looked at
            return _sort(error) == _sort(found)
        return False

    return trips


def _sort(error: Exception) -> Mapping[str, object]:
    """Return what two findings of one defect have in common."""
    found = error.__traceback__
    assert found is not None, "it was raised"
    while found.tb_next is not None:
        found = found.tb_next
    return {"type": type(error), "line": found.tb_lineno, "file": found.tb_frame.f_code}
