"""An executor over a real jobs.db and devices in memory, on virtual time."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.actions.hand import Hand
from agent.actions.registry import ACTIONS, CheckedAction, check_step
from agent.core.device import DeviceSettings
from agent.core.executor import Claim
from agent.core.judge import Judged
from agent.core.ports import StepOutcome
from agent.core.queue import Problem, plan_job
from agent.services.calendar import Calendar
from agent.services.executor import Executor
from agent.services.facts import Facts
from agent.services.gates import Gates
from agent.services.restorer import Restorer
from agent.services.rule_watch import RuleWatch
from agent.services.standing import StandingJobs, planner
from agent.services.step_runner import StepRunner
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from agent.store.standing import StandingStore
from shared import limits
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import ExecutionState, JobSpec, Step, TaskState, Value
from shared.model.reading import Quality
from shared.wire.codec import unpack
from shared.wire.messages import Receipt
from tests.agent_parts import MemoryDevice, admitted, device, uid
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

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
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
    known: dict[str, Any] = field(default_factory=dict)
    """Facts of the agent."""
    locked_ms: int = 0
    forbidden: dict[str, Problem] = field(default_factory=dict)
    """Points that the catalog does not let be written."""
    rung: int = 0
    """Alarms that wanted to be sent at once."""
    disk: type[FullDisk] = FullDisk
    """What its jobs.db is."""
    pumps: dict[DeviceId, MemoryDevice] = field(default_factory=dict)

    async def open(self) -> "Shop":
        self.file = self.disk(self.folder, self.world.entropy)
        await self.file.open()
        self.jobs = JobStore(self.file)
        self.calendar = Calendar(self.world.clock)
        # What stands in the cabinet does not notice that the agent begins anew.
        self.pumps = self.pumps or {one.id: MemoryDevice(one.id) for one in PUMPS}
        devices = {one.id: (one, self.pumps[one.id]) for one in PUMPS}
        self.facts = Facts(devices, lambda: self.known)
        self.memory = DeviceMemory(self.file, now=self.calendar.now)
        runner = StepRunner(
            self.jobs,
            devices=devices,
            actions=self.actions,
            memory=self.memory,
            may_write=self.may_write,
            now=self.calendar.now,
        )
        self.restorer = Restorer(
            self.memory,
            devices=devices,
            lane=runner.lane,
            locked_ms=lambda: self.locked_ms,
            now=self.calendar.now,
            told=self.tell,
        )
        self.executor = Executor(
            self.jobs,
            runner=runner,
            facts=self.facts,
            gates=Gates(self.facts, zone="Europe/Berlin", locked_ms=lambda: self.locked_ms),
            now=self.calendar.now,
            entropy=self.world.entropy,
            told=self.tell,
            permit=self.permit,
        )
        store, plan = StandingStore(self.file), planner(PUMPS, check_step)
        rules = RuleWatch(store, plan=plan, facts=lambda: self.known, alarmed=self.ring)
        self.standing = StandingJobs(
            store,
            rules=rules,
            plan=plan,
            now=self.calendar.now,
            zone="Europe/Berlin",
            agent="north",
            fired=self.executor.wake,
        )
        self.calendar.watch(self.standing.wake)
        self.calendar.watch(self.executor.set_right)
        self.work = [
            asyncio.create_task(self.executor.run()),
            asyncio.create_task(self.standing.run()),
            asyncio.create_task(self.restorer.run()),
        ]
        self.task = self.work[0]
        return self

    def ring(self) -> None:
        self.rung += 1

    def poll(self, pump: str, **values: float | None) -> None:
        """Let a poll of a pump be seen; None: the point gave no value."""
        self.standing.observe(
            Judged(
                device=DeviceId(pump),
                points=list(values),
                values=list(values.values()),
                qualities=[
                    Quality.BAD_COMM if value is None else Quality.GOOD for value in values.values()
                ],
                at=self.world.clock.now(),
            )
        )

    async def tales(self) -> list[tuple[str, str, int, str]]:
        """Return (state, reason, count, detail) of the history that waits for a report."""

        def query(db: sqlite3.Connection) -> list[tuple[int, int, int, str]]:
            rows = db.execute("SELECT state, reason, count, detail FROM tale ORDER BY number")
            return rows.fetchall()

        return [
            (ExecutionState(state).name, Reason(reason).text if reason else "", count, detail)
            for state, reason, count, detail in await self.file.read(query)
        ]

    async def permit(self, claim: Claim, profile: bytes | None) -> Problem | None:
        return None

    def may_write(self, profile: bytes, point: str, value: Value) -> Problem | None:
        return self.forbidden.get(point)

    def tell(self) -> None:
        self.told += 1

    async def order(self, number: int, spec: JobSpec, *, trace: bytes = b"") -> None:
        self.seq += 1
        bundle = admitted(self.seq, (uid(number), spec), not_after=10**14)
        jobs = [replace(job, trace=trace) for job in bundle.jobs]
        planned = [Planned(job, plan_job(job.spec, PUMPS, check_step)) for job in jobs]
        taken = await self.jobs.admit(bundle, planned, now=self.calendar.now())
        assert not taken.put_off, "the queue is full"
        self.executor.wake()
        self.standing.wake()

    async def stop(self) -> None:
        for work in self.work:
            work.cancel()
        for work in self.work:
            with suppress(asyncio.CancelledError):
                await work

    async def tasks(self) -> dict[str, int]:
        return {state.name: n for state, n in (await self.jobs.counts()).tasks.items()}

    async def executions(self) -> dict[str, int]:
        counts = (await self.jobs.counts()).executions
        return {state.name: n for state, n in counts.items()}

    async def receipts(self, execution: bytes) -> list[dict[str, Any]]:
        """Return the receipts about an execution that wait, states by name."""

        def query(db: sqlite3.Connection) -> list[bytes]:
            return [row[0] for row in db.execute("SELECT body FROM outbox ORDER BY number")]

        packed = await self.file.read(query)
        receipts = [unpack(body, Receipt, bound=limits.REPORT_BYTES) for body in packed]
        return [
            {
                "device": one.device,
                "state": (TaskState if one.device else ExecutionState)(one.state).name,
                "reason": one.reason,
                "detail": one.detail,
                "result": one.result,
            }
            for one in receipts
            if one.execution == execution
        ]

    async def close(self) -> None:
        try:
            await self.stop()
        finally:
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
