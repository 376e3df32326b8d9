"""Which readings of a point are kept: changes beyond a band, or only those of quality.

A change of quality is always kept, and a band holds nothing back for longer than a heartbeat.
Leaves out lines (`agent.core.door`), counting what was held back and making rows
(`agent.core.judge`).
"""

from decimal import Decimal

from agent.core.fate import Fate
from shared.clock import Instant
from shared.model.reading import Quality, Value

_ROUNDING = 2.0**-50
"""Of the numbers that are compared: what is nearer to the band than this may be its very edge."""


class QualityOnly:
    """Keeps changes of quality; aggregates tell the rest."""

    def __init__(self) -> None:
        self._quality: Quality | None = None

    def offer(self, value: Value, quality: Quality, at: Instant) -> Fate:
        """Return what becomes of a reading; see `agent.core.fate.Filter`."""
        changed, self._quality = quality is not self._quality, quality
        return Fate.KEPT if changed else Fate.HELD

    def release(self) -> bool:
        """Return False: what is held stays held."""
        return False


class Deadband:
    """Keeps what differs from the last reading kept by more than a band."""

    def __init__(self, band: float, heartbeat_ms: int, *, percent: bool = False) -> None:
        self._band, self._heartbeat_ms, self._percent = band, heartbeat_ms, percent
        self._last: tuple[Value, Quality, int] | None = None

    def offer(self, value: Value, quality: Quality, at: Instant) -> Fate:
        """Return what becomes of a reading; see `agent.core.fate.Filter`."""
        if self._last is not None:
            kept, kept_quality, kept_ms = self._last
            if quality is kept_quality and self._near(kept, value):
                if not self._heartbeat_ms or at.mono_ms - kept_ms < self._heartbeat_ms:
                    return Fate.SAME if value == kept else Fate.HELD
                self._last = (value, quality, at.mono_ms)
                return Fate.BEAT
        self._last = (value, quality, at.mono_ms)
        return Fate.KEPT

    def release(self) -> bool:
        """Return False: what is held is told by what was kept."""
        return False

    def _near(self, kept: Value, value: Value) -> bool:
        if kept is None or value is None:
            return kept is value
        band = self._band * abs(kept) / 100 if self._percent else self._band
        over = abs(value - kept) - band
        if abs(over) > (abs(value) + abs(kept) + band) * _ROUNDING:
            return over < 0
        # A float stands for the shortest decimal that reads as it: from 42.1 to 42.2 it is 0.1.
        exact, first, last = (Decimal(repr(number)) for number in (self._band, kept, value))
        return abs(last - first) <= (exact * abs(first) / 100 if self._percent else exact)
