"""When standing jobs fire: zones and their clock changes, gaps, steps, windows, mistakes."""

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.model.schedule import (
    Misfire,
    Schedule,
    Window,
    check_schedule,
    check_window,
    gate,
    jitter_ms,
    newest_nominal,
    next_nominal,
    nominal_times,
    to_fire,
)

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EVER, NOON = WallMs(0), WallMs(1_000)


def at(text: str, later_ms: int = 0) -> WallMs:
    return WallMs(round(datetime.fromisoformat(text).timestamp() * 1000) + later_ms)


def texts(times, zone=UTC):
    return [datetime.fromtimestamp(ms / 1000, zone).strftime("%d.%m. %H:%M") for ms in times]


def first(schedule, after, count, zone=BERLIN):
    return list(islice(nominal_times(schedule, at(after), zone), count))


# --- clock changes --------------------------------------------------------------------------------
def test_a_fixed_time_that_does_not_exist_fires_when_the_gap_ends():
    times = first(Schedule(cron="30 2 * * *"), "2026-03-28T00:00+01:00", 3)
    assert texts(times, BERLIN) == ["28.03. 02:30", "29.03. 03:00", "30.03. 02:30"]


def test_two_fixed_times_that_meet_at_the_end_of_the_gap_fire_once():
    times = first(Schedule(cron="0,30 2,3 * * *"), "2026-03-29T00:00+01:00", 3)
    assert texts(times, BERLIN) == ["29.03. 03:00", "29.03. 03:30", "30.03. 02:00"]


def test_a_fixed_time_that_comes_twice_fires_once():
    times = first(Schedule(cron="30 2 * * *"), "2026-10-24T12:00+02:00", 2)
    assert times == [at("2026-10-25T02:30+02:00"), at("2026-10-26T02:30+01:00")]


def test_asked_in_the_second_run_of_the_hour_a_fixed_time_waits_for_tomorrow():
    times = first(Schedule(cron="30 2 * * *"), "2026-10-25T02:10+01:00", 1)
    assert times == [at("2026-10-26T02:30+01:00")]


def test_a_wildcard_fires_in_both_runs_of_an_hour():
    times = first(Schedule(cron="*/30 * * * *"), "2026-10-25T01:45+02:00", 5)
    assert times[0] == at("2026-10-25T02:00+02:00")
    assert [later - earlier for earlier, later in pairwise(times)] == [HOUR_MS // 2] * 4


# --- kinds of tables ------------------------------------------------------------------------------
def test_an_interval_counts_from_its_start():
    schedule = Schedule(interval_s=600, start_ms=at("2026-01-01T00:05+00:00"))
    times = list(islice(nominal_times(schedule, EVER, BERLIN), 2))
    assert texts(times) == ["01.01. 00:05", "01.01. 00:15"]
    assert next_nominal(schedule, times[0], BERLIN) == times[1]
    assert next_nominal(schedule, WallMs(times[1] - 1), BERLIN) == times[1]


def test_a_moment_fires_once():
    schedule = Schedule(at_ms=at("2026-06-01T18:00+02:00"))
    assert next_nominal(schedule, WallMs(schedule.at_ms - 1), BERLIN) == schedule.at_ms
    assert next_nominal(schedule, WallMs(schedule.at_ms), BERLIN) is None


def test_nothing_fires_outside_of_start_and_end():
    start, end = at("2026-06-01T00:00+02:00"), at("2026-06-03T12:00+02:00")
    schedule = Schedule(cron="0 12 * * *", start_ms=start, end_ms=end)
    assert texts(nominal_times(schedule, EVER, BERLIN)) == ["01.06. 10:00", "02.06. 10:00"]


# --- what is made up ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("misfire", "count", "fired"),
    [
        (Misfire.SKIP, 1, []),
        (Misfire.ONCE, 5, ["03.01. 00:00"]),
        (Misfire.ALL, 2, ["02.01. 00:00", "03.01. 00:00"]),
        (Misfire.ALL, 10, ["01.01. 00:00", "02.01. 00:00", "03.01. 00:00"]),
    ],
)
def test_a_gap_is_made_up_as_the_policy_says(misfire, count, fired):
    schedule = Schedule(cron="0 0 * * *", misfire=misfire, max_catchup=count)
    last, now = at("2025-12-31T00:00+00:00"), at("2026-01-03T05:00+00:00")
    fires, following = to_fire(schedule, last, now, ZoneInfo("UTC"))
    assert texts(fires) == fired
    assert following == at("2026-01-04T00:00+00:00")


def test_a_time_that_just_passed_is_not_missed():
    schedule = Schedule(cron="0 0 * * *", misfire=Misfire.SKIP)
    last, now = at("2025-12-31T00:00+00:00"), at("2026-01-03T00:00+00:00", limits.ON_TIME_MS - 1)
    fires, _ = to_fire(schedule, last, now, ZoneInfo("UTC"))
    assert texts(fires) == ["03.01. 00:00"]


def test_a_step_back_fires_nothing_again_and_goes_on_after_what_fired():
    schedule = Schedule(cron="0 * * * *")
    last = at("2026-01-03T05:00+00:00")
    assert to_fire(schedule, last, WallMs(last - DAY_MS), ZoneInfo("UTC")) == ([], last + HOUR_MS)


def test_the_newest_time_is_found_without_walking_through_years():
    every_minute, century = Schedule(cron="* * * * *"), at("2090-01-01T00:00+00:00")
    assert newest_nominal(every_minute, EVER, century, BERLIN) == [century]
    over = Schedule(cron="* * * * *", end_ms=at("2026-01-01T00:00+00:00"))
    assert newest_nominal(over, EVER, century, BERLIN) == [over.end_ms - 60_000]
    rare = Schedule(cron="0 0 29 2 *")
    assert (
        texts(newest_nominal(rare, EVER, century, BERLIN, count=2), BERLIN) == ["29.02. 00:00"] * 2
    )


def test_jitter_is_fixed_for_a_firing_and_spreads_a_fleet():
    schedule = Schedule(cron="0 2 * * *", jitter_s=600)
    fleet = [jitter_ms(schedule, b"agent %d" % number, NOON) for number in range(200)]
    assert fleet[7] == jitter_ms(schedule, b"agent 7", NOON)
    assert all(0 <= each < 600_000 for each in fleet)
    assert min(fleet) < 60_000
    assert max(fleet) > 540_000
    assert jitter_ms(Schedule(cron="0 2 * * *"), b"agent", NOON) == 0


# --- windows --------------------------------------------------------------------------------------
def test_a_window_opens_and_closes_to_the_millisecond():
    window = Window("0 2 * * *", 7200)
    opens, closes = at("2026-06-01T02:00+02:00"), at("2026-06-01T04:00+02:00")
    assert gate(window, WallMs(opens - 1), BERLIN).until_ms == opens
    assert not gate(window, WallMs(opens - 1), BERLIN).is_open
    assert gate(window, opens, BERLIN).is_open
    assert gate(window, WallMs(closes - 1), BERLIN).until_ms == closes
    assert gate(window, closes, BERLIN).until_ms == opens + DAY_MS


def test_a_window_that_overlaps_itself_stays_open():
    window = Window("0 * * * *", 7200)
    now = at("2026-06-01T02:30+02:00")
    assert gate(window, now, BERLIN).until_ms == at("2026-06-01T04:00+02:00")


def test_a_window_is_as_long_on_the_days_the_clock_changes():
    window = Window("0 1 * * *", 7200)
    opens = at("2026-03-29T01:00+01:00")
    assert gate(window, WallMs(opens + 7_199_999), BERLIN).is_open
    assert not gate(window, WallMs(opens + 7_200_000), BERLIN).is_open


# --- mistakes -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("schedule", "where", "what"),
    [
        (Schedule(), "schedule", "exactly one of cron, interval_s and at"),
        (Schedule(cron="0 2 * * *", interval_s=60), "schedule", "exactly one of"),
        (Schedule(cron="61 * * * *"), "schedule.cron", "'61 * * * *' has a bad minute"),
        (Schedule(cron="0 2 * *"), "schedule.cron", "is no cron expression"),
        (Schedule(cron="0 0 2 * * *"), "schedule.cron", "is no cron expression"),
        (Schedule(cron="0 0 * FOO *"), "schedule.cron", "has a bad month"),
        (Schedule(cron="0 0 31 4 *"), "schedule.cron", "has a bad day-of-month"),
        (Schedule(cron="0 0 * * MON#6"), "schedule.cron", "has a bad day-of-week"),
        (Schedule(cron="0," * 80 + "0 2 * * *"), "schedule.cron", "is no cron expression"),
        (Schedule(cron="0 2 * * *", zone="Mars/Phobos"), "schedule.zone", "no time zone 'Mars/"),
        (Schedule(cron="0 2 * * *", zone="/etc/passwd"), "schedule.zone", "no time zone '/etc"),
        (Schedule(cron="0 2 * * *", zone=""), "schedule.zone", "no time zone ''"),
        (Schedule(interval_s=-5), "schedule.interval_s", "-5 is not in 1 to"),
        (Schedule(interval_s=60, max_catchup=0), "schedule.max_catchup", "0 is not in 1 to 10"),
        (Schedule(interval_s=60, jitter_s=-1), "schedule.jitter_s", "-1 is not in 0 to"),
        (Schedule(interval_s=60, slack_s=90_000), "schedule.slack_s", "90000 is not in 0 to"),
        (Schedule(interval_s=60, start_ms=-1), "schedule.start", "-1 is not in 0 to"),
        (Schedule(interval_s=60, start_ms=9, end_ms=9), "schedule.end", "ends before it starts"),
        (Schedule(cron="0 0 29 2 *", start_ms=1, end_ms=9), "schedule", "it never fires between"),
        (Schedule(at_ms=5, start_ms=6), "schedule", "it never fires between"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_at_its_place(schedule, where, what):
    with pytest.raises(MistakeError) as caught:
        check_schedule(schedule, where="schedule")
    assert caught.value.where == where
    assert what in caught.value.what


@pytest.mark.parametrize(
    ("window", "where"),
    [
        (Window("0 2 * *", 7200), "window.cron"),
        (Window("0 2 * * *", 59), "window.duration_s"),
        (Window("0 2 * * *", 8 * 86_400), "window.duration_s"),
        (Window("0 2 * * *", 7200, "Mars/Phobos"), "window.zone"),
    ],
)
def test_a_window_that_cannot_be_is_refused_at_its_place(window, where):
    with pytest.raises(MistakeError) as caught:
        check_window(window, where="window")
    assert caught.value.where == where


def test_the_site_zone_is_the_agents():
    check_schedule(Schedule(cron="0 2 * * *"), where="schedule", site="Australia/Lord_Howe")
    with pytest.raises(MistakeError):
        check_schedule(Schedule(cron="0 2 * * *"), where="schedule", site="Nowhere")
