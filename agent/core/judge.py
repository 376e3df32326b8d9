"""From one poll's readings to the rows that are kept of it.

Owns staleness, the account of what is held back, and the rows: of aggregates that are complete, of
readings that a door gives out later, of the poll itself, one for each priority. Leaves out the
filters and the windows (`deadband`, `door`, `aggregate`) and where rows go (the bus tasks).

The account: a reading that is held back counts as suppressed in the row of its own poll, so that
kill -9 keeps the account. A door may give the newest one out after all: it then counts as a reading
and one less is suppressed. Aggregates count as readings of their own, sampled and kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from agent.core.aggregate import Member, Window
from agent.core.deadband import Deadband, QualityOnly
from agent.core.door import Door
from agent.core.fate import Fate, Filter
from agent.core.ports import PointReading, PollRow
from shared.clock import Instant
from shared.ids import DeviceId
from shared.model.judging import EVERYTHING, ROUTINE, SOON, Judging
from shared.model.reading import Quality, Value

_KEPT = {Fate.KEPT, Fate.ENDED, Fate.BEGUN}
_HELD = {Fate.HELD, Fate.TURNED}
_RELEASED = {Fate.TURNED, Fate.ENDED}

Cells = dict[int, tuple[Value, Quality]]
"""Of some points of a group, by index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPoint:
    """One point of a poll group, and where its readings go."""

    name: str
    channel: int
    judging: Judging = EVERYTHING
    aggregates: tuple[int, ...] = ()
    """Channels of its aggregates, in their order."""
    decimals: int | None = None
    """Digits behind the point of its values; None where they are floating point."""
    zero: Decimal = Decimal(0)
    """Its value at a count of 0, where a counter begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One poll with its qualities settled, before anything of it is held back: what rules see."""

    device: DeviceId
    points: Sequence[str]
    values: Sequence[Value]
    qualities: Sequence[Quality]
    at: Instant


@dataclass(frozen=True, slots=True)
class _Class:
    """The points of one priority: a row of theirs always has the same channels."""

    priority: int
    indices: tuple[int, ...]
    channels: tuple[int, ...]

    def row(
        self, cells: Mapping[int, tuple[Value, Quality]], at: Instant, priority: int
    ) -> PollRow:
        """Return a row with these cells; a point that is missing was not kept."""
        mine = [cells.get(index, (None, Quality.GOOD)) for index in self.indices]
        return PollRow(
            channels=self.channels,
            at=at,
            values=[value for value, _ in mine],
            qualities=[quality for _, quality in mine],
            priority=priority,
        )


@dataclass(slots=True)
class _Still:
    """Since when a measurement has not moved."""

    value: Value = None
    since_ms: int = 0


@dataclass(slots=True)
class _Poll:
    """What became of one poll's readings."""

    now: Cells = field(default_factory=dict)
    beats: Cells = field(default_factory=dict)
    late: Cells = field(default_factory=dict)
    """Readings of the poll before that have to be kept after all."""
    breaks: Cells = field(default_factory=dict)
    """Marks that nothing is known of the time before."""
    same: Cells = field(default_factory=dict)
    """Readings that are kept if their row is there anyway."""
    held: int = 0


class Judge:
    """Judges the polls of one group, in their order."""

    def __init__(self, device: DeviceId, points: Sequence[JudgedPoint]) -> None:
        self._device, self._points = device, tuple(points)
        self._names = tuple(point.name for point in points)
        self._channels = tuple(point.channel for point in points)
        self._keeps_all = all(point.judging == EVERYTHING for point in points)
        self._classes = _classes(self._points)
        self._filters = [_filter_of(point.judging) for point in points]
        self._windows = _windows(self._points)
        self._still = [_Still() for _ in points]
        self._before: tuple[Cells, Instant] | None = None
        self._owed = 0
        """Readings given out although they were counted as suppressed, not evened out yet."""

    def judge(
        self, readings: Sequence[PointReading], at: Instant
    ) -> tuple[Judged, Sequence[PollRow]]:
        """Return the poll as rules see it, and what is recorded of it: a row at least.

        Older rows come first; the poll's own are the last ones.
        """
        values = [reading.value for reading in readings]
        qualities = [reading.quality for reading in readings]
        if self._keeps_all:
            row = PollRow(channels=self._channels, at=at, values=values, qualities=qualities)
            return self._judged(values, qualities, at), (row,)
        self._mark_stale(values, qualities, at)
        closed = (window.offer(values, qualities, at) for window in self._windows)
        rows = [row for row in closed if row]
        cells = {index: (values[index], qualities[index]) for index in range(len(values))}
        poll = self._sort(cells, at)
        self._fill_gaps(poll)
        before, self._before = self._before, (cells, at)
        rows += self._rows(poll, at, before[1] if before else at)
        return self._judged(values, qualities, at), self._accounted(rows, poll, at)

    def finish(self) -> Sequence[PollRow]:
        """Return what is left to record now that no more polls come; idempotent."""
        rows = [row for window in self._windows if (row := window.close()) is not None]
        if self._before is not None:
            cells, at = self._before
            held = [index for index, one in enumerate(self._filters) if one and one.release()]
            late = {index: cells[index] for index in held}
            rows += self._rows(_Poll(late=late), at, at)
        return rows

    def _judged(self, values: Sequence[Value], qualities: Sequence[Quality], at: Instant) -> Judged:
        return Judged(
            device=self._device, points=self._names, values=values, qualities=qualities, at=at
        )

    def _mark_stale(self, values: list[Value], qualities: list[Quality], at: Instant) -> None:
        for index, point in enumerate(self._points):
            if not (limit_ms := point.judging.stale_after_ms):
                continue
            still = self._still[index]
            if values[index] is None or values[index] != still.value:
                still.value, still.since_ms = values[index], at.mono_ms
            elif at.mono_ms - still.since_ms >= limit_ms and qualities[index] is Quality.GOOD:
                qualities[index] = Quality.STALE

    def _sort(self, cells: Cells, at: Instant) -> _Poll:
        """Ask each point's filter, and sort the readings by what becomes of them."""
        poll = _Poll()
        for index, (value, quality) in cells.items():
            one = self._filters[index]
            fate = Fate.KEPT if one is None else one.offer(value, quality, at)
            if fate in _KEPT:
                poll.now[index] = (value, quality)
            elif fate is Fate.BEAT:
                poll.beats[index] = (value, quality)
            elif fate is Fate.SAME:
                poll.same[index] = (value, quality)
            poll.held += fate in _HELD
            if fate in _RELEASED:
                assert self._before is not None, "what was held was polled"
                poll.late[index] = self._before[0][index]
            if fate is Fate.BEGUN:
                poll.breaks[index] = (None, Quality.STALE)
        return poll

    def _fill_gaps(self, poll: _Poll) -> None:
        """Keep repeated readings where a row is there anyway, hold the others back."""
        for one in self._classes:
            there = any(index in poll.now for index in one.indices)
            for index in poll.same.keys() & set(one.indices):
                if there:
                    poll.now[index] = poll.same[index]
                else:
                    poll.held += 1

    def _rows(self, poll: _Poll, at: Instant, before: Instant) -> Iterator[PollRow]:
        for one in self._classes:
            mine = set(one.indices)
            if mine & poll.late.keys():
                yield one.row(poll.late, before, one.priority)
            if mine & poll.breaks.keys():
                yield one.row(poll.breaks, at, ROUTINE)
            if one.priority == ROUTINE:
                if mine & (poll.now.keys() | poll.beats.keys()):
                    yield one.row(poll.now | poll.beats, at, ROUTINE)
                continue
            if mine & poll.now.keys():
                yield one.row(poll.now, at, one.priority)
            if mine & poll.beats.keys():
                # No news is not urgent.
                yield one.row(poll.beats, at, ROUTINE)

    def _accounted(self, rows: list[PollRow], poll: _Poll, at: Instant) -> Sequence[PollRow]:
        """Return the rows with what was held back in the last of them."""
        suppressed = poll.held - len(poll.late) - len(poll.breaks) - self._owed
        self._owed = max(0, -suppressed)
        suppressed = max(0, suppressed)
        if not rows:
            return [PollRow(channels=(), at=at, values=(), qualities=(), suppressed=suppressed)]
        return [*rows[:-1], replace(rows[-1], suppressed=suppressed)] if suppressed else rows


def _classes(points: Sequence[JudgedPoint]) -> tuple[_Class, ...]:
    found: list[_Class] = []
    for priority in sorted({point.judging.priority for point in points}):
        indices = tuple(
            index for index, point in enumerate(points) if point.judging.priority == priority
        )
        channels = tuple(points[index].channel for index in indices)
        found.append(_Class(priority, indices, channels))
    return tuple(found)


def _filter_of(judging: Judging) -> Filter | None:
    """Return the filter that a point needs; None keeps everything."""
    if judging.door is not None:
        return Door(judging.door, judging.heartbeat_ms)
    if judging.deadband is not None:
        return Deadband(judging.deadband, judging.heartbeat_ms, percent=judging.percent)
    return None if judging.raw else QualityOnly()


def _windows(points: Sequence[JudgedPoint]) -> tuple[Window, ...]:
    members: dict[tuple[int, int], list[Member]] = {}
    for index, point in enumerate(points):
        judging = point.judging
        if judging.aggregate:
            # What sums up an interval is never more urgent than soon.
            key = (judging.aggregate_interval_ms, max(judging.priority, SOON))
            member = Member(
                index=index,
                aggregates=judging.aggregate,
                channels=point.aggregates,
                modulus=judging.modulus,
                zero=point.zero,
                decimals=point.decimals,
            )
            members.setdefault(key, []).append(member)
    return tuple(Window(*key, found) for key, found in members.items())
