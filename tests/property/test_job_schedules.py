"""Schedules on an agent whose clock steps, whose battery died and whose process dies.

Each nominal time fires at most once, over cuts after any commit, steps of a day in both directions,
boots in 1970, and the clock changes of ten zones; and schedules go on afterwards.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.actions.registry import ACTIONS
from agent.core.fired import has_fired, with_fired
from agent.core.moment import Moment
from agent.core.standing import agenda
from shared import limits
from shared.clock import ClockState, MonoMs, WallMs
from shared.model.job import JobSpec, Step, Targets
from shared.model.schedule import Misfire, Overlap, Schedule, Unsynced, next_nominal
from shared.model.spec_check import check_spec
from tests.length import examples
from tests.property.test_schedule_properties import ZONES
from tests.simulation.cuts import Mortal, quick_folder
from tests.simulation.loop import World, simulate

HOUR, DAY = 3600, 86_400
DAY_MS = DAY * 1000
CHANGES = [
    # Days around which some zone among the ten changes its clock.
    *("2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-09-06", "2026-10-04"),
    *("2026-10-25", "2026-11-01"),
]


@dataclass(frozen=True)
class Blow:
    """What happens to the agent after some hours."""

    after_h: int
    kind: str
    """``ahead``, ``back`` (a day), ``kill``, ``power``, ``1970`` or ``told`` (the truth)."""


SCHEDULES = st.one_of(
    st.builds(Schedule, interval_s=st.sampled_from([HOUR, 5 * HOUR])),
    st.builds(
        Schedule,
        cron=st.sampled_from(["0 * * * *", "30 2 * * *", "0 0 * * *", "15 1-3 * * *"]),
        zone=st.sampled_from(ZONES),
    ),
)
POLICIES = st.fixed_dictionaries(
    {
        "misfire": st.sampled_from(Misfire),
        "max_catchup": st.integers(1, 10),
        "overlap": st.sampled_from(Overlap),
        "unsynced": st.sampled_from(Unsynced),
        "jitter_s": st.sampled_from([0, 0, 300]),
        "slack_s": st.sampled_from([0, 0, 600]),
    }
)
BLOWS = st.builds(
    Blow,
    st.integers(0, 20),
    st.sampled_from(["ahead", "back", "kill", "power", "1970", "told"]),
)


class Watcher:
    """Leads a shop through its blows and sees every firing there is."""

    def __init__(self, shop: Mortal) -> None:
        self.shop = shop
        self.fired: Counter[tuple[int, int]] = Counter()
        """How often each (job, nominal time) fired, over all lives."""
        self._seen: set[tuple[int, int, int]] = set()

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, with a death at each cut."""
        until = self.shop.world.loop.time() + seconds
        while (left := until - self.shop.world.loop.time()) > 0:
            await asyncio.wait(
                (dying := asyncio.create_task(self.shop.mortal.died.wait()),),
                # Old firings are forgotten: they are looked at before that.
                timeout=min(left, 4 * HOUR),
            )
            dying.cancel()
            if self.shop.mortal.dead:
                await self.shop.cut(power=self.shop.mortal.commits % 2 == 0)
            await self.look()

    async def look(self) -> None:
        rows = await self.shop.mortal.inspect(
            lambda db: db.execute("SELECT execution, nominal_ms, number FROM fired").fetchall()
        )
        for execution, nominal, number in rows:
            if (execution, nominal, number) not in self._seen:
                self._seen.add((execution, nominal, number))
                self.fired[execution, nominal] += 1

    async def suffer(self, blow: Blow) -> None:
        clock = self.shop.world.clock
        match blow.kind:
            case "ahead" | "back" | "half back":
                by = {"ahead": DAY_MS, "back": -DAY_MS, "half back": -DAY_MS // 2}
                clock.step(by[blow.kind], state=ClockState.SYNCED)
                self.shop.standing.wake()
            case "kill" | "power":
                await self.shop.cut(power=blow.kind == "power")
            case "1970":
                floor = self.shop.calendar.now().today_ms
                clock.reboot(keeps_time=False)
                await self.shop.cut(power=False)
                self.shop.calendar.raise_floor(floor)
            case _:
                self.shop.calendar.learn(WallMs(clock.wall_ms()))


def play(
    start: str,
    schedules: list[Schedule],
    blows: list[Blow],
    cuts: set[int],
    *,
    quiet_s: int = 2 * DAY,
) -> Watcher:
    """Let schedules stand from a day on; return who saw their firings."""

    async def scenario(world: World) -> Watcher:
        begin = datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp() * 1000
        world.clock.step(round(begin) - world.clock.wall_ms(), state=ClockState.SYNCED)
        with quick_folder() as folder:
            shop = Mortal(world, folder, dict(ACTIONS))
            await shop.open()
            watcher = Watcher(shop)
            try:
                for number, schedule in enumerate(schedules, start=1):
                    await shop.order(number, _job(schedule))
                shop.mortal.cuts = shop.cuts = frozenset(cuts)
                for blow in blows:
                    await watcher.pass_by(blow.after_h * HOUR)
                    await watcher.suffer(blow)
                await watcher.pass_by(quiet_s)
            finally:
                shop.mortal.dead, shop.mortal.cuts = False, frozenset()
                try:
                    await shop.stop()
                finally:
                    await shop.file.close()
            return watcher

    return simulate(scenario, seed=1)


def _job(schedule: Schedule) -> JobSpec:
    look = Step("look", "device.read", {"points": ["flow"]})
    job = JobSpec("s", [look], Targets(device_selector="id=pump-1"), schedule=schedule)
    check_spec(job)
    return job


# A play of days and cuts, not a value: as many in every profile.
@settings(max_examples=examples(40))
@given(
    st.sampled_from(CHANGES),
    st.lists(
        st.builds(lambda schedule, policy: replace(schedule, **policy), SCHEDULES, POLICIES),
        min_size=1,
        max_size=2,
    ),
    st.lists(BLOWS, max_size=4),
    st.sets(st.integers(3, 100), max_size=4),
)
def test_each_nominal_time_fires_at_most_once(start: str, schedules: Any, blows: Any, cuts: Any):
    watcher = play(start, schedules, blows, cuts)
    assert [one for one, count in watcher.fired.items() if count > 1] == []
    unsure = any(blow.kind == "1970" for blow in blows)
    for number, schedule in enumerate(schedules, start=1):
        zone = ZoneInfo("Europe/Berlin" if schedule.zone == "site" else schedule.zone)
        fired = [nominal for execution, nominal in watcher.fired if execution == number]
        # Each of them is a time of the table.
        assert all(next_nominal(schedule, WallMs(one - 1), zone) == one for one in fired)
        # After a power cut nobody vouches for the clock, and this policy waits for who does.
        if not unsure and schedule.unsynced is not Unsynced.SKIP:
            assert fired, "two quiet days at the end: it goes on"


def test_a_minute_schedule_repeats_nothing_when_half_a_day_comes_again():
    every = Schedule(interval_s=60)
    watcher = play("2026-03-28", [every], [Blow(14, "half back")], set(), quiet_s=14 * HOUR)
    assert max(watcher.fired.values()) == 1
    assert len(watcher.fired) > limits.FIRED_REMEMBERED


def test_a_cut_after_every_commit_of_a_firing_repeats_and_loses_nothing():
    hourly = Schedule(interval_s=HOUR, misfire=Misfire.ALL, max_catchup=10)
    whole = play("2026-03-28", [hourly], [Blow(3, "kill")], set(), quiet_s=3 * HOUR)
    for commit in range(3, 30):
        cut = play("2026-03-28", [hourly], [Blow(3, "kill")], {commit}, quiet_s=3 * HOUR)
        assert cut.fired == whole.fired


def test_a_schedule_that_may_be_late_is_not_missed():
    late = Schedule(cron="30 * * * *", misfire=Misfire.SKIP, slack_s=600)
    assert len(play("2026-03-28", [late], [], set(), quiet_s=5 * HOUR).fired) >= 4


# --- what has fired, in a few numbers -------------------------------------------------------------
@given(st.lists(st.integers(0, 300), max_size=150), st.integers(1, 3))
def test_runs_know_what_has_fired_and_nothing_else(order: list[int], period: int):
    runs: tuple[tuple[int, int], ...] = ()
    for nominal in order:
        runs = with_fired(
            runs, WallMs(nominal * period), lambda at: WallMs(at + period), past_ms=301 * period
        )
        assert len(runs) <= limits.FIRED_RUNS
    if len({*order}) <= limits.FIRED_RUNS:
        known = {at for at in range(0, 301 * period, period) if has_fired(runs, at)}
        assert known == {nominal * period for nominal in order}
    assert all(has_fired(runs, nominal * period) for nominal in order)


@example(list(range(0, 300, 2)), 0)
@example(list(range(300, 0, -2)), 100)
@given(st.lists(st.integers(0, 300), max_size=150), st.integers(0, 300))
def test_no_time_to_come_is_taken_for_fired(order: list[int], past: int):
    runs: tuple[tuple[int, int], ...] = ()
    for nominal in order:
        runs = with_fired(runs, WallMs(nominal), lambda at: WallMs(at + 1), past_ms=past)
        assert len(runs) <= limits.FIRED_RUNS
        assert has_fired(runs, nominal)
    assert {at for at in range(past + 1, 301) if has_fired(runs, at)} <= {*order}


@pytest.mark.parametrize("ahead_days", [40, 150])
def test_a_clock_that_is_months_ahead_at_each_boot_silences_no_schedule(ahead_days: int):
    """Each morning the battery's clock is wrong, until the coordinator tells the time."""
    schedule, begin = Schedule(interval_s=HOUR), 1_795_000_000_000 // (HOUR * 1000) * HOUR * 1000
    last: WallMs = WallMs(begin)
    runs: tuple[tuple[int, int], ...] = ()
    for day in range(1, 301):
        today, boot = begin + day * DAY_MS, day.to_bytes(16)
        wrong = WallMs(today + ahead_days * DAY_MS)
        looks = [Moment(MonoMs(0), boot, wrong, sure=False, proven_ms=WallMs(today))]
        for hour in range(12):
            told = WallMs(today + hour * HOUR * 1000 + 60_000)
            looks.append(Moment(MonoMs(hour * HOUR * 1000), boot, told, proven_ms=told))
        fired: set[int] = set()
        for now in looks:
            todo = agenda(schedule, last, now, UTC, elapsed_due=None, runs=runs)
            last, runs = todo.last_ms, todo.runs
            fired |= {nominal for nominal in todo.fire if now.sure}
        # Of those that the wrong clock fired already, one each day comes at its time.
        assert len(fired) >= 11
