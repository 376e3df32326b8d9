"""The machine's own clocks and randomness, behind `shared.clock`'s protocols.

Owns reading them and asking the kernel how good the wall clock is. Leaves out time that a
coordinator signed: that is an anchor, kept by whoever verified it.
"""

import ctypes
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from shared.clock import ClockState, Instant, MonoMs, WallMs

STEP_MS = 2_000
"""A wall clock that moves this much against the monotonic one was set, not slewed."""
DRIFT_PPM = 500
"""Fastest that Linux lets a wall clock run wrong, and what its own error bound grows by."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STA_UNSYNC = 0x40
"""`status` bit of adjtimex(2): nothing disciplines the clock."""


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); the fields after `status` only reserve their space."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),
    )


def kernel_error_ms() -> int | None:
    """Return the kernel's bound of the wall clock's error in milliseconds, None if unsynced."""
    timex = _Timex()
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None  # no such call here: nobody vouches for this clock
    if answer < 0 or timex.status & _STA_UNSYNC:
        return None
    # maxerror is in microseconds; round up, a bound of 0 would read as "unknown".
    return int(timex.maxerror) // 1000 + 1


def read_boot_id() -> bytes:
    """Return 16 bytes that name this boot; where the kernel names none, this process."""
    try:
        return uuid.UUID(_BOOT_ID.read_text("ascii").strip()).bytes
    except (OSError, ValueError):
        # Each start then counts as a boot: monotonic times of before are not compared.
        return os.urandom(16)


class SystemClock:
    """`shared.clock.Clock` on this machine; remembers whether the wall clock was ever confirmed."""

    def __init__(self, error_ms: Callable[[], int | None] = kernel_error_ms) -> None:
        self.boot_id = read_boot_id()
        self._error_ms = error_ms
        self._offset_ms = self.wall_ms() - self.mono_ms()
        self._confirmed: tuple[MonoMs, int] | None = None
        self._stepped = False

    def wall_ms(self) -> WallMs:
        """Return UTC now in milliseconds."""
        return WallMs(time.time_ns() // 1_000_000)

    def mono_ms(self) -> MonoMs:
        """Return milliseconds since boot; suspend counts (clock_gettime(2), CLOCK_BOOTTIME)."""
        return MonoMs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)

    def now(self) -> Instant:
        """Return both times with the wall clock's state.

        STEPPED lasts from a jump until a time source confirms the clock again.
        """
        wall_ms, mono_ms = self.wall_ms(), self.mono_ms()
        state, err_ms = self._judge(wall_ms, mono_ms)
        return Instant(
            wall_ms=wall_ms, mono_ms=mono_ms, boot_id=self.boot_id, state=state, err_ms=err_ms
        )

    def _judge(self, wall_ms: WallMs, mono_ms: MonoMs) -> tuple[ClockState, int]:
        offset_ms = wall_ms - mono_ms
        jumped = abs(offset_ms - self._offset_ms) > STEP_MS
        self._offset_ms = offset_ms
        error_ms = self._error_ms()
        if error_ms is not None:
            self._confirmed, self._stepped = (mono_ms, error_ms), False
            return ClockState.SYNCED, error_ms
        if jumped:
            self._confirmed, self._stepped = None, True
        if self._stepped:
            return ClockState.STEPPED, 0
        if self._confirmed is None:
            return ClockState.UNSYNCED, 0
        since_ms, error_ms = self._confirmed
        return ClockState.HOLDOVER, error_ms + (mono_ms - since_ms) * DRIFT_PPM // 1_000_000


class SystemEntropy:
    """`shared.clock.Entropy` from the kernel."""

    def token(self, size: int) -> bytes:
        """Return `size` unpredictable bytes."""
        return os.urandom(size)

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return (int.from_bytes(os.urandom(7)) >> 3) / (1 << 53)
