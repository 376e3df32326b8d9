"""Hours of a scheduled modem: in the site's zone, through summer time, and without a clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.core.settings import WindowSettings
from agent.core.windows import check_cron, window_at
from agent.services.calendar import Calendar
from agent.services.hours import WindowHours
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import MistakeError

MADRID = ZoneInfo("Europe/Madrid")
NIGHTLY = "0 2 * * *"
BOOT = b"b" * 16


def wall(text: str) -> WallMs:
    return WallMs(int(datetime.fromisoformat(text).timestamp() * 1000))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-01-10T00:59:59+00:00", "2026-01-10T01:00:00+00:00"),
        ("2026-01-10T01:00:00+00:00", "2026-01-10T01:00:00+00:00"),
        ("2026-01-10T01:29:59+00:00", "2026-01-10T01:00:00+00:00"),
        ("2026-01-10T01:30:00+00:00", "2026-01-11T01:00:00+00:00"),
        ("2026-07-10T12:00:00+00:00", "2026-07-11T00:00:00+00:00"),
    ],
)
def test_a_window_opens_at_the_sites_own_hour_summer_and_winter(now, opens):
    window = window_at(NIGHTLY, 30, MADRID, wall(now))
    assert window.opens_ms == wall(opens)
    assert window.closes_ms - window.opens_ms == 30 * 60_000


def test_the_hour_that_summer_time_takes_away_still_has_its_window():
    window = window_at("30 2 * * *", 30, MADRID, wall("2026-03-29T00:00:00+00:00"))
    assert wall("2026-03-29T00:30:00+00:00") <= window.opens_ms <= wall("2026-03-29T02:00:00+00:00")


def test_windows_that_overlap_are_one_opening_after_the_other():
    window = window_at("*/10 * * * *", 25, UTC, wall("2026-01-10T12:34:00+00:00"))
    assert window.opens_ms == wall("2026-01-10T12:30:00+00:00")


@pytest.mark.parametrize("text", ["", "at two", "61 2 * * *", "0 2 30 2 *"])
def test_what_is_no_time_of_day_is_a_mistake_with_its_mend(text):
    with pytest.raises(MistakeError, match="is no time of day"):
        check_cron(text)


class Still:
    """A clock that shows one moment."""

    def __init__(self, text: str, state: ClockState) -> None:
        self.wall, self.state = wall(text), state

    def wall_ms(self) -> WallMs:
        return self.wall

    def mono_ms(self) -> MonoMs:
        return MonoMs(5_000)

    def now(self) -> Instant:
        return Instant(wall_ms=self.wall, mono_ms=self.mono_ms(), boot_id=BOOT, state=self.state)


class Even:
    """Entropy that spreads nothing."""

    def token(self, size: int) -> bytes:
        return bytes(size)

    def fraction(self) -> float:
        return 0.0


def hours(clock: Still) -> WindowHours:
    settings = WindowSettings(cron=NIGHTLY, minutes=30)
    return WindowHours(settings, MADRID, clock=clock, calendar=Calendar(clock), entropy=Even())


def test_a_contact_waits_for_the_line_to_open():
    clock = Still("2026-01-10T00:59:00+00:00", ClockState.SYNCED)
    assert hours(clock).reachable(MonoMs(5_000)) == 65_000
    assert hours(clock).reachable(MonoMs(65_000 + 60_000)) == 125_000, "the line is open by then"
    late = MonoMs(65_000 + 30 * 60_000)
    assert hours(clock).reachable(late) == 65_000 + 86_400_000


def test_who_does_not_know_the_date_tries_at_any_time():
    clock = Still("1970-01-01T00:00:10+00:00", ClockState.UNSYNCED)
    assert hours(clock).reachable(MonoMs(5_000)) == 5_000


def test_signed_time_is_as_good_as_a_clock():
    clock = Still("1970-01-01T00:00:10+00:00", ClockState.UNSYNCED)
    calendar = Calendar(clock)
    calendar.learn(wall("2026-01-10T00:59:00+00:00"))
    settings = WindowSettings(cron=NIGHTLY, minutes=30)
    own = WindowHours(settings, MADRID, clock=clock, calendar=calendar, entropy=Even())
    assert own.reachable(MonoMs(5_000)) == 65_000
