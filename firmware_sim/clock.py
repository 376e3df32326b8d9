"""The simulator's times: two ticking counters of this machine, and the simulated time of day.

Owns reading the system's clocks and the speed factor. Leaves out what a signal makes of the time.
"""

import time
from typing import Protocol

from shared.clock import MonoMs, WallMs


class Ticks(Protocol):
    """The part of `shared.clock.Clock` that a simulated device needs."""

    def wall_ms(self) -> WallMs:
        """Return UTC now."""

    def mono_ms(self) -> MonoMs:
        """Return milliseconds since boot, suspend included."""


class SystemTicks:
    """This machine's clocks; CLOCK_BOOTTIME, so that two processes' ledgers compare."""

    def wall_ms(self) -> WallMs:
        """Return UTC now."""
        return WallMs(time.time_ns() // 1_000_000)

    def mono_ms(self) -> MonoMs:
        """Return milliseconds since boot, suspend included."""
        return MonoMs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)


class SimTime:
    """The time of day that the signals see; runs `speed` times as fast as this machine's."""

    def __init__(
        self, ticks: Ticks | None = None, *, speed: float = 1.0, start_ms: WallMs | None = None
    ) -> None:
        self.ticks: Ticks = ticks if ticks is not None else SystemTicks()
        self._speed = speed
        self._mono_start_ms = self.ticks.mono_ms()
        self.start_ms = self.ticks.wall_ms() if start_ms is None else start_ms
        """Simulated UTC at which this device was switched on."""

    def now_s(self) -> float:
        """Return simulated UTC in seconds; a step of the machine's wall clock does not move it."""
        passed_ms = (self.ticks.mono_ms() - self._mono_start_ms) * self._speed
        return (self.start_ms + passed_ms) / 1000.0
