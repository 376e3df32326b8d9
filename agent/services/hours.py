"""The hours of a scheduled modem on this machine's clocks.

Owns the way from the site's wall time, in which windows are written, to the monotonic time in which
contacts are planned. Nobody can keep hours without knowing the date: until then every moment is
tried, with the link's own back-off. Which moments are windows stands in `agent.core.windows`.
"""

from datetime import tzinfo

from agent.core.settings import WindowSettings
from agent.core.windows import window_at
from agent.services.calendar import Calendar
from shared.clock import Clock, ClockState, Entropy, MonoMs, WallMs

_SPREAD_MS = 30_000
"""A fleet whose line opens at two in the night does not call in the same second."""


class WindowHours:
    """When the line is open."""

    def __init__(
        self,
        settings: WindowSettings,
        zone: tzinfo,
        *,
        clock: Clock,
        calendar: Calendar,
        entropy: Entropy,
    ) -> None:
        self._settings, self._zone = settings, zone
        self._clock, self._calendar = clock, calendar
        length_ms = settings.minutes * 60_000
        self._spread_ms = int(min(_SPREAD_MS, length_ms // 10) * entropy.fraction())

    def reachable(self, at_ms: MonoMs) -> MonoMs:
        """Return the first moment from `at_ms` on at which the line is open."""
        now = self._clock.now()
        known = self._calendar.present()
        if known is None and now.state not in {ClockState.SYNCED, ClockState.HOLDOVER}:
            return at_ms
        ahead_ms = max(0, at_ms - now.mono_ms)
        today_ms = now.wall_ms if known is None else known
        wanted_ms = WallMs(today_ms + ahead_ms)
        window = window_at(self._settings.cron, self._settings.minutes, self._zone, wanted_ms)
        if window.opens_ms + self._spread_ms <= wanted_ms:
            return at_ms
        return MonoMs(now.mono_ms + window.opens_ms + self._spread_ms - today_ms)
