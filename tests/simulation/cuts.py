"""A shop whose process dies where it hurts: right after a commit, or in the middle of an effect.

After a kill the file is as the last commit left it; after a power cut, as the last commit did that
waited for the disk. Whatever ran is gone at once, without a last word. Devices and what was done to
them stay.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from agent.actions.hand import Hand
from agent.core.ports import StepOutcome
from agent.services import step_runner
from agent.store.jobs_file import NAME
from shared.errors import Reason
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import Step, TaskState, check_task_transition
from tests.simulation.shop import FullDisk, Shop

_MEMORY = Path("/dev/shm")
HAZARDOUS, HARMLESS = "device.read", "device.write"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Return a folder where no sync costs anything: pictures of disks are taken by hand."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@contextmanager
def hazardous_reads() -> Iterator[None]:
    """Let `device.read` count as an effect that must not happen twice."""
    kind = DECLARED[HAZARDOUS]
    table = {**DECLARED, HAZARDOUS: replace(kind, idempotent=False)}
    with mock.patch.object(step_runner, "DECLARED", table):
        yield


class MortalDisk(FullDisk):
    """A jobs.db of a process that dies after some commits."""

    cuts: frozenset[int] = frozenset()
    """After which commits, counted over all lives."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.commits = 0
        self.image = b""
        """The file as a power cut would leave it."""
        self.dead = False
        self.died = asyncio.Event()
        self.tasks: dict[int, TaskState] | None = None

    async def transact(self, work: Callable[..., Any], *, durable: bool) -> Any:
        await self._mourn()
        result = await super().transact(work, durable=durable)
        await self._look()
        self.commits += 1
        if durable:
            self.image = await super().read(lambda db: db.serialize())
        if self.commits in self.cuts:
            self.die()
        await self._mourn()
        return result

    async def read(self, query: Callable[..., Any]) -> Any:
        await self._mourn()
        return await super().read(query)

    async def inspect(self, query: Callable[..., Any]) -> Any:
        """Return what a bystander sees, who may look at the disk of a dead process too."""
        return await super().read(query)

    def die(self) -> None:
        self.dead = True
        self.died.set()

    async def _mourn(self) -> None:
        if self.dead:
            await asyncio.get_running_loop().create_future()

    async def _look(self) -> None:
        """Check that every task went where a task may go since the commit before."""
        rows = await super().read(
            lambda db: db.execute("SELECT number, state FROM task WHERE firing = 0").fetchall()
        )
        now = {number: TaskState(state) for number, state in rows}
        for number, before in (self.tasks or {}).items():
            after = now[number]
            if after is not before:
                check_task_transition(before, after)
        self.tasks = now


@dataclass
class Mortal(Shop):
    """A shop that can be cut off."""

    cuts: frozenset[int] = frozenset()
    """After which commits it dies by itself."""

    def __post_init__(self) -> None:
        self.disk = MortalDisk
        self.commits = 0
        self.image = b""

    async def open(self) -> "Mortal":
        self.bystanders = asyncio.all_tasks()
        await super().open()
        assert isinstance(self.file, MortalDisk)
        self.mortal = self.file
        self.mortal.commits, self.mortal.image = self.commits, self.image
        self.mortal.cuts = self.cuts
        return self

    async def cut(self, *, power: bool) -> None:
        """End this life at once, begin the next one over what the disk holds."""
        self.mortal.die()
        while left := asyncio.all_tasks() - self.bystanders - self._writers():
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        self.commits, self.image = self.mortal.commits, self.mortal.image
        await self.file.close()
        if power and self.image:
            (self.folder / NAME).write_bytes(self.image)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.folder / NAME}{suffix}").unlink(missing_ok=True)
            self.world.clock.reboot(keeps_time=True)
        await self.open()

    @staticmethod
    def _writers() -> set[asyncio.Task[Any]]:
        return {task for task in asyncio.all_tasks() if task.get_name().startswith("writer ")}


@dataclass
class Script:
    """An action whose effects are counted, and that ends as it is told to.

    The effect happens in the middle of its time; `ends` gives each step its outcomes in turn, the
    last one for ever.
    """

    name: str
    ends: Mapping[str, list[StepOutcome]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often by device and step."""
    calls: Counter[str] = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)
    """When each call was in its middle, right where its effect is."""

    def check(self, step: Step, device: Any) -> None:
        return None

    async def run(self, step: Step, hand: Hand) -> StepOutcome:
        self.calls[step.id] += 1
        half = self.seconds.get(step.id, 2) / 2
        await asyncio.sleep(half)
        ends = self.ends.get(step.id) or [StepOutcome()]
        self.moments.append(asyncio.get_running_loop().time())
        end = ends[min(self.calls[step.id], len(ends)) - 1]
        if end.reason is not Reason.DEVICE_EXCEPTION:  # it said no, and did nothing
            self.effects[hand.device, step.id] += 1
        await asyncio.sleep(half)
        return StepOutcome(end.reason, end.detail, {"done": self.effects[hand.device, step.id]})
