"""Time as values: wall and monotonic milliseconds never mix, and say how sure they are.

Owns the types and protocols; the clocks themselves stand in `shared.runtime.clock`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, Protocol

WallMs = NewType("WallMs", int)
"""UTC milliseconds since 1970-01-01; may step, may be wrong, is never used for ordering."""

MonoMs = NewType("MonoMs", int)
"""Milliseconds since this boot, suspend included (CLOCK_BOOTTIME); meaningless on another boot."""


class ClockState(IntEnum):
    """How far a wall clock can be trusted."""

    UNSYNCED = 0
    """Nothing has confirmed the wall clock since boot; it may say 1970."""
    HOLDOVER = 1
    """It was confirmed earlier in this boot and drifts since."""
    SYNCED = 2
    """A time source confirms it now."""
    STEPPED = 3
    """It jumped by more than two seconds; readings before and after do not compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One moment, read once from a clock: both times and their quality."""

    wall_ms: WallMs
    mono_ms: MonoMs
    boot_id: bytes
    """16 random bytes that name this boot of the machine."""
    state: ClockState = ClockState.UNSYNCED
    err_ms: int = 0
    """Bound of the wall clock's error in milliseconds; 0 when unknown."""


class Clock(Protocol):
    """Where time comes from; the system's in production, a virtual one in tests."""

    def wall_ms(self) -> WallMs:
        """Return UTC now."""

    def mono_ms(self) -> MonoMs:
        """Return milliseconds since boot, suspend included."""

    def now(self) -> Instant:
        """Return both, read together, with the clock's state."""


class Entropy(Protocol):
    """Where randomness comes from; the system's in production, a seeded one in tests."""

    def token(self, size: int) -> bytes:
        """Return `size` unpredictable bytes."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
