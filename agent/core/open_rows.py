"""Poll rows that are not in a block yet: numbered, bounded, and accounted for when they must go.

Owns the order and the numbers of one journal's rows, and which of them give way when the disk
refuses for so long that memory would run out. Leaves out the journal's file (`agent.store.journal`)
and the blocks they become (`agent.core.batcher`).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from agent.core.batcher import readings_in
from agent.core.ports import PollRow
from shared.clock import WallMs
from shared.errors import Reason
from shared.wire.messages import Tally

KEPT = 0.75
"""Share of the bound that stays when rows give way: the journal is not rewritten for each row."""


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One row with its number in the journal."""

    number: int
    row: PollRow
    readings: int
    size: int
    """Bytes it takes in the journal, which is also about what it takes in memory."""

    @classmethod
    def of(cls, number: int, row: PollRow, size: int) -> Self:
        """Return the row with its readings counted."""
        return cls(number, row, readings_in(row), size)

    @property
    def last(self) -> int:
        """Return its number: a row stands for itself only."""
        return self.number

    @property
    def suppressed(self) -> int:
        """Return how many readings were held back before the row was made."""
        return self.row.suppressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Rows that had to give way before any disk took them: only their account is left."""

    number: int
    """Of the first."""
    last: int
    readings: int
    suppressed: int
    first_ms: WallMs
    last_ms: WallMs
    reason: Reason

    @property
    def size(self) -> int:
        """Return 0: a gap never gives way, so it never counts towards the bound."""
        return 0


Item = OpenRow | Gap


class OpenRows:
    """The rows of one journal, oldest first, with the numbers that follow a first one."""

    def __init__(self, first: int, items: Iterable[Item] = ()) -> None:
        """Take over what a journal held; `first` is the lowest number it could hold."""
        self._items: deque[Item] = deque()
        self._next = first
        self.size = 0
        self.readings = 0
        """Of the rows that are here; a gap's are gone."""
        self._fill(items)

    def __len__(self) -> int:
        """Return how many rows and gaps are open."""
        return len(self._items)

    @property
    def next_number(self) -> int:
        """Return the number of the next row."""
        return self._next

    @property
    def first_number(self) -> int:
        """Return the lowest number that is still open, or the next one."""
        return self._items[0].number if self._items else self._next

    def items(self, *, after: int = 0) -> tuple[Item, ...]:
        """Return what is open behind the number `after`, oldest first."""
        return tuple(item for item in self._items if item.last > after)

    def add(self, row: PollRow, size: int) -> OpenRow:
        """Take one more row, which has `size` bytes in the journal."""
        item = OpenRow.of(self._next, row, size)
        self._fill((item,))
        return item

    def forget(self, last: int) -> None:
        """Let go of everything up to the number `last`: it is committed, and never given again."""
        self._next = max(self._next, last + 1)
        while self._items and self._items[0].last <= last:
            item = self._items.popleft()
            if isinstance(item, OpenRow):
                self.size -= item.size
                self.readings -= item.readings

    def shed(self, bound: int, *, after: int, reason: Reason) -> bool:
        """Let the oldest rows behind `after` give way until the rest is well below `bound` bytes.

        Rows up to `after` are on their way to the disk. Returns whether any row gave way.
        """
        if self.size <= bound:
            return False
        kept = [item for item in self._items if item.last <= after]
        rest = deque(item for item in self._items if item.last > after)
        gap: Gap | None = None
        size = self.size
        while rest and size > bound * KEPT:
            item = rest.popleft()
            size -= item.size
            gap = _widened(gap, item, reason)
        if gap is None:
            return False
        self._items.clear()
        self.size = self.readings = 0
        self._fill((*kept, gap, *rest))
        return True

    def _fill(self, items: Iterable[Item]) -> None:
        for item in items:
            self._items.append(item)
            self._next = item.last + 1
            if isinstance(item, OpenRow):
                self.size += item.size
                self.readings += item.readings


def with_open(committed: Tally, items: Iterable[Item], *, acked: int, refused: int) -> Tally:
    """Return the account with what is not committed yet.

    Args:
        committed: as of the last commit.
        items: rows and gaps since then.
        acked: readings in blocks whose acknowledgement is not written down yet.
        refused: readings in blocks whose rejection is not.
    """
    kept = gone = held_back = 0
    for item in items:
        held_back += item.suppressed
        if isinstance(item, Gap):
            gone += item.readings
        else:
            kept += item.readings
    return Tally(
        sampled=committed.sampled + kept + gone + held_back,
        suppressed=committed.suppressed + held_back,
        delivered=committed.delivered + acked,
        stored=committed.stored + kept - acked - refused,
        lost=committed.lost + gone + refused,
    )


def _widened(gap: Gap | None, item: Item, reason: Reason) -> Gap:
    """Return the gap with one more item in it."""
    if isinstance(item, Gap):
        more = item
    else:
        at = item.row.at.wall_ms
        more = Gap(
            number=item.number,
            last=item.last,
            readings=item.readings,
            suppressed=item.suppressed,
            first_ms=at,
            last_ms=at,
            reason=reason,
        )
    if gap is None:
        return more
    return replace(
        gap,
        last=more.last,
        readings=gap.readings + more.readings,
        suppressed=gap.suppressed + more.suppressed,
        first_ms=min(gap.first_ms, more.first_ms),
        last_ms=max(gap.last_ms, more.last_ms),
    )
