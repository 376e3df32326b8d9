"""The executor on virtual time: side by side, in time, given back, and asleep in between."""

import asyncio
from pathlib import Path

import pytest

from agent.core.ports import StepOutcome
from agent.store.jobs import Planned
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Retry, Step
from tests.agent_parts import admitted, read_job, uid, write_job
from tests.simulation.shop import Shop, SlowAction, play


def test_devices_work_side_by_side_and_each_one_thing_after_the_other(tmp_path: Path):
    slow = SlowAction()

    async def scenario(shop: Shop) -> None:
        await shop.order(1, read_job("flow"))
        await shop.order(2, read_job("flow"))
        await asyncio.sleep(25)
        begun = [(name, round(at)) for name, at in sorted(slow.begun, key=lambda b: b[1])]
        assert sorted(begun[:2]) == [("pump-1", 0), ("pump-2", 0)]
        assert sorted(begun[2:]) == [("pump-1", 10), ("pump-2", 10)]
        assert await shop.executions() == {"SUCCEEDED": 2}

    play(tmp_path, scenario, slow=slow)


def test_a_step_that_takes_too_long_fails_and_frees_its_device(tmp_path: Path):
    slow = SlowAction(seconds=60)
    spec = JobSpec("x", [Step("s", "device.read", {"points": ["flow"]}, timeout_s=5)])

    async def scenario(shop: Shop) -> None:
        await shop.order(1, spec)
        await asyncio.sleep(4.9)
        assert shop.executor.running == 2
        await asyncio.sleep(0.3)
        assert await shop.tasks() == {"FAILED": 2}
        assert shop.executor.running == 0

    play(tmp_path, scenario, slow=slow)


def test_retries_happen_when_they_are_due_and_stop_when_they_are_used_up(tmp_path: Path):
    silent = StepOutcome(Reason.DEVICE_SILENT, "no answer")
    slow = SlowAction(seconds=0.1, fails=[silent] * 9)
    spec = JobSpec(
        "x",
        [Step("s", "device.read", {"points": ["flow"]})],
        retry=Retry(failed=2, initial_s=60, max_s=600),
    )

    async def scenario(shop: Shop) -> None:
        bundle = admitted(1, (uid(1), spec), not_after=10**14)
        planned = [Planned(job, (DeviceId("pump-1"),)) for job in bundle.jobs]
        await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
        shop.executor.wake()
        await asyncio.sleep(1)
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(1_000)
        assert len(slow.begun) == 3
        assert await shop.executions() == {"FAILED": 1}
        waits = [b[1] - a[1] for a, b in zip(slow.begun, slow.begun[1:], strict=False)]
        assert 0 <= waits[0] <= 61
        assert 0 <= waits[1] <= 121

    play(tmp_path, scenario, slow=slow)


def test_a_defect_in_an_action_fails_its_task_and_nothing_else(tmp_path: Path):
    slow = SlowAction(seconds=0.1, fails=[ZeroDivisionError("ours")])

    async def scenario(shop: Shop) -> None:
        await shop.order(1, read_job("flow"))
        await asyncio.sleep(1)
        assert await shop.tasks() == {"DONE": 1, "FAILED": 1}
        assert not shop.task.done()
        await shop.order(2, write_job(7))
        await asyncio.sleep(1)
        assert await shop.tasks() == {"DONE": 3, "FAILED": 1}

    play(tmp_path, scenario, slow=slow)


def test_a_stop_gives_back_what_is_in_flight(tmp_path: Path):
    slow = SlowAction(seconds=60)

    async def scenario(shop: Shop) -> None:
        await shop.order(1, read_job("flow"))
        await asyncio.sleep(1)
        assert await shop.tasks() == {"RUNNING": 2}
        await shop.stop()
        assert await shop.tasks() == {"READY": 2}
        assert await shop.jobs.recover(shop.calendar.now(), crashed=True) == 0

    play(tmp_path, scenario, slow=slow)


def test_a_delayed_job_runs_at_its_time_and_nothing_wakes_up_before(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await shop.order(1, write_job(4200, delay_s=3600))
        await asyncio.sleep(1)
        turns = shop.world.loop.turns
        await asyncio.sleep(3_500)
        assert shop.world.loop.turns - turns < 5, "an hour of waiting is one sleep"
        assert shop.pumps[DeviceId("pump-1")].written == []
        await asyncio.sleep(100)
        assert shop.pumps[DeviceId("pump-1")].written == [("setpoint", 4200)]
        assert shop.told > 0

    play(tmp_path, scenario)


def test_a_wall_clock_that_jumps_moves_no_delay(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await shop.order(1, write_job(4200, delay_s=600))
        await asyncio.sleep(10)
        shop.world.clock.step(300_000)
        shop.executor.wake()
        await asyncio.sleep(500)
        assert shop.pumps[DeviceId("pump-1")].written == []
        shop.world.clock.step(-86_400_000)
        await asyncio.sleep(100)
        assert shop.pumps[DeviceId("pump-1")].written == [("setpoint", 4200)]

    play(tmp_path, scenario)


def test_a_device_that_is_no_longer_attached_fails_its_task(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        bundle = admitted(1, (uid(1), read_job("flow")), not_after=10**14)
        planned = [Planned(job, (DeviceId("gone"),)) for job in bundle.jobs]
        await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
        shop.executor.wake()
        await asyncio.sleep(1)
        assert await shop.tasks() == {"FAILED": 1}

    play(tmp_path, scenario)


def test_an_end_that_the_disk_does_not_take_is_tried_again_as_the_same_attempt(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await asyncio.sleep(1)
        await shop.order(1, write_job(4200))
        shop.file.full = True
        with pytest.raises(ExceptionGroup):
            await shop.task
        assert await shop.tasks() == {"READY": 2}
        shop.file.full = False
        shop.work[0] = asyncio.create_task(shop.executor.run())
        await asyncio.sleep(1)
        assert await shop.executions() == {"SUCCEEDED": 1}
        for pump in shop.pumps.values():
            assert pump.written == [("setpoint", 4200)], "equal already the second time"

    play(tmp_path, scenario)
