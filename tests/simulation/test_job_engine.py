"""Whole jobs on virtual time: gates, conditions, checks that soak, safe points, deadlines."""

import asyncio
from pathlib import Path
from typing import Any

from agent.services.gates import Gates
from agent.services.site_lock import SiteLock
from agent.store.jobs import Planned
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Step
from shared.model.plan import PostCheck
from shared.model.schedule import Window
from shared.model.spec_check import check_spec
from tests.agent_parts import admitted, read_job, uid
from tests.simulation.shop import Shop, SlowAction, play

PUMP = DeviceId("pump-1")
HOUR = 3600


def write(name: str, value: int, **more: Any) -> Step:
    return Step(name, "device.write", {"setpoint": value}, **more)


def look(name: str = "look", **more: Any) -> Step:
    return Step(name, "device.read", {"points": ["flow"]}, **more)


async def order(
    shop: Shop, number: int, *steps: Step, not_after: int = 10**14, **spec: Any
) -> None:
    """Order a job for the first pump."""
    job = JobSpec(name="a", steps=list(steps), **spec)
    check_spec(job)
    shop.seq += 1
    bundle = admitted(shop.seq, (uid(number), job), not_after=not_after)
    await shop.jobs.admit(
        bundle, [Planned(one, (PUMP,)) for one in bundle.jobs], now=shop.calendar.now()
    )
    shop.executor.wake()


async def cancel(shop: Shop, number: int) -> None:
    from dataclasses import replace

    shop.seq += 1
    bundle = replace(admitted(shop.seq), cancels=(uid(number),))
    await shop.jobs.admit(bundle, [], now=shop.calendar.now())
    shop.executor.wake()


# --- gates ----------------------------------------------------------------------------------------
def test_work_waits_for_its_window_and_begins_when_it_opens(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        zone_noon = Window("0 12 * * *", HOUR)
        await order(shop, 1, write("a", 7), window=zone_noon)
        await asyncio.sleep(1)
        held = shop.calendar.now().today_ms
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(25 * HOUR)
        assert pump.written == [("setpoint", 7)]
        assert await shop.executions() == {"SUCCEEDED": 1}
        assert held > 0

    play(tmp_path, scenario)


def test_work_waits_until_its_preconditions_hold(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(shop, 1, write("a", 7), preconditions=["battery > 40", "device.flow < 5"])
        await asyncio.sleep(HOUR)
        assert await shop.executions() == {"HELD": 1}
        shop.known["battery"] = 80
        await asyncio.sleep(HOUR)
        assert pump.written == []
        pump.values["flow"] = 3
        await asyncio.sleep(HOUR)
        assert pump.written == [("setpoint", 7)]

    play(tmp_path, scenario)


def test_a_locked_site_is_read_but_not_changed(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        shop.locked_ms = 600_000
        await order(shop, 1, write("a", 7))
        await order(shop, 2, look())
        await asyncio.sleep(10)
        assert await shop.executions() == {"HELD": 1, "SUCCEEDED": 1}
        shop.locked_ms = 0
        await asyncio.sleep(600)
        assert await shop.executions() == {"SUCCEEDED": 2}

    play(tmp_path, scenario)


# --- conditions and checks ------------------------------------------------------------------------
def test_a_step_looks_at_the_device_and_at_the_steps_before_it(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(
            shop,
            1,
            look(),
            write("low", 5, when="look.flow < 5"),
            write("high", 9, when="look.flow > 5 and device.kind == 'pump'"),
            write("other", 11, when="devices.pump-2.flow > 100"),
            write("same", 12, when="device.setpoint == 9 and devices.pump-2.flow == 7"),
        )
        await asyncio.sleep(5)
        assert pump.written == [("setpoint", 9), ("setpoint", 12)]

    play(tmp_path, scenario)


def test_what_regresses_while_it_soaks_is_undone(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check, compensation=[write("undo", 100)])
        await asyncio.sleep(300)
        assert await shop.executions() == {"VERIFYING": 1}
        pump.values["flow"] = 1
        await asyncio.sleep(120)
        assert pump.values["setpoint"] == 100
        assert await shop.executions() == {"ROLLED_BACK": 1}
        told = [(r["state"], r["reason"]) for r in await shop.receipts(uid(1))]
        assert told[-1] == ("ROLLED_BACK", Reason.UNDONE)

    play(tmp_path, scenario)


def test_a_soak_holds_through_a_restart(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check)
        await asyncio.sleep(300)
        await shop.close()
        await shop.open()
        await asyncio.sleep(240)
        assert await shop.executions() == {"VERIFYING": 1}
        await asyncio.sleep(120)
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario)


def test_a_device_that_waits_for_a_check_is_free_for_others(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check)
        await asyncio.sleep(5)
        await order(shop, 2, look())
        await asyncio.sleep(5)
        assert await shop.executions() == {"VERIFYING": 1, "SUCCEEDED": 1}

    play(tmp_path, scenario)


# --- ends -----------------------------------------------------------------------------------------
def test_a_job_stops_at_the_next_safe_point_when_it_is_called_off(tmp_path: Path):
    slow = SlowAction()

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), look("c"))
        await asyncio.sleep(15)
        await cancel(shop, 1)
        await asyncio.sleep(60)
        assert len(slow.begun) == 2, "the step in work comes to its end, no other begins"
        assert await shop.executions() == {"CANCELED": 1}
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["detail"] == "stopped after b"

    play(tmp_path, scenario, slow=slow)


def test_a_whole_job_has_its_time_over_restarts(tmp_path: Path):
    slow = SlowAction(seconds=40)

    async def scenario(shop: Shop) -> None:
        steps = [look(name, timeout_s=60) for name in "abc"]
        await order(shop, 1, *steps, timeout_s=100)
        await asyncio.sleep(50)
        await shop.close()
        await shop.open()
        await asyncio.sleep(120)
        assert await shop.executions() == {"TIMED_OUT": 1}

    play(tmp_path, scenario, slow=slow)


def test_what_ran_out_of_time_is_undone_all_the_same(tmp_path: Path):
    slow = SlowAction(seconds=40)

    async def scenario(shop: Shop) -> None:
        steps = [look(name, timeout_s=60) for name in "abc"]
        undo = [write("undo", 100)]
        await order(shop, 1, *steps, timeout_s=100, compensation=undo, final_steps=[look("d")])
        await asyncio.sleep(200)
        assert await shop.executions() == {"ROLLED_BACK": 1}
        assert len(slow.begun) == 4

    play(tmp_path, scenario, slow=slow)


def test_after_a_restart_a_job_goes_on_with_the_step_it_was_at(tmp_path: Path):
    slow = SlowAction(seconds=10)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), look("c"))
        await asyncio.sleep(15)
        await shop.close()
        await shop.open()
        await asyncio.sleep(60)
        assert await shop.executions() == {"SUCCEEDED": 1}
        assert len(slow.begun) == 4, "b was cut off and begun again, a was not"

    play(tmp_path, scenario, slow=slow)


def test_a_shorter_lock_than_the_one_before_lets_work_go_on_at_its_end(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        lock = SiteLock(tmp_path / "lock", now=shop.calendar.now)
        lock.changed = shop.executor.release_held
        shop.executor._gates = Gates(shop.facts, zone="UTC", locked_ms=lock.left_ms)
        await lock.lock(7 * 24 * HOUR)
        await order(shop, 1, write("a", 7))
        await asyncio.sleep(60)
        await lock.lock(120)
        await asyncio.sleep(119)
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(2)
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario)


# --- what must not be done twice ------------------------------------------------------------------
def test_a_job_of_the_agent_itself_has_one_task_and_no_device():
    from agent.actions.registry import check_step
    from agent.core.queue import plan_job

    spec = JobSpec("x", [Step("h", "agent.health")])
    assert plan_job(spec, [], check_step) == ("",)
    assert plan_job(read_job("flow"), [], check_step) != ("",)
