"""Rollups: lowest, highest, mean and count of a channel's readings per minute and per hour.

A minute is computed from all stored readings that lie in it, never added to, and an hour from its
minutes. So computing again gives the same, blocks may come late, twice or in any order, and what
was placed elsewhere meanwhile leaves nothing behind. Sums are exact before they are rounded once
(`math.fsum`): no order of rows can change them.

Leaves out which minutes have to be computed (`coordinator.transactions.rollups`).
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias, cast

import msgspec
from msgspec.structs import replace

from coordinator.core.buckets import Figures, Row, finite_sum, first_of, one_of
from coordinator.core.retime import Sureness
from shared.block.schema import Schema
from shared.model.reading import Channel, Group, Quality, Value

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
_MINUTES = HOUR_MS // MINUTE_MS
ALL_MINUTES = frozenset(range(_MINUTES))
DAY_MS = 86_400_000
MINUTE_S = 60
HOUR_S = 3_600
ROW_MS: Mapping[int, int] = {MINUTE_S: HOUR_MS, HOUR_S: DAY_MS}
"""Width of a bucket in seconds -> what one stored row spans: an hour of minutes, a day of hours."""
_MEASURED = frozenset({Quality.GOOD, Quality.UNCERTAIN})
"""Qualities whose values are a measurement; the others are counted and take no part in the mean."""


Buckets: TypeAlias = Mapping[Channel, Row]
"""Of one hour, by channel."""


# A struct of msgspec: there is one for each minute of each channel of each block.
class _Cell(msgspec.Struct, gc=False):
    """Readings of one channel in one minute."""

    count: int
    good: int
    sureness: Sureness
    values: list[int | float]

    def add(self, column: Sequence[Value], marks: bytes) -> None:
        """Take in whatever was sampled."""
        for value, mark in zip(column, marks, strict=True):
            if value is None and mark == Quality.GOOD:
                continue  # not sampled
            self.count += 1
            self.good += mark == Quality.GOOD
            if value is not None and mark in _MEASURED:
                self.values.append(value)

    def figures(self, at: int) -> Figures:
        """Return what its bucket holds."""
        total, values = finite_sum(self.values)
        return (
            at,
            self.count,
            self.good,
            len(values),
            self.sureness,
            min(values, default=None),
            max(values, default=None),
            total,
        )


_Rows: TypeAlias = tuple[list[tuple[int, int, int]], Sequence[Value], bytes, Sureness]
"""Runs of (minute, first row, end), and the column, marks and sureness they are of."""


@dataclass(slots=True)
class Minutes:
    """Some minutes of one hour, filled block by block."""

    hour_ms: int
    wanted: Collection[int]
    """Minutes of the hour, 0 to 59."""
    _cells: dict[Channel, dict[int, _Cell]] = field(default_factory=dict)
    _plain: dict[Channel, list[_Rows]] = field(default_factory=dict)
    """Of channels that may have had one reading a minute so far."""

    def add(
        self, schema: Schema, groups: Iterable[Group], shift_ms: int, sureness: Sureness
    ) -> None:
        """Take in the readings of one block that lie in the wanted minutes.

        `groups`: rows in the order of time (`in_order`).
        """
        for group in groups:
            runs = self._runs(group.times_ms, shift_ms)
            if not runs:
                continue
            # What lies outside is not held on to until all blocks were seen.
            first, end = runs[0][1], runs[-1][2]
            runs = [(minute, start - first, stop - first) for minute, start, stop in runs]
            for index, column, marks in zip(
                group.channels, group.columns, group.qualities, strict=True
            ):
                # A schema travels unsigned: it may lack what its blocks refer to.
                if index < len(schema.channels):
                    rows = runs, column[first:end], marks[first:end], sureness
                    self._take(as_measured(schema.channels[index]), rows)

    def buckets(self) -> Buckets:
        """Return the minutes that have readings, by channel, in order."""
        found = {}
        for channel, parts in self._plain.items():
            if (row := _one_a_minute(parts)) is not None:
                found[channel] = row
            else:
                _fill(self._cells.setdefault(channel, {}), parts)
        self._plain = {}
        for channel, cells in self._cells.items():
            full = [cells[at].figures(at) for at in sorted(cells) if cells[at].count]
            if full:
                found[channel] = Row.of(full)
        return found

    def _take(self, channel: Channel, rows: _Rows) -> None:
        cells = self._cells.get(channel)
        if cells is not None:
            _fill(cells, (rows,))
            return
        parts = self._plain.setdefault(channel, [])
        parts.append(rows)
        if sum(len(column) for _, column, *_ in parts) > _MINUTES:
            cells = self._cells[channel] = {}
            _fill(cells, self._plain.pop(channel))

    def _runs(self, times: Sequence[int], shift_ms: int) -> list[tuple[int, int, int]]:
        """Return (minute, first row, end) of the wanted minutes among sorted rows."""
        runs = []
        start_ms = self.hour_ms - shift_ms
        row = bisect_left(times, start_ms)
        while row < len(times) and times[row] < start_ms + HOUR_MS:
            minute = (times[row] - start_ms) // MINUTE_MS
            end = bisect_left(times, start_ms + (minute + 1) * MINUTE_MS, row)
            if minute in self.wanted:
                runs.append((minute, row, end))
            row = end
        return runs


def _one_a_minute(parts: list[_Rows]) -> Row | None:
    """Return the buckets of a good reading a minute, which is what most sites have; None: others.

    What `_fill` would say, at a quarter of its cost.
    """
    at: list[int] = []
    sure: list[int] = []
    values: list[int | float | None] = []
    if len(parts) > 1:
        parts.sort(key=_first_minute)
    for runs, column, marks, sureness in parts:
        minutes = [minute for minute, _, _ in runs]
        if len(column) != len(minutes) or any(marks) or (at and at[-1] >= minutes[0]):
            return None
        at += minutes
        sure += [sureness] * len(minutes)
        values += column
    if set(map(type, values)) != {float}:
        return None
    if not all(map(math.isfinite, cast("list[float]", values))):
        return None
    return Row(first_of(at), 1, None, None, one_of(sure), values, None, None)


def _first_minute(rows: _Rows) -> int:
    return rows[0][0][0]


def _fill(cells: dict[int, _Cell], parts: Iterable[_Rows]) -> None:
    """Put one channel's rows into its minutes."""
    for runs, column, marks, sureness in parts:
        is_good = None not in column and marks.count(Quality.GOOD) == len(marks)
        for minute, first, end in runs:
            cell = cells.get(minute)
            if cell is None:
                cell = cells[minute] = _Cell(0, 0, sureness, [])
            if is_good:
                cell.count += end - first
                cell.good += end - first
                cell.values += cast("list[int | float]", column[first:end])
            else:
                cell.add(column[first:end], marks[first:end])
            cell.sureness = min(cell.sureness, sureness)


def as_measured(channel: Channel) -> Channel:
    """Return what is measured, however many of its readings were held back.

    Stores have it under these words, and PostgreSQL's have no NUL: a unit with one would be found
    under no number again.
    """
    if "\0" in channel.unit:
        channel = replace(channel, unit=channel.unit.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    return channel if channel.reduction is None else replace(channel, reduction=None)


def minutes_touched(groups: Sequence[Group], shift_ms: int) -> dict[int, set[int]]:
    """Return the minutes that a block has rows in, by hour.

    Where these are more hours than it has readings, for which alone a quota counts, those of its
    readings.
    """
    touched = _by_hour(chain.from_iterable(group.times_ms for group in groups), shift_ms)
    if len(touched) > 1 and len(touched) > sum(group.count for group in groups):
        return _by_hour(chain.from_iterable(map(_times_read, groups)), shift_ms)
    return touched


def _by_hour(times: Iterable[int], shift_ms: int) -> dict[int, set[int]]:
    touched: dict[int, set[int]] = {}
    for minute in {(time + shift_ms) // MINUTE_MS for time in times}:
        hour, at = divmod(minute, _MINUTES)
        touched.setdefault(hour * HOUR_MS, set()).add(at)
    return touched


def _times_read(group: Group) -> Iterable[int]:
    """Return when something was sampled."""
    for row, time in enumerate(group.times_ms):
        cells = zip(group.columns, group.qualities, strict=True)
        if any(column[row] is not None or marks[row] != Quality.GOOD for column, marks in cells):
            yield time


def in_order(group: Group) -> Group:
    """Return a group whose rows are in the order of time, as nearly every one is."""
    times = group.times_ms
    if sorted(times) == times:
        return group
    order = sorted(range(len(times)), key=times.__getitem__)
    return Group(
        group.channels,
        [times[row] for row in order],
        [[column[row] for row in order] for column in group.columns],
        [bytes(marks[row] for row in order) for marks in group.qualities],
    )
