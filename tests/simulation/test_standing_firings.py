"""Firings of standing jobs among each other, on virtual time: what one may do to another."""

import asyncio
from pathlib import Path

import pytest

from agent.core.ports import StepOutcome
from shared import limits
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import Retry, Step
from shared.model.plan import Alarm, Batch, Rule
from shared.model.schedule import Misfire, Overlap, Schedule
from tests.agent_parts import write_job
from tests.simulation.shop import Shop, SlowAction, play
from tests.simulation.test_job_engine import look, write
from tests.simulation.test_standing import cancel, stand

EVERY_S = 600
EVERY = Schedule(interval_s=EVERY_S)
BOTH = "id in (pump-1,pump-2)"
SILENT = StepOutcome(Reason.DEVICE_SILENT)


# --- turns ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "batch",
    [Batch(canary=1), Batch(max_parallel=1, tolerate_ppm=100_000)],
    ids=["canary", "tolerate"],
)
def test_a_firing_that_calls_off_its_own_rest_is_told_once(tmp_path: Path, batch: Batch):
    async def scenario(shop: Shop) -> None:
        shop.pumps[DeviceId("pump-1")].silent = True
        await stand(shop, 1, pumps=BOTH, batch=batch, schedule=EVERY)
        await asyncio.sleep(3 * EVERY_S + 100)
        assert [tale[:3] for tale in await shop.tales()] == [("FAILED", "device_silent", 3)]

    play(tmp_path, scenario)


def test_a_canary_that_fails_holds_up_its_own_firing_alone(tmp_path: Path):
    slow = SlowAction(seconds=5, fails=[SILENT])

    async def scenario(shop: Shop) -> None:
        twice = Schedule(interval_s=EVERY_S, misfire=Misfire.ALL, max_catchup=2)
        await stand(shop, 1, pumps=BOTH, batch=Batch(canary=1), schedule=twice)
        await shop.close()
        await asyncio.sleep(2 * EVERY_S + 100)
        await shop.open()
        await asyncio.sleep(60)
        assert [device for device, _ in slow.begun] == ["pump-1", "pump-1", "pump-2"]
        assert sorted(tale[0] for tale in await shop.tales()) == ["FAILED", "SUCCEEDED"]

    play(tmp_path, scenario, slow=slow)


# --- called off while it fires --------------------------------------------------------------------
def test_what_is_called_off_at_the_very_moment_does_not_fire(tmp_path: Path):
    close = Step("close", "device.write", {"setpoint": 0})
    rules = (Rule("device.flow > 3", alarm=Alarm("high")), Rule("device.flow > 3", reset="false"))

    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, schedule=EVERY)
        await stand(shop, 2, steps=[close], schedule=EVERY)
        for number, rule in enumerate(rules, start=3):
            await stand(shop, number, steps=[close], rule=rule)
        # They are read already; the next look is at what was read.
        for number in (2, 3, 4):
            await cancel(shop, number, wake=False)
        shop.poll("pump-1", flow=4)
        await asyncio.sleep(2 * EVERY_S + 100)
        assert await shop.executions() == {"CANCELED": 3, "HELD": 1}
        assert await shop.tales() == [("SUCCEEDED", "", 2, "")]
        assert shop.pumps[DeviceId("pump-1")].written == []
        assert shop.rung == 0

    play(tmp_path, scenario)


# --- pushed out -----------------------------------------------------------------------------------
PATIENT = Retry(failed=3, initial_s=3600, max_s=3600, jitter=False)


def test_a_firing_that_is_pushed_out_between_two_attempts_does_its_last_steps(tmp_path: Path):
    slow = SlowAction(fails=[SILENT])

    async def scenario(shop: Shop) -> None:
        written = shop.pumps[DeviceId("pump-1")].written
        await stand(
            shop,
            1,
            steps=[write("open", 7), look("look")],
            final_steps=[write("close", 55)],
            retry=PATIENT,
            schedule=Schedule(interval_s=EVERY_S, overlap=Overlap.CANCEL_RUNNING),
        )
        await asyncio.sleep(2 * EVERY_S - 100)
        assert (await shop.tasks(), written) == ({"READY": 1}, [("setpoint", 7)])
        await asyncio.sleep(200)
        assert [value for _, value in written] == [7, 55, 7, 55]
        assert [tale[:2] for tale in await shop.tales()] == [
            ("CANCELED", "canceled"),
            ("SUCCEEDED", ""),
        ]

    play(tmp_path, scenario, slow=slow)


def test_a_firing_that_is_pushed_out_while_it_undoes_goes_on_undoing(tmp_path: Path):
    slow = SlowAction(fails=[SILENT])

    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[DeviceId("pump-1")]
        await stand(
            shop,
            1,
            steps=[write("open", 7), look("look")],
            compensation=[look("wait"), write("undo", 3)],
            schedule=Schedule(interval_s=EVERY_S, overlap=Overlap.CANCEL_RUNNING),
        )
        await asyncio.sleep(EVERY_S + 14)
        # A restart in the middle of it, and something urgent that takes the device first.
        slow.seconds = EVERY_S
        await stand(shop, 2, steps=[look("long", timeout_s=2 * EVERY_S)], priority=0)
        await shop.close()
        await shop.open()
        await asyncio.sleep(EVERY_S - 10)
        assert (await shop.tasks(), pump.written) == ({"RUNNING": 1, "READY": 2}, [("setpoint", 7)])
        slow.seconds = 10
        await asyncio.sleep(100)
        assert [value for _, value in pump.written] == [7, 3, 7]
        assert [tale[:2] for tale in await shop.tales()] == [
            ("ROLLED_BACK", "undone"),
            ("SUCCEEDED", ""),
        ]

    play(tmp_path, scenario, slow=slow)


# --- bounded --------------------------------------------------------------------------------------
def test_what_fires_while_nothing_may_begin_leaves_room_for_orders(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "FIRINGS_TASKS", 5)
    monkeypatch.setattr(limits, "QUEUE_TASKS", 7)
    why = "5 tasks of schedules and rules wait"

    async def scenario(shop: Shop) -> None:
        shop.locked_ms = 7 * 86_400_000
        steps = [write("set", 5)]
        # As after any contact that brought them.
        now_ms = shop.calendar.learn(shop.calendar.now().today_ms)
        for number in (1, 2):
            # The first of them ends; what it left to be done counts on.
            end_ms = (now_ms + 1000 * (EVERY_S + 60)) * (number == 1)
            often = Schedule(interval_s=EVERY_S, overlap=Overlap.ALLOW, end_ms=end_ms)
            await stand(shop, number, pumps=BOTH, steps=steps, schedule=often)
        await stand(shop, 3, steps=steps, rule=Rule("device.flow > 3", alarm=Alarm("high")))
        await asyncio.sleep(10 * EVERY_S)
        assert await shop.executions() == {"SUCCEEDED": 1, "HELD": 2}
        assert await shop.tasks() == {"READY": 4}
        assert await shop.tales() == [("CANCELED", "overlapped", 9, why)]
        for flow in (4, 1, 4):
            shop.poll("pump-1", flow=flow)
            await asyncio.sleep(EVERY_S)
        assert await shop.tasks() == {"READY": 5}
        assert shop.rung == 2, "its alarm is told all the same"
        assert ("CANCELED", "overlapped", 1, why) in await shop.tales()
        await shop.order(4, write_job(7))
        assert await shop.tasks() == {"READY": 7}
        shop.locked_ms = 0
        shop.executor.release_held()
        await asyncio.sleep(2 * EVERY_S)
        assert await shop.tasks() == {"DONE": 2}
        tales = await shop.tales()
        assert ("CANCELED", "overlapped", 12, why) in tales
        assert sum(count for state, _, count, _ in tales if state == "SUCCEEDED") == 2 + 3 + 2

    play(tmp_path, scenario)
