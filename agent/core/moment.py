"""The agent's best idea of now: monotonic time for waiting, a defensible UTC for expiry.

A gateway without a battery-backed clock boots in 1970, and nobody may make a job run late by
moving its clock. What a coordinator signed in answer to a fresh report is believed first. A wall
clock alone may hold something back; it ends nothing for good, for it may be years ahead.
"""

from dataclasses import dataclass

from shared.clock import ClockState, Instant, MonoMs, WallMs


@dataclass(frozen=True, slots=True)
class Anchor:
    """A signed time and the monotonic moment at which its report was answered."""

    now_ms: WallMs
    mono_ms: MonoMs
    boot_id: bytes


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, as queues and expiry see it."""

    mono_ms: MonoMs
    boot_id: bytes
    today_ms: WallMs
    """The best known UTC; never used for ordering."""
    sure: bool = True
    """Whether somebody vouches for `today_ms` on this boot."""
    proven_ms: WallMs = WallMs(0)
    """It is no earlier than this, by signed words and powered time since: no clock moves it."""

    def is_over(self, end_ms: int) -> bool:
        """Tell whether a time is proven to have passed: only then something ends for good."""
        return end_ms < self.proven_ms

    def may_be_over(self, end_ms: int) -> bool:
        """Tell whether a time has passed by whatever clock is latest: nothing begins after it."""
        return end_ms < max(self.today_ms, self.proven_ms)


def moment(at: Instant, anchor: Anchor | None, *, floor_ms: WallMs) -> Moment:
    """Return the moment of a clock reading.

    Without an anchor of this boot a confirmed wall clock is taken as it is; an unconfirmed one
    cannot be before the floor, the latest time that any verified document proved.
    """
    if anchor is not None and anchor.boot_id == at.boot_id:
        today = WallMs(anchor.now_ms + (at.mono_ms - anchor.mono_ms))
        return Moment(at.mono_ms, at.boot_id, today, proven_ms=today)
    if at.state in (ClockState.SYNCED, ClockState.HOLDOVER):
        return Moment(at.mono_ms, at.boot_id, at.wall_ms, proven_ms=floor_ms)
    today = WallMs(max(at.wall_ms, floor_ms))
    return Moment(at.mono_ms, at.boot_id, today, sure=False, proven_ms=floor_ms)
