"""The executor on virtual time: side by side, in time, given back, and asleep in between."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import ACTIONS, CheckedAction, check_step
from agent.core.device import DeviceSettings
from agent.core.executor import Claim
from agent.core.ports import Driver, StepOutcome
from agent.core.queue import Problem, plan_job
from agent.services.calendar import Calendar
from agent.services.executor import Executor
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import JobSpec, Retry, Step
from tests.agent_parts import MemoryDevice, admitted, device, read_job, uid, write_job
from tests.simulation.loop import World, simulate

PUMPS = [device("pump-1"), device("pump-2")]


@dataclass
class SlowAction:
    """Takes its time, or fails as it is told to."""

    seconds: float = 10
    fails: list[StepOutcome | Exception] = field(default_factory=list)
    begun: list[tuple[DeviceId, float]] = field(default_factory=list)
    name: str = "device.read"

    def check(self, step: Step, device: DeviceSettings) -> None:
        return None

    async def run(self, step: Step, driver: Driver) -> StepOutcome:
        self.begun.append((driver.device, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.seconds)
        outcome = self.fails.pop(0) if self.fails else StepOutcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class FullDisk(JobsFile):
    """A jobs.db that has no room for what must be durable, while it is told so."""

    full = False

    async def transact(self, work: Callable[..., Any], *, durable: bool) -> Any:
        if self.full and durable:
            raise WorldError(Reason.STORE_FULL, "no room")
        return await super().transact(work, durable=durable)


@dataclass
class Shop:
    """An executor over real files."""

    world: World
    folder: Path
    actions: dict[str, CheckedAction]
    told: int = 0
    seq: int = 0

    async def open(self) -> "Shop":
        self.file = FullDisk(self.folder, self.world.entropy)
        await self.file.open()
        self.jobs = JobStore(self.file)
        self.calendar = Calendar(self.world.clock)
        self.pumps = {one.id: MemoryDevice(one.id) for one in PUMPS}
        self.executor = Executor(
            self.jobs,
            devices={one.id: (one, self.pumps[one.id]) for one in PUMPS},
            actions=self.actions,
            now=self.calendar.now,
            entropy=self.world.entropy,
            told=self.tell,
            permit=self.permit,
        )
        self.task = asyncio.create_task(self.executor.run())
        return self

    async def permit(self, claim: Claim, profile: bytes | None) -> Problem | None:
        return None

    def tell(self) -> None:
        self.told += 1

    async def order(self, number: int, spec: JobSpec) -> None:
        self.seq += 1
        bundle = admitted(self.seq, (uid(number), spec), not_after=10**14)
        planned = [Planned(job, plan_job(job.spec, PUMPS, check_step)) for job in bundle.jobs]
        await self.jobs.admit(bundle, planned, now=self.calendar.now())
        self.executor.wake()

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def tasks(self) -> dict[str, int]:
        return {state.name: n for state, n in (await self.jobs.counts()).tasks.items()}

    async def executions(self) -> dict[str, int]:
        counts = (await self.jobs.counts()).executions
        return {state.name: n for state, n in counts.items()}

    async def close(self) -> None:
        await self.stop()
        await self.file.close()


def play(folder: Path, scenario: Any, **actions: CheckedAction) -> Any:
    """Run a scenario with a shop."""

    async def run(world: World) -> Any:
        table = dict(ACTIONS) | {action.name: action for action in actions.values()}
        shop = await Shop(world, folder, table).open()
        try:
            return await scenario(shop)
        finally:
            await shop.close()

    return simulate(run, seed=1)


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
        shop.task = asyncio.create_task(shop.executor.run())
        await asyncio.sleep(1)
        assert await shop.executions() == {"SUCCEEDED": 1}
        for pump in shop.pumps.values():
            assert pump.written == [("setpoint", 4200)], "equal already the second time"

    play(tmp_path, scenario)
