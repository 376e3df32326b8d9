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


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What readings may take."""

    max_bytes: int
    """The operator's word."""
    min_free_percent: int = 0
    """Of the file system, for everybody else on the machine."""
    space: Space | None = None
    """None when nobody knows; then the operator's word alone counts."""

    def bytes_for(self, used_bytes: int) -> int:
        """Return how many bytes a store that uses `used_bytes` may use now."""
        # Whoever fills the disk beside us does not get all of our readings.
        left = max(used_bytes - self.lacking_bytes, limits.STORAGE_MIN_BYTES)
        return min(self.max_bytes, left) if self.space else self.max_bytes

    @property
    def lacking_bytes(self) -> int:
        """Return how many bytes the reserve lacks; negative when there are more than enough."""
        if self.space is None:
            return 0
        return self.space.total * self.min_free_percent // 100 - self.space.free


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
