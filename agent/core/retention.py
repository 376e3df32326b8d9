"""What gives way when readings need more room than there is: how much may stay, and thinner blocks.

Owns the arithmetic of the quota and of thinning. Thinning keeps whole rows as they were measured,
the first of each interval: a year of one value a minute says more than a month of every second.
Leaves out which block is next, and the ledger (`agent.store.retention`).
"""

from dataclasses import dataclass, replace

from shared import limits
from shared.model.reading import Block, Group

STEPS_MS = (60_000, 900_000)
"""How far apart rows stay, step by step, before anything has to go altogether."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The file system that the store is on, in bytes."""

    total: int
    free: int
    """For programs without privileges."""


def quota(max_bytes: int, used_bytes: int, space: Space | None, *, min_free_percent: int) -> int:
    """Return how many bytes of readings may be kept now.

    Args:
        max_bytes: what the operator allows.
        used_bytes: what the store uses already; it is given back first.
        space: None when nobody knows; then the operator's word alone counts.
        min_free_percent: of the file system, for everybody else on the machine.
    """
    if space is None:
        return max_bytes
    over = space.total * min_free_percent // 100 - space.free
    # Whoever fills the disk beside us does not get all of our readings.
    return min(max_bytes, max(used_bytes - over, limits.STORAGE_MIN_BYTES))


def thinned(block: Block, every_ms: int) -> Block | None:
    """Return the block with one row of each group per `every_ms`; None if it is so thin already."""
    groups = tuple(_thinned(group, every_ms) for group in block.groups)
    if all(after is before for before, after in zip(block.groups, groups, strict=True)):
        return None
    return replace(block, groups=groups)


def _thinned(group: Group, every_ms: int) -> Group:
    kept: list[int] = []
    seen: set[int] = set()
    for row, time_ms in enumerate(group.times_ms):
        interval = time_ms // every_ms
        if interval not in seen:
            seen.add(interval)
            kept.append(row)
    if len(kept) == len(group.times_ms):
        return group
    return Group(
        group.channels,
        [group.times_ms[row] for row in kept],
        [[column[row] for row in kept] for column in group.columns],
        [bytes(marks[row] for row in kept) for marks in group.qualities],
    )
