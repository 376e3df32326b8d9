"""Buckets of one channel: lowest, highest, sum and count of what it did in a minute or hour.

Owns the columns in which they are merged and replaced, and the bytes of a stored row of them.
Leaves out how readings become buckets (`coordinator.core.rollup`).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import add, itemgetter
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


class Row(msgspec.Struct, frozen=True, gc=False):
    """Some buckets of one width by columns, in order; there is at least one."""

    at: list[int]
    count: list[int]
    good: list[int]
    used: list[int]
    sureness: list[int]
    low: list[int | float | None]
    high: list[int | float | None]
    total: list[float | None]

    @classmethod
    def of(cls, buckets: Iterable[Figures]) -> "Row":
        """Return a row of buckets, which are in order."""
        return cls(*map(list, zip(*buckets, strict=True)))

    def buckets(self) -> list[Bucket]:
        """Return them one by one."""
        at, count, good, used, sureness, *values = astuple(self)
        sure = map(Sureness, sureness)
        return list(map(Bucket, at, count, good, used, sure, *values))

    def merged(self, at: int) -> Figures:
        """Return one bucket for all."""
        lows, highs, known = _known(self.low), _known(self.high), _known(self.total)
        # Where no value was finite there is no sum, and none is missed.
        is_known = len(known) == len(self.used) - self.used.count(0)
        return (
            at,
            sum(self.count),
            sum(self.good),
            sum(self.used),
            min(self.sureness),
            min(lows, default=None),
            max(highs, default=None),
            finite_sum(known)[0] if is_known else None,
        )


def merged(buckets: Iterable[Bucket], at: int) -> Bucket:
    """Return one bucket for several; there is at least one."""
    at, count, good, used, sureness, *values = Row.of(map(astuple, buckets)).merged(at)
    return Bucket(at, count, good, used, Sureness(sureness), *values)


def replaced(old: Row | None, wanted: set[int] | frozenset[int], new: Row | None) -> Row | None:
    """Return a row with the wanted buckets as they are now; None: nothing is left of it."""
    if old is None:
        return new
    cut = bisect_left(old.at, min(wanted))
    if wanted.issuperset(old.at[cut:]):  # the newest ones, as nearly always
        kept = [column[:cut] for column in astuple(old)]
        if new is not None:
            return Row(*map(add, kept, astuple(new)))
        return Row(*kept) if cut else None
    others = [one for one in _figures(old) if one[0] not in wanted]
    more = _figures(new) if new is not None else ()
    return Row.of(sorted([*others, *more], key=itemgetter(0)))


def _figures(row: Row) -> Iterable[Figures]:
    return zip(*astuple(row), strict=True)


class _Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A row as it is stored: one number for a column of the same, none for a column twice."""

    at: int | list[int]
    """One number: the first of some without a gap."""
    count: int | list[int]
    good: int | list[int] | None
    """None: as `count`."""
    used: int | list[int] | None
    """None: as `good`."""
    sureness: int | list[int]
    low: list[int | float | None]
    high: list[int | float | None] | None
    """None: as `low`, for each had one value."""
    total: list[float | None] | None
    """None: as `low`."""


def pack_row(row: Row) -> bytes:
    """Return the bytes of a row; JSON keeps 64-bit integers and every bit of a float."""
    at, low = row.at, row.low
    return msgspec.json.encode(
        _Packed(
            at[0] if at[-1] - at[0] == len(at) - 1 else at,
            _one(row.count),
            None if row.good == row.count else _one(row.good),
            None if row.used == row.good else _one(row.used),
            _one(row.sureness),
            low,
            None if row.high == low else row.high,
            None if row.total == low else row.total,
        )
    )


def unpack_row(data: bytes) -> Row:
    """Return the row that `pack_row` packed."""
    packed = _DECODER.decode(data)
    low, size = packed.low, len(packed.low)
    count = _all(packed.count, size)
    good = count if packed.good is None else _all(packed.good, size)
    return Row(
        list(range(packed.at, packed.at + size)) if isinstance(packed.at, int) else packed.at,
        count,
        good,
        good if packed.used is None else _all(packed.used, size),
        _all(packed.sureness, size),
        low,
        low if packed.high is None else packed.high,
        low if packed.total is None else packed.total,
    )


_DECODER = msgspec.json.Decoder(_Packed)


def _one(column: list[int]) -> int | list[int]:
    return column[0] if column.count(column[0]) == len(column) else column


def _all(column: int | list[int], size: int) -> list[int]:
    return [column] * size if isinstance(column, int) else column


def _known(column: list[int | float | None]) -> list[int | float]:
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
