"""Buckets of one channel: lowest, highest, sum and count of what it did in a minute or hour.

Owns the columns in which they are merged and replaced, and the bytes of a stored row of them.
Leaves out how readings become buckets (`coordinator.core.rollup`).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import TypeAlias

import msgspec
from msgspec.structs import astuple

from coordinator.core.retime import Sureness


class Bucket(msgspec.Struct, frozen=True):
    """What one channel did in one minute or hour."""

    at: int
    """Which of its row, from 0."""
    count: int
    """Readings, with a value or without one."""
    good: int
    """Of these, the ones of good quality."""
    used: int
    """Of these, the finite values that lowest, highest and mean are about."""
    sureness: Sureness
    """How the time of the least sure reading is known."""
    low: int | float | None
    high: int | float | None
    total: float | None
    """Sum of the values; None without one, or where the sum is no number any more."""

    @property
    def mean(self) -> float | None:
        """Return the mean of the values."""
        return None if self.total is None else self.total / self.used


Figures: TypeAlias = tuple[
    int, int, int, int, int, int | float | None, int | float | None, float | None
]
"""The fields of a bucket: some dozens are made for each block, and an object costs as much."""


_Counts: TypeAlias = int | list[int]
_Figure: TypeAlias = int | float | None


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Some buckets of one width by columns, in order; there is at least one.

    One number stands for a column of the same, None for a column twice, wherever it can: equal
    rows are equal structs, and what most sites have is computed with few lists. Stored like this.
    """

    at: _Counts
    """One number: the first of some without a gap."""
    count: _Counts
    good: _Counts | None
    """None: as `count`."""
    used: _Counts | None
    """None: as `good`."""
    sureness: _Counts
    low: list[_Figure]
    high: list[_Figure] | None
    """None: as `low`, for each had one value."""
    total: list[_Figure] | None
    """None: as `low`."""

    @classmethod
    def of(cls, buckets: Iterable[Figures]) -> "Row":
        """Return a row of buckets, which are in order."""
        at, count, good, used, sureness, low, high, total = map(list, zip(*buckets, strict=True))
        return cls(
            first_of(at),
            one_of(count),
            None if good == count else one_of(good),
            None if used == good else one_of(used),
            one_of(sureness),
            low,
            None if high == low else high,
            None if total == low else total,
        )

    @property
    def figures(self) -> Iterable[Figures]:
        """Return the fields of its buckets."""
        low, size = self.low, len(self.low)
        count = _all(self.count, size)
        good = count if self.good is None else _all(self.good, size)
        return zip(
            range(self.at, self.at + size) if isinstance(self.at, int) else self.at,
            count,
            good,
            good if self.used is None else _all(self.used, size),
            _all(self.sureness, size),
            low,
            low if self.high is None else self.high,
            low if self.total is None else self.total,
            strict=True,
        )

    def buckets(self) -> list[Bucket]:
        """Return them one by one."""
        return [
            Bucket(at, count, good, used, Sureness(sureness), *values)
            for at, count, good, used, sureness, *values in self.figures
        ]

    def merged(self, at: int) -> Figures:
        """Return one bucket for all."""
        size = len(self.low)
        count = _sum(self.count, size)
        good = count if self.good is None else _sum(self.good, size)
        used = good if self.used is None else _sum(self.used, size)
        low = _known(self.low)
        high = low if self.high is None else _known(self.high)
        total = low if self.total is None else _known(self.total)
        # Where no value was finite there is no sum, and none is missed.
        is_known = len(total) == size or len(total) == sum(bool(one[3]) for one in self.figures)
        return (
            at,
            count,
            good,
            used,
            self.sureness if isinstance(self.sureness, int) else min(self.sureness),
            min(low, default=None),
            max(high, default=None),
            finite_sum(total)[0] if is_known else None,
        )


def merged(buckets: Iterable[Bucket], at: int) -> Bucket:
    """Return one bucket for several; there is at least one."""
    at, count, good, used, sureness, *values = Row.of(map(astuple, buckets)).merged(at)
    return Bucket(at, count, good, used, Sureness(sureness), *values)


def replaced(old: Row | None, wanted: set[int] | frozenset[int], new: Row | None) -> Row | None:
    """Return a row with the wanted buckets as they are now; None: nothing is left of it."""
    if old is None:
        return new
    size, first = len(old.low), min(wanted)
    if isinstance(old.at, int):
        cut = min(max(0, first - old.at), size)
        is_newest = wanted.issuperset(range(old.at + cut, old.at + size))
    else:
        cut = bisect_left(old.at, first)
        is_newest = wanted.issuperset(old.at[cut:])
    if is_newest:  # as nearly always
        kept = old if cut == size else _cut(old, cut)
        return kept if new is None else new if kept is None else _joined(kept, new)
    others = [one for one in old.figures if one[0] not in wanted]
    more = () if new is None else new.figures
    return Row.of(sorted([*others, *more], key=itemgetter(0)))


def grown(old: Row | None, new: Row | None) -> Row | None:
    """Return a row with new buckets where there was none, or one whose readings are all in them.

    Nobody knows the readings of an old bucket any more: with more of them, among which are as low
    and as high values, a new one may have them all.
    """
    if old is None or new is None:
        return old or new
    found = {one[0]: one for one in old.figures}
    for one in new.figures:
        if one[0] not in found or _may_have(one, found[one[0]]):
            found[one[0]] = one
    return Row.of(found[at] for at in sorted(found))


def _may_have(new: Figures, old: Figures) -> bool:
    """Tell whether more readings may have those of another bucket among them."""
    if new[1] <= old[1] or new[2] < old[2] or new[3] < old[3]:
        return False
    low, high, old_low, old_high = new[5], new[6], old[5], old[6]
    if old_low is None or old_high is None:
        return True
    return low is not None and high is not None and low <= old_low and high >= old_high


def _cut(row: Row, size: int) -> Row | None:
    """Return the first buckets of a row, fewer than all; None: none."""
    if not size:
        return None
    if not _is_simple(row):
        return Row.of(islice(row.figures, size))
    low = row.low[:size]
    high = None if row.high is None else row.high[:size]
    total = None if row.total is None else row.total[:size]
    return Row(
        row.at if isinstance(row.at, int) else first_of(row.at[:size]),
        row.count if isinstance(row.count, int) else one_of(row.count[:size]),
        None,
        None,
        row.sureness if isinstance(row.sureness, int) else one_of(row.sureness[:size]),
        low,
        None if high == low else high,
        None if total == low else total,
    )


def _joined(row: Row, later: Row) -> Row:
    """Return the buckets of two rows, all of one before all of the other."""
    if not (_is_simple(row) and _is_simple(later)):
        return Row.of(chain(row.figures, later.figures))
    size, more = len(row.low), len(later.low)
    goes_on = isinstance(row.at, int) and isinstance(later.at, int) and row.at + size == later.at
    return Row(
        row.at if goes_on else [*_places(row), *_places(later)],
        _both(row.count, size, later.count, more),
        None,
        None,
        _both(row.sureness, size, later.sureness, more),
        row.low + later.low,
        _beside(row.low, row.high, later.low, later.high),
        _beside(row.low, row.total, later.low, later.total),
    )


def _is_simple(row: Row) -> bool:
    """Tell whether all its readings are good and have values."""
    return row.good is None and row.used is None


def _places(row: Row) -> Iterable[int]:
    return range(row.at, row.at + len(row.low)) if isinstance(row.at, int) else row.at


def _both(column: _Counts, size: int, later: _Counts, more: int) -> _Counts:
    if isinstance(column, int) and column == later:
        return column
    return _all(column, size) + _all(later, more)


def _beside(
    low: list[_Figure],
    column: list[_Figure] | None,
    later_low: list[_Figure],
    later: list[_Figure] | None,
) -> list[_Figure] | None:
    """Return a column of two rows, each of which may be as its lowest values are."""
    if column is None and later is None:
        return None
    return (low if column is None else column) + (later_low if later is None else later)


def pack_row(row: Row) -> bytes:
    """Return the bytes of a row; JSON keeps 64-bit integers and every bit of a float."""
    return msgspec.json.encode(row)


def unpack_row(data: bytes) -> Row:
    """Return the row that `pack_row` packed."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(Row)


def first_of(places: list[int]) -> _Counts:
    """Return places in order as a row has them."""
    return places[0] if places[-1] - places[0] == len(places) - 1 else places


def one_of(column: list[int]) -> _Counts:
    """Return a column of counts as a row has them."""
    return column[0] if column.count(column[0]) == len(column) else column


def _all(column: _Counts, size: int) -> list[int]:
    return [column] * size if isinstance(column, int) else column


def _sum(column: _Counts, size: int) -> int:
    return column * size if isinstance(column, int) else sum(column)


def _known(column: list[_Figure]) -> list[int | float]:
    return [one for one in column if one is not None]


def finite_sum(values: Sequence[int | float]) -> tuple[float | None, Sequence[int | float]]:
    """Return the sum of the finite values, and those values."""
    if not values:
        return None, values
    try:
        total = math.fsum(values)
    except (OverflowError, ValueError):  # beyond a double, or infinities of both signs
        total = math.nan
    if math.isfinite(total):
        return total, values
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        return finite_sum(finite)
    return None, values
