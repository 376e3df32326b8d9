"""An agent whose clock is years ahead after a boot, or right with nobody to say so.

Nothing ends for good that is not proven to be over, nothing begins that may be, and nobody stays
awake for it.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import check_step
from agent.core.queue import plan_job
from agent.store.jobs import Planned
from shared.clock import ClockState, WallMs
from shared.ids import DeviceId
from shared.model.job import JobSpec, Targets
from shared.model.plan import Alarm, Rule
from shared.model.schedule import Schedule
from tests.agent_parts import admitted, uid
from tests.simulation.loop import START_WALL_MS
from tests.simulation.shop import PUMPS, Shop, play
from tests.simulation.test_job_engine import write
from tests.simulation.test_standing import READ

HOUR, DAY = 3600, 86_400
PUMP = DeviceId("pump-1")
NIGHTLY: dict[str, Any] = {"steps": [READ], "schedule": Schedule(interval_s=600)}
FULL: dict[str, Any] = {"steps": [], "rule": Rule("device.flow > 50", alarm=Alarm("full"))}
LATER: dict[str, Any] = {"steps": [write("a", 5)], "delay_s": 5 * HOUR}


def truth(shop: Shop) -> WallMs:
    return WallMs(START_WALL_MS + round(shop.world.loop.time() * 1000))


async def order(shop: Shop, *orders: dict[str, Any], days: int) -> None:
    """Order jobs for so many days, as a contact does, which also tells the time."""
    now = shop.calendar.learn(truth(shop))
    targets = Targets(device_selector="id=pump-1")
    specs = [JobSpec(name="a", targets=targets, **one) for one in orders]
    jobs = [(uid(number), spec) for number, spec in enumerate(specs, start=1)]
    bundle = admitted(1, *jobs, not_after=now + days * DAY * 1000)
    planned = [Planned(job, plan_job(job.spec, PUMPS, check_step)) for job in bundle.jobs]
    await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
    shop.standing.wake()
    shop.executor.wake()


async def reboot(shop: Shop, state: ClockState, *, ahead_days: int = 0, off_s: int = 0) -> None:
    """Switch the box off and on: what was proven stays, the wall clock says what it likes."""
    floor = shop.calendar.now().proven_ms
    await shop.close()
    await asyncio.sleep(off_s)
    shop.world.clock.reboot(keeps_time=True)
    shop.world.clock.step(ahead_days * DAY * 1000, state=state)
    await shop.open()
    shop.calendar.raise_floor(floor)


async def fired(shop: Shop) -> int:
    return sum(count for state, _, count, _ in await shop.tales() if state == "SUCCEEDED")


@pytest.mark.parametrize("state", [ClockState.SYNCED, ClockState.UNSYNCED])
def test_a_clock_that_is_years_ahead_ends_nothing_for_good(tmp_path: Path, state: ClockState):
    async def scenario(shop: Shop) -> None:
        await order(shop, NIGHTLY, FULL, LATER, days=365)
        await asyncio.sleep(HOUR)
        before, told = await fired(shop), shop.told
        await reboot(shop, state, ahead_days=400)
        await asyncio.sleep(7 * HOUR)
        shop.poll(PUMP, flow=99)
        await asyncio.sleep(60)
        assert await shop.executions() == {"HELD": 2, "DELIVERED": 1}
        assert (await fired(shop), shop.rung, shop.pumps[PUMP].written) == (before, 0, [])
        assert shop.told == told, "there is nothing to tell"
        shop.calendar.learn(truth(shop))
        await asyncio.sleep(10)
        assert shop.pumps[PUMP].written == [("setpoint", 5)], "at once"
        shop.poll(PUMP, flow=99)
        await asyncio.sleep(HOUR)
        assert await shop.executions() == {"HELD": 2, "SUCCEEDED": 1}
        assert shop.rung == 1
        assert await fired(shop) - before >= 6

    play(tmp_path, scenario)


def test_a_clock_that_is_set_right_by_itself_lets_everything_go_on(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, NIGHTLY, LATER, days=365)
        await asyncio.sleep(HOUR)
        before = await fired(shop)
        await reboot(shop, ClockState.UNSYNCED, ahead_days=400)
        await asyncio.sleep(7 * HOUR)
        shop.world.clock.synchronise()
        await asyncio.sleep(HOUR + 60)
        assert shop.pumps[PUMP].written == [("setpoint", 5)]
        assert await fired(shop) > before

    play(tmp_path, scenario)


def test_what_may_be_over_waits_for_word_without_keeping_anybody_awake(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, NIGHTLY, FULL, LATER, days=30)
        await asyncio.sleep(HOUR)
        before = await fired(shop)
        # It was off for a while: what is proven lags behind its clock, which is right.
        await reboot(shop, ClockState.SYNCED, off_s=300 * DAY)
        await asyncio.sleep(60)
        turns = shop.world.loop.turns
        await asyncio.sleep(20 * DAY)
        assert await shop.executions() == {"HELD": 2, "DELIVERED": 1}
        assert (await fired(shop), shop.pumps[PUMP].written) == (before, [])
        assert shop.world.loop.turns - turns < 20 * 24 * 20, "an hourly look"
        # Its clock says what the contact says: it proves so much the more.
        shop.calendar.learn(truth(shop))
        await asyncio.sleep(10)
        assert await shop.executions() == {"EXPIRED": 3}
        assert shop.pumps[PUMP].written == []

    play(tmp_path, scenario)


def test_powered_time_proves_the_end_of_what_waits_for_word(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, NIGHTLY, LATER, days=30)
        await reboot(shop, ClockState.SYNCED, off_s=300 * DAY)
        await asyncio.sleep(29 * DAY)
        assert "EXPIRED" not in await shop.executions()
        await asyncio.sleep(2 * DAY)
        assert await shop.executions() == {"EXPIRED": 2}

    play(tmp_path, scenario)


def test_a_schedule_is_done_only_when_its_last_time_is_proven_to_have_passed(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        end = WallMs(truth(shop) + 100 * DAY * 1000)
        every = Schedule(interval_s=6 * HOUR, end_ms=end)
        await order(shop, {"steps": [READ], "schedule": every}, days=3650)
        await asyncio.sleep(HOUR)
        await reboot(shop, ClockState.SYNCED, ahead_days=400)
        await asyncio.sleep(5 * HOUR)
        assert await shop.executions() == {"HELD": 1}
        before = await fired(shop)
        shop.calendar.learn(truth(shop))
        await asyncio.sleep(DAY)
        assert await fired(shop) - before == 4
        await asyncio.sleep(100 * DAY)
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario)


def test_a_schedule_that_waits_for_the_proof_of_its_end_writes_nothing_meanwhile(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        at_ms = WallMs(truth(shop) + 10 * DAY * 1000)
        await order(shop, {"steps": [READ], "schedule": Schedule(at_ms=at_ms)}, days=3650)
        await asyncio.sleep(HOUR)
        await reboot(shop, ClockState.SYNCED, off_s=20 * DAY)
        await asyncio.sleep(2 * HOUR)
        assert await shop.executions() == {"HELD": 1}

        commits = 0
        follow = shop.standing._store.follow

        async def counted(*arguments: Any, **options: Any) -> int:
            nonlocal commits
            commits += 1
            return await follow(*arguments, **options)

        shop.standing._store.follow = counted  # type: ignore[method-assign]
        await asyncio.sleep(5 * DAY)
        assert commits == 0

    play(tmp_path, scenario)


def test_a_rule_that_was_held_back_remembers_what_it_did_before(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        rare = Rule("device.flow > 50", min_interval_s=5 * DAY, alarm=Alarm("full"))
        await order(shop, {"steps": [], "rule": rare}, days=30)
        await reboot(shop, ClockState.SYNCED)
        await asyncio.sleep(10)
        shop.poll(PUMP, flow=99)
        await asyncio.sleep(10)
        assert shop.rung == 1
        shop.world.clock.step(400 * DAY * 1000, state=ClockState.SYNCED)
        await asyncio.sleep(2 * HOUR)
        shop.world.clock.step(-400 * DAY * 1000, state=ClockState.SYNCED)
        await asyncio.sleep(2 * HOUR)
        for flow in (1, 99):
            shop.poll(PUMP, flow=flow)
            await asyncio.sleep(10)
        assert shop.rung == 1

    play(tmp_path, scenario)
