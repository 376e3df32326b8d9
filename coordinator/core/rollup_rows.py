"""The stored rows of one agent's rollups: as they were read, and as they will be.

An hour's minutes are a row of each channel, and so are a day's hours; a new minute changes both.
Hours that are put one after the other see each other's changes. Leaves out reading and writing them
(`coordinator.transactions.rollups`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from coordinator.core.buckets import Row, grown, pack_row, replaced, unpack_row
from coordinator.core.ports import Row as StoredRow
from coordinator.core.rollup import ALL_MINUTES, DAY_MS, HOUR_MS, HOUR_S, MINUTE_S, Buckets
from shared import limits
from shared.model.reading import Channel

Key: TypeAlias = tuple[int, int, int]
"""Number of the channel, width of a bucket in seconds, start of the row."""


class RollupRows:
    """Starts with the channels; `read` and `put` an hour, then the next."""

    def __init__(self, channels: Iterable[StoredRow] = ()) -> None:
        """`channels` are rows of (number, device, point, unit, kind), all that the agent has."""
        self._numbers: dict[Channel, int] = {Channel(*row[1:]): row[0] for row in channels}
        self._last = max(self._numbers.values(), default=0)
        self._known: dict[int, set[int]] = {}
        """Numbers of the channels that have something of an hour."""
        self._data: dict[Key, bytes | None] = {}
        self._fresh: dict[Channel, int] = {}
        self._changed: dict[Key, bytes | None] = {}

    @property
    def fresh(self) -> Mapping[Channel, int]:
        """Return the numbers of channels that had none."""
        return self._fresh

    @property
    def changed(self) -> Mapping[Key, bytes | None]:
        """Return rows that are others now; None: nothing is left of one."""
        return self._changed

    def touched(self) -> Mapping[int, Sequence[int]]:
        """Return by hour the numbers of the channels whose rows are others now, in order."""
        found: dict[int, list[int]] = {}
        for number, width_s, start_ms in sorted(self._changed):
            if width_s == MINUTE_S:  # its day's hours change with them
                found.setdefault(start_ms, []).append(number)
        return found

    def read(self, hour_ms: int, stored: Iterable[StoredRow]) -> None:
        """Take in rows of (number, minutes, hours), of all channels that have any."""
        day_ms, at = _place(hour_ms)
        known = self._known.setdefault(hour_ms, set())
        for number, minutes, hours in stored:
            if minutes is not None or _has(hours, at):
                known.add(number)
            self._data.setdefault((number, MINUTE_S, hour_ms), minutes)
            self._data.setdefault((number, HOUR_S, day_ms), hours)

    def put(
        self, hour_ms: int, wanted: frozenset[int], found: Buckets, *, is_partial: bool = False
    ) -> None:
        """Put the wanted minutes of an hour in the place of those before, and merge the hour.

        An hour whose minutes were taken away is merged from all of them or stays: some would make
        less of it (`lacks_minutes`). `is_partial`: readings of the hour may be gone, so that what
        is stored stays unless it only grows.
        """
        numbered = {self._number(channel): row for channel, row in found.items()}
        numbered.pop(0, None)
        for number in sorted(self._known.get(hour_ms, set()) | numbered.keys()):
            self._put(number, hour_ms, wanted, numbered.get(number), is_partial=is_partial)

    def _put(
        self,
        number: int,
        hour_ms: int,
        wanted: frozenset[int],
        found: Row | None,
        *,
        is_partial: bool,
    ) -> None:
        day_ms, at = _place(hour_ms)
        minutes, hours = (number, MINUTE_S, hour_ms), (number, HOUR_S, day_ms)
        old, is_whole = self._row(minutes), wanted == ALL_MINUTES
        new = grown(old, found) if is_partial else replaced(old, wanted, found)
        may_lack = old is None and (is_whole or new is not None)
        lacks = may_lack and _has(self._data.get(hours), at)
        if (new == old and not lacks) or (lacks and not is_whole):
            return
        day, whole = self._row(hours), None if new is None else Row.of([new.merged(at)])
        merged = grown(day, whole) if is_partial else replaced(day, {at}, whole)
        if lacks and merged == day:
            return
        self._set(minutes, new)
        self._set(hours, merged)

    def _number(self, channel: Channel) -> int:
        """Return under which number a channel is stored; 0: under none, there are too many."""
        number = self._numbers.get(channel, 0)
        if not number and self._last < limits.ROLLUP_CHANNELS:
            self._last = number = self._last + 1
            self._numbers[channel] = self._fresh[channel] = number
        return number

    def _row(self, key: Key) -> Row | None:
        data = self._data.get(key)
        return None if data is None else unpack_row(data)

    def _set(self, key: Key, row: Row | None) -> None:
        self._data[key] = self._changed[key] = None if row is None else pack_row(row)


def lacks_minutes(hour_ms: int, stored: Sequence[StoredRow]) -> bool:
    """Tell of rows as `read` takes them whether an hour is there whose minutes were taken away."""
    _, at = _place(hour_ms)
    return any(minutes is None and _has(hours, at) for *_, minutes, hours in stored)


def _place(hour_ms: int) -> tuple[int, int]:
    """Return the day of an hour, and which of its hours it is."""
    day_ms = hour_ms // DAY_MS * DAY_MS
    return day_ms, (hour_ms - day_ms) // HOUR_MS


def _has(data: bytes | None, at: int) -> bool:
    """Tell whether a stored row has a bucket."""
    return data is not None and any(one[0] == at for one in unpack_row(data).figures)
