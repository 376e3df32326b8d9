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
from typing import TypeAlias, cast

import msgspec
from msgspec.structs import replace

from coordinator.core.buckets import Figures, Row, finite_sum
from coordinator.core.retime import Sureness
from shared.block.schema import Schema
from shared.model.reading import Channel, Group, Quality, Value

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
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
        if self.count == self.good == len(self.values) == 1:
            [only] = self.values
            if only.__class__ is float and math.isfinite(only):  # a reading a minute: most sites
                return at, 1, 1, 1, self.sureness, only, only, only
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


@dataclass(slots=True)
class Minutes:
    """Some minutes of one hour, filled block by block."""

    hour_ms: int
    wanted: Collection[int]
    """Minutes of the hour, 0 to 59."""
    _cells: dict[Channel, dict[int, _Cell]] = field(default_factory=dict)

    def add(
        self, schema: Schema, groups: Iterable[Group], shift_ms: int, sureness: Sureness
    ) -> None:
        """Take in the readings of one block that lie in the wanted minutes."""
        for one in groups:
            group = _in_order(one)
            runs = self._runs(group.times_ms, shift_ms)
            for index, column, marks in zip(
                group.channels, group.columns, group.qualities, strict=True
            ):
                # A schema travels unsigned: it may lack what its blocks refer to.
                if runs and index < len(schema.channels):
                    cells = self._cells.setdefault(as_measured(schema.channels[index]), {})
                    _fill(cells, runs, column, marks, sureness)

    def buckets(self) -> Buckets:
        """Return the minutes that have readings, by channel, in order."""
        found = {}
        for channel, cells in self._cells.items():
            full = [cells[at].figures(at) for at in sorted(cells) if cells[at].count]
            if full:
                found[channel] = Row.of(full)
        return found

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


def _fill(
    cells: dict[int, _Cell],
    runs: Iterable[tuple[int, int, int]],
    column: Sequence[Value],
    marks: bytes,
    sureness: Sureness,
) -> None:
    """Put one channel's rows into its minutes."""
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
    """Return what is measured, however many of its readings were held back."""
    return channel if channel.reduction is None else replace(channel, reduction=None)


def minutes_touched(groups: Iterable[Group], shift_ms: int) -> dict[int, set[int]]:
    """Return the minutes that a block has rows in, by hour."""
    touched: dict[int, set[int]] = {}
    minutes = {(time + shift_ms) // MINUTE_MS for group in groups for time in group.times_ms}
    for minute in minutes:
        hour, at = divmod(minute, HOUR_MS // MINUTE_MS)
        touched.setdefault(hour * HOUR_MS, set()).add(at)
    return touched


def _in_order(group: Group) -> Group:
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
