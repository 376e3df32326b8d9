"""Minimum, maximum, mean, last, count and increase of a point, once per interval.

Owns the windows and their arithmetic. A window is an interval of wall time that begins at a
multiple of its length, so that quarters of an hour are those of the clock on the wall; one that a
stop or a step of the clock cut short says so by its count. Leaves out what becomes of the readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.core.counter import Increase
from agent.core.ports import PollRow
from shared.clock import Instant
from shared.model.judging import Aggregate
from shared.model.reading import Quality, Value

_USABLE = (Quality.GOOD, Quality.UNCERTAIN)
_MEAN_DIGITS = 2
"""More than the point itself has: the digits behind them cost bytes and say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One point of a window."""

    index: int
    """Of the point in its poll group."""
    aggregates: tuple[Aggregate, ...]
    channels: tuple[int, ...]
    """One for each aggregate."""
    modulus: Decimal | None = None
    zero: Decimal = Decimal(0)
    """What a counter shows where it begins."""
    decimals: int | None = None
    """Digits behind the point that its values have; None where they are floating point."""


class _Sums:
    """What one point's readings of a window come to."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._increase = Increase(member.modulus, member.zero)
        self._total: int | float = 0
        self._count = 0
        self._low: int | float = 0
        self._high: int | float = 0
        self._last: int | float = 0
        self._doubt = False

    def offer(self, value: Value, quality: Quality) -> None:
        if quality is not Quality.GOOD:
            self._doubt = True
        if value is None or quality not in _USABLE:
            return
        self._increase.offer(value)
        self._low = min(self._low, value) if self._count else value
        self._high = max(self._high, value) if self._count else value
        self._last = value
        self._total += value
        self._count += 1

    def close(self) -> list[tuple[Value, Quality]]:
        """Return a cell for each aggregate, and begin anew."""
        quality = Quality.UNCERTAIN if self._doubt else Quality.GOOD
        cells: list[tuple[Value, Quality]] = []
        for aggregate in self._member.aggregates:
            if aggregate == "count":
                cells.append((self._count, Quality.GOOD))
            elif not self._count:
                cells.append((None, Quality.BAD_COMM))
            else:
                cells.append((self._value(aggregate), quality))
        self._total, self._count, self._doubt = 0, 0, False
        return cells

    def _value(self, aggregate: Aggregate) -> Value:
        if aggregate == "min":
            return self._low
        if aggregate == "max":
            return self._high
        if aggregate == "last":
            return self._last
        if aggregate == "increase":
            return self._increase.take()
        mean = self._total / self._count
        digits = self._member.decimals
        return mean if digits is None else round(mean, digits + _MEAN_DIGITS)


class Window:
    """The aggregates of those points of a group that share an interval: one row for each."""

    def __init__(self, interval_ms: int, priority: int, members: Sequence[Member]) -> None:
        self._interval_ms, self._priority = interval_ms, priority
        self._members = tuple((member, _Sums(member)) for member in members)
        self._channels = tuple(channel for member in members for channel in member.channels)
        self._number: int | None = None
        self._newest: Instant | None = None

    def offer(
        self, values: Sequence[Value], qualities: Sequence[Quality], at: Instant
    ) -> PollRow | None:
        """Take one poll's cells; return the row of the window before, if that is over."""
        number = at.wall_ms // self._interval_ms
        row = self.close() if number != self._number else None
        self._number, self._newest = number, at
        for member, sums in self._members:
            sums.offer(values[member.index], qualities[member.index])
        return row

    def close(self) -> PollRow | None:
        """Return the row of what the window holds so far, if it holds anything."""
        at, self._newest = self._newest, None
        if at is None:
            return None
        cells = [cell for _, sums in self._members for cell in sums.close()]
        return PollRow(
            channels=self._channels,
            at=at,
            values=[value for value, _ in cells],
            qualities=[quality for _, quality in cells],
            priority=self._priority,
        )
