"""Schedules over ten zones' clock changes, gaps and steps: each nominal time at most once."""

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.clock import WallMs
from shared.model.schedule import (
    Misfire,
    Schedule,
    Window,
    gate,
    newest_nominal,
    next_nominal,
    nominal_times,
    to_fire,
)

ZONES = [
    # Half an hour; south; at midnight; 45 minutes off; a day that never was; no change at all.
    *("Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia"),
    *("UTC", "Europe/Berlin", "America/New_York", "Atlantic/Azores", "Antarctica/Troll"),
]
FIELD = st.sampled_from
CRONS = st.builds(
    "{} {} {} {} {}".format,
    FIELD(["0", "30", "*/15", "5,55", "*"]),
    FIELD(["0", "2", "3", "*", "1-3", "*/6", "23"]),
    FIELD(["*", "1", "29", "L", "*/2"]),
    FIELD(["*", "3", "10", "2-4"]),
    FIELD(["*", "SUN", "MON-FRI", "0#1"]),
)
ZONE = st.sampled_from(ZONES).map(ZoneInfo)
FIRST, LAST = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) for year in (2009, 2028))
MOMENT = st.integers(FIRST, LAST)
SCHEDULES = st.one_of(
    st.builds(Schedule, cron=CRONS),
    st.builds(Schedule, interval_s=st.integers(60, 10**6), start_ms=MOMENT),
    st.builds(Schedule, at_ms=MOMENT),
)
DAY_MS = 86_400_000


@given(SCHEDULES, ZONE, MOMENT)
def test_nominal_times_ascend_and_each_follows_from_the_one_before(schedule, zone, after):
    times = list(islice(nominal_times(schedule, after, zone), 6))
    assert all(earlier < later for earlier, later in pairwise([after, *times]))
    for earlier, later in pairwise([after, *times]):
        assert next_nominal(schedule, earlier, zone) == later


@given(SCHEDULES, ZONE, MOMENT, st.integers(0, 40 * DAY_MS), st.integers(1, 5))
def test_looking_back_finds_what_looking_forward_finds(schedule, zone, after, reach, count):
    until = after + reach
    times = []
    for nominal in islice(nominal_times(schedule, after, zone), 60_000):
        if nominal > until:
            break
        times.append(nominal)
    assert newest_nominal(schedule, after, until, zone, count=count) == times[-count:]


@given(
    st.builds(
        Schedule,
        cron=CRONS,
        misfire=st.sampled_from(Misfire),
        max_catchup=st.integers(1, 10),
    ),
    ZONE,
    MOMENT,
    st.lists(st.integers(-DAY_MS, 2 * DAY_MS), min_size=1, max_size=12),
)
def test_no_step_of_the_clock_fires_a_nominal_time_twice(schedule, zone, start, steps):
    fired, last, now = [], start, start
    for step in steps:
        now += step
        fires, following = to_fire(schedule, last, now, zone)
        assert fires == sorted(fires)
        assert all(last < nominal <= now for nominal in fires)
        assert following is None or following > max(now, last)
        fired += fires
        # What was passed over is dealt with as well.
        last = max(last, now)
    assert len(fired) == len(set(fired))


@given(CRONS, ZONE, MOMENT, st.integers(60, 2 * 86_400))
def test_a_window_is_open_exactly_between_an_opening_and_its_duration(cron, zone, now, seconds):
    window = Window(cron, seconds)
    seen = gate(window, now, zone)
    opening = newest_nominal(Schedule(cron=cron), WallMs(FIRST - 400 * DAY_MS), now, zone)
    assert seen.is_open == bool(opening and now < opening[0] + seconds * 1000)
    if seen.until_ms is not None:
        assert seen.until_ms > now
        later = gate(window, seen.until_ms, zone)
        assert later.is_open or seen.is_open
