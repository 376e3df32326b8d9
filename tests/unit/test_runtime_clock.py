"""The system's clock says how far it can be trusted, and errs on the side of doubt."""

import time
import uuid
from pathlib import Path

from shared.clock import ClockState, MonoMs, WallMs
from shared.runtime.clock import STEP_MS, SystemClock, SystemEntropy, kernel_error_ms, read_boot_id


class Source:
    """What the kernel would say about the wall clock's error."""

    def __init__(self, error_ms: int | None) -> None:
        self.error_ms = error_ms

    def __call__(self) -> int | None:
        return self.error_ms


class Judge:
    """Feed a clock with chosen times: its judgement does not depend on reading them."""

    def __init__(self, error_ms: int | None) -> None:
        self.source = Source(error_ms)
        self.clock = SystemClock(self.source)
        self.at(wall_s=0, mono_s=0)

    def at(self, *, wall_s: float, mono_s: float) -> tuple[ClockState, int]:
        return self.clock._judge(
            WallMs(int(wall_s * 1000) + 10**12), MonoMs(int(mono_s * 1000) + 10**6)
        )


def confirmed(error_ms: int) -> Judge:
    judge = Judge(error_ms)
    judge.source.error_ms = None
    return judge


def fresh() -> Judge:
    judge = Judge(1)
    judge.clock = SystemClock(judge.source)
    judge.source.error_ms = None
    judge.clock._offset_ms = 10**12 - 10**6
    return judge


def test_monotonic_time_counts_since_boot():
    clock = SystemClock()
    first, second = clock.mono_ms(), clock.mono_ms()
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert first <= second
    assert abs(second / 1000 - uptime_s) < 60


def test_wall_time_is_utc():
    assert abs(SystemClock().wall_ms() - time.time() * 1000) < 60_000


def test_one_boot_has_one_name():
    text = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert SystemClock().now().boot_id == read_boot_id() == uuid.UUID(text).bytes


def test_a_moment_is_one_reading_of_both_clocks():
    clock = SystemClock(Source(12))
    moment = clock.now()
    assert (moment.state, moment.err_ms) == (ClockState.SYNCED, 12)
    assert abs(moment.wall_ms - clock.wall_ms()) < 60_000


def test_the_kernel_vouches_with_a_bound_or_not_at_all():
    error_ms = kernel_error_ms()
    assert error_ms is None or error_ms > 0


def test_a_clock_that_nobody_confirmed_is_not_trusted():
    assert fresh().at(wall_s=5, mono_s=5) == (ClockState.UNSYNCED, 0)


def test_a_confirmed_clock_drifts_when_its_source_is_gone():
    judge = confirmed(20)
    assert judge.at(wall_s=10, mono_s=10) == (ClockState.HOLDOVER, 25)
    assert judge.at(wall_s=1000, mono_s=1000) == (ClockState.HOLDOVER, 520)


def test_a_jump_is_reported_until_a_source_confirms_the_clock_again():
    judge = confirmed(20)
    jump_s = STEP_MS / 1000 + 1
    assert judge.at(wall_s=10 + jump_s, mono_s=10) == (ClockState.STEPPED, 0)
    assert judge.at(wall_s=11 + jump_s, mono_s=11) == (ClockState.STEPPED, 0)
    judge.source.error_ms = 8
    assert judge.at(wall_s=12 + jump_s, mono_s=12) == (ClockState.SYNCED, 8)
    judge.source.error_ms = None
    assert judge.at(wall_s=13 + jump_s, mono_s=13)[0] is ClockState.HOLDOVER


def test_a_jump_back_counts_as_well():
    assert confirmed(20).at(wall_s=-3600, mono_s=10)[0] is ClockState.STEPPED


def test_slewing_is_no_jump():
    judge = confirmed(20)
    assert judge.at(wall_s=100 + STEP_MS / 1000, mono_s=100)[0] is ClockState.HOLDOVER


def test_entropy_has_the_asked_size_and_does_not_repeat():
    entropy = SystemEntropy()
    assert len(entropy.token(16)) == 16
    assert entropy.token(16) != entropy.token(16)
    fractions = [entropy.fraction() for _ in range(1000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    assert len(set(fractions)) == 1000
