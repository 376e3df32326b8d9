"""Which gateway of a site pulls a file over the link that costs, and who takes it from whom.

Pure. Everybody ranks what everybody says in the same way, so that all come to the same answer and
nobody has to be elected: whoever pulls goes on, else whose line costs nothing, else who holds most,
else the lower id. A lease is what a neighbour says and shows: one that is gone, shut or stands
still is not waited for. Leaves out asking (`agent.services.neighbourhood`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from shared import limits
from shared.clock import MonoMs


class Says(msgspec.Struct, frozen=True):
    """What a gateway tells its neighbours about one file."""

    id: str = ""
    """Hex, drawn at each start."""
    held: int = 0
    """Bytes from the file's beginning that are here."""
    able: bool = False
    """Its line is free for files: it would pull."""
    pulling: bool = False
    """It does, and bytes came lately."""
    metered: bool = False
    """Its line costs."""


@dataclass(frozen=True, slots=True)
class TakeFrom:
    """A neighbour holds more: take it there."""

    id: str
    held: int
    """How far it can be taken."""


@dataclass(frozen=True, slots=True)
class Await:
    """A neighbour pulls it, or will."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Pull:
    """It is this gateway's turn, or it is alone."""


Advice = TakeFrom | Await | Pull


@dataclass(frozen=True, slots=True)
class Grown:
    """How far a neighbour's copy was when it last grew."""

    held: int
    at_ms: MonoMs


def grown(before: Grown | None, held: int, now_ms: MonoMs) -> Grown:
    """Return when a copy grew last, as far as anybody saw."""
    return before if before is not None and held <= before.held else Grown(held, now_ms)


def advise(
    mine: Says, size: int, others: Sequence[Says], stalled: Iterable[str], *, settled_in_ms: int
) -> Advice:
    """Return what to do next about a file.

    Args:
        mine: what this gateway would say of itself.
        size: of the file.
        others: what neighbours said just now; those that broke their word are left out.
        stalled: ids of those that are not waited for any longer.
        settled_in_ms: neighbours may still be unknown for so long.
    """
    worth = min(size - mine.held, limits.SHARE_RECORD_BYTES)
    ahead = [one for one in others if min(one.held, size) - mine.held >= worth]
    if ahead:
        whole = [one for one in ahead if one.held >= size]
        # Several whole copies share the load: each gateway begins at another one.
        best = min(whole or ahead, key=lambda one: (-one.held, one.id < mine.id, one.id))
        return TakeFrom(best.id, min(best.held, size))
    if settled_in_ms > 0:
        return Await(settled_in_ms)
    gone = frozenset(stalled)
    before = [one for one in others if one.able and one.id not in gone]
    if before and (not mine.able or min(map(_rank, before)) < _rank(mine)):
        return Await(limits.SHARE_LOOK_MS)
    return Pull()


def _rank(one: Says) -> tuple[bool, bool, int, str]:
    return (not one.pulling, one.metered, -one.held, one.id)
