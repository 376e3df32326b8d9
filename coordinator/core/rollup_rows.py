"""The stored rows of one agent's rollups: as they were read, and as they will be.

An hour's minutes are a row of each channel, and so are a day's hours; a new minute changes both.
Hours that are put one after the other see each other's changes. Leaves out reading and writing them
(`coordinator.transactions.rollups`).
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from coordinator.core.buckets import Row, pack_row, replaced, unpack_row
from coordinator.core.ports import Row as StoredRow
from coordinator.core.rollup import DAY_MS, HOUR_MS, HOUR_S, MINUTE_S, Buckets
from shared.model.reading import Channel

Key: TypeAlias = tuple[int, int, int]
"""Number of the channel, width of a bucket in seconds, start of the row."""


class RollupRows:
    """Starts with nothing; `read` and `put` an hour, then the next."""

    def __init__(self) -> None:
        self._numbers: dict[Channel, int] = {}
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

    def read(self, hour_ms: int, stored: Iterable[StoredRow]) -> None:
        """Take in rows of (number, device, point, unit, kind, minutes, hours), all channels'."""
        day_ms = hour_ms // DAY_MS * DAY_MS
        for number, device, point, unit, kind, minutes, hours in stored:
            self._numbers.setdefault(Channel(device, point, unit, kind), number)
            self._data.setdefault((number, MINUTE_S, hour_ms), minutes)
            self._data.setdefault((number, HOUR_S, day_ms), hours)

    def put(self, hour_ms: int, wanted: frozenset[int], found: Buckets) -> None:
        """Put the wanted minutes of an hour in the place of those before, and merge the hour."""
        day_ms = hour_ms // DAY_MS * DAY_MS
        at = (hour_ms - day_ms) // HOUR_MS
        for channel in found:
            if channel not in self._numbers:
                number = max(self._numbers.values(), default=0) + 1
                self._numbers[channel] = self._fresh[channel] = number
        for channel, number in self._numbers.items():
            old = self._row((number, MINUTE_S, hour_ms))
            new = replaced(old, wanted, found.get(channel))
            if new != old:
                self._set((number, MINUTE_S, hour_ms), new)
                key = number, HOUR_S, day_ms
                whole = None if new is None else Row.of([new.merged(at)])
                self._set(key, replaced(self._row(key), {at}, whole))

    def _row(self, key: Key) -> Row | None:
        data = self._data.get(key)
        return None if data is None else unpack_row(data)

    def _set(self, key: Key, row: Row | None) -> None:
        self._data[key] = self._changed[key] = None if row is None else pack_row(row)
