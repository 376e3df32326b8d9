"""True time of blocks: what an agent's clock said, put right by anchors of its boot.

A block says two times at once: of its boot's counter, which never lies, and of the wall clock,
which may say 1970. An anchor says what true time it was at some moment of that counter. So one
anchor places every block of a boot, stored before or after it. Pure: the placement of a block is
a function of its header, its arrival and the anchors alone, whatever came first.

Leaves out the walk through stored blocks (`coordinator.transactions.retime`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from shared import limits
from shared.block.codec import BlockHeader
from shared.clock import ClockState

SYNCED_ERR_MS = 1_000
"""Taken for the error of a clock that is synced and does not say how well; NTP steps above it."""
EARLIEST_MS = 1_704_067_200_000
"""2024-01-01: a clock that says less has nothing to tell the time from (no agent is older)."""
LATEST_AHEAD_MS = 86_400_000
"""A clock more than a day ahead of the block's arrival is not believed either."""
NOTICEABLE_MS = 2_000
"""Less of a better guess moves nothing: it is below what the agent itself takes for a step."""


class Sureness(IntEnum):
    """How a reading's time is known, from the least sure on."""

    UNSYNCED = 0
    """Nothing confirmed it: the clock's own word, or a place by the order of arrival."""
    HOLDOVER = 1
    """By a clock that was confirmed earlier in this boot and drifts since."""
    ANCHORED = 2
    """By the boot's own counter and true time that the agent learned in this boot."""
    SYNCED = 3
    """By a clock that a time source confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockClock:
    """What a block says of its time; `arrived_ms` is ours."""

    mono_ms: int
    wall_ms: int
    state: ClockState
    err_ms: int
    """0 when unknown."""
    arrived_ms: int


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """An anchor of one boot: true time at a moment of its counter."""

    mono_ms: int
    wall_ms: int
    err_ms: int
    is_own: bool = False
    """The agent's own clock, when it was synced; not the word of a coordinator."""

    @property
    def offset_ms(self) -> int:
        """Return true time less the counter."""
        return self.wall_ms - self.mono_ms


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a block lies in true time: its own times plus `shift_ms`."""

    shift_ms: int
    sureness: Sureness
    err_ms: int
    """Bound of the error; 0 when unknown."""


def clock_of(header: BlockHeader, arrived_ms: int) -> BlockClock:
    """Return what a block's header says of its time."""
    return BlockClock(
        mono_ms=header.mono_ms,
        wall_ms=header.wall_ms,
        state=header.clock_state,
        err_ms=header.err_ms,
        arrived_ms=arrived_ms,
    )


def place(clock: BlockClock, fixes: Sequence[Fix], latest_offset_ms: int | None) -> Placed:
    """Return where a block lies in true time.

    The smaller bound of the error wins: a clock that NTP holds within 5 ms is not moved by an
    anchor that is good to half a second, unless the two contradict each other. Without either,
    the clock's own word is taken while it is possible, and where it is not (1970), the block lies
    as late as its arrival allows: every question for that time then finds it, marked as unsure.

    Args:
        clock: of the block.
        fixes: of its boot, in any order.
        latest_offset_ms: the boot's wall less mono is at most this.
    """
    own = _own_error_ms(clock)
    if clock.state is ClockState.SYNCED:
        fixes = [fix for fix in fixes if not fix.is_own]
    fixed = anchored(clock.mono_ms, fixes)
    said = clock.wall_ms - clock.mono_ms
    if fixed is not None and (own is None or fixed[1] < own or _misled(said, own, fixed)):
        return Placed(fixed[0] - said, Sureness.ANCHORED, fixed[1])
    match clock.state:
        case ClockState.SYNCED:
            return Placed(0, Sureness.SYNCED, clock.err_ms)
        case ClockState.HOLDOVER:
            return Placed(0, Sureness.HOLDOVER, clock.err_ms)
        case _ if _is_possible(clock) or latest_offset_ms is None:
            return Placed(0, Sureness.UNSYNCED, 0)
        case _:
            return Placed(latest_offset_ms - said, Sureness.UNSYNCED, 0)


def anchored(mono_ms: int, fixes: Sequence[Fix]) -> tuple[int, int] | None:
    """Return (offset, error) at a moment of a boot's counter, None without an anchor.

    Between two anchors the offset runs from one to the other, so the drift of the counter is taken
    out and the order of the counter is kept; beyond the outermost it stays, and the error grows
    with the distance.
    """
    if not fixes:
        return None
    ordered = agreeing(fixes)
    before = [fix for fix in ordered if fix.mono_ms <= mono_ms]
    after = [fix for fix in ordered if fix.mono_ms > mono_ms]
    near = [*before[-1:], *after[:1]]
    error_ms = min(_error_at(fix, mono_ms) for fix in near)
    if len(near) == 1:
        return near[0].offset_ms, error_ms
    left, right = near
    run = (right.offset_ms - left.offset_ms) * (mono_ms - left.mono_ms)
    return left.offset_ms + run // (right.mono_ms - left.mono_ms), error_ms


def agreeing(fixes: Sequence[Fix]) -> list[Fix]:
    """Return the anchors by their counter, without those that contradict better ones.

    Counters do not run backwards and drift by `limits.DRIFT_PPM` at most, so of two anchors that
    say otherwise the one with the larger error is wrong.
    """
    kept: list[Fix] = []
    for fix in sorted(fixes, key=lambda one: (one.err_ms, one.mono_ms, one.wall_ms)):
        if all(_agree(fix, other) for other in kept):
            kept.append(fix)
    return sorted(kept)


def is_usable(mono_ms: int, wall_ms: int, err_ms: int, *, now_ms: int) -> bool:
    """Tell whether what an agent says about true time can be so at all."""
    possible = EARLIEST_MS <= wall_ms <= now_ms + LATEST_AHEAD_MS
    return possible and 0 <= mono_ms <= limits.INT_MAX and 0 <= err_ms <= limits.INT_MAX


def counted_ms(at_ms: int, now_ms: int) -> int:
    """Return what the time of a word counts as where the newest word is looked for.

    A gateway's clock tells it, and words that come in any order give the same by it. Only a clock
    that is further ahead than can be is newer than nothing: whatever comes next counts.
    """
    return at_ms if at_ms <= now_ms + LATEST_AHEAD_MS else 0


def own_fix(clock: BlockClock) -> Fix | None:
    """Return the anchor that a block of a synced clock is for the rest of its boot."""
    if clock.state is not ClockState.SYNCED or not _is_possible(clock):
        return None
    return Fix(clock.mono_ms, clock.wall_ms, clock.err_ms or SYNCED_ERR_MS, is_own=True)


def _misled(said_ms: int, own_ms: int, fixed: tuple[int, int]) -> bool:
    """Tell whether an anchor proves that a clock is wrong, however sure it says it is."""
    return abs(fixed[0] - said_ms) > own_ms + fixed[1] + NOTICEABLE_MS


def _own_error_ms(clock: BlockClock) -> int | None:
    """Return how far off the block's own clock may be, None when nobody knows."""
    match clock.state:
        case ClockState.SYNCED:
            return clock.err_ms or SYNCED_ERR_MS
        case ClockState.HOLDOVER:
            return clock.err_ms or None
        case _:
            return None


def _is_possible(clock: BlockClock) -> bool:
    return EARLIEST_MS <= clock.wall_ms <= clock.arrived_ms + LATEST_AHEAD_MS


def _error_at(fix: Fix, mono_ms: int) -> int:
    return max(1, fix.err_ms) + abs(mono_ms - fix.mono_ms) * limits.DRIFT_PPM // 1_000_000


def _agree(one: Fix, other: Fix) -> bool:
    if one.mono_ms == other.mono_ms:
        return False
    drift_ms = abs(one.mono_ms - other.mono_ms) * limits.DRIFT_PPM // 1_000_000
    apart_ms = abs(one.offset_ms - other.offset_ms)
    later, earlier = max(one, other), min(one, other)
    return apart_ms <= one.err_ms + other.err_ms + drift_ms + 1 and later.wall_ms > earlier.wall_ms
