"""What an agent may forget of work that is over, by count, bytes and age: pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared import limits
from shared.clock import WallMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidying:
    """What is to stay; whatever is beyond one of the bounds goes."""

    keep: int = limits.EXECUTIONS_KEPT
    """So many executions, the newest; never fewer than `limits.EXECUTIONS_KEPT_LEAST`."""
    max_bytes: int = 0
    """Of job specifications; 0: as many as there are."""
    older_than_s: int = 0
    """Executions whose order lapsed longer ago go; 0: age alone is no reason."""
    damaged: bool = False
    """Databases that were set aside as damaged go too."""


@dataclass(frozen=True, slots=True)
class Over:
    """An execution that is over and acknowledged."""

    number: int
    bytes: int
    not_after_ms: WallMs


def to_forget(over: Iterable[Over], wish: Tidying, *, now_ms: WallMs) -> list[Over]:
    """Return what goes of executions that are over.

    Args:
        over: the newest first; all of them acknowledged.
        wish: what is to stay.
        now_ms: today.
    """
    gone: list[Over] = []
    count = size = 0
    for one in over:
        count, size = count + 1, size + one.bytes
        if count <= limits.EXECUTIONS_KEPT_LEAST:
            continue
        old = wish.older_than_s and one.not_after_ms < now_ms - wish.older_than_s * 1000
        if count > wish.keep or (wish.max_bytes and size > wish.max_bytes) or old:
            gone.append(one)
    return gone
