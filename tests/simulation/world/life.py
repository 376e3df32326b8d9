"""One program on one machine through its lives: started, stopped, killed, found again as it lay.

A kill -9 takes the process and nothing else. So the folder is copied as it is at that very moment,
the next life begins in the copy, and what the old one still does while it is being torn down falls
into a folder that nobody will read: it reaches neither the line nor the devices any more.
"""

import asyncio
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import MistakeError
from tests.simulation.loop import VirtualClock
from tests.simulation.world.disk import Disk, Disks
from tests.simulation.world.ground import Ground

T = TypeVar("T")

_BACK_S = 2.0
"""A service manager's pause before it starts again what ended."""


class GoneError(Exception):
    """Nobody answers there, or no longer."""


@dataclass
class Process:
    """One life."""

    number: int
    folder: Path
    disk: Disk
    dead: bool = False
    """Whatever it still does reaches nothing."""
    task: asyncio.Task[Any] | None = None
    died: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry_out(self, doing: Coroutine[Any, Any, T], name: str) -> T:
        """Return what the process makes of something that it is asked.

        Raises:
            GoneError: it went down over it.
        """
        work = asyncio.create_task(doing, name=name)
        end = asyncio.create_task(self.died.wait(), name=f"{name} cut")
        try:
            await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
            if self.died.is_set() or not work.done() or work.cancelled():
                raise GoneError
            return work.result()
        finally:
            for task in (work, end):
                task.cancel()
            await asyncio.wait((work, end))
            if not work.cancelled():
                work.exception()


class Lives(ABC):
    """A program that can be killed at any step."""

    def __init__(self, ground: Ground, disks: Disks, name: str) -> None:
        self.ground, self.disks, self.name = ground, disks, name
        self.clock = VirtualClock(ground.loop, ground.entropy(name, "clock"))
        self.folder = ground.folder / name / "0"
        self.now: Process | None = None
        self.lives = 0
        self.off = False
        """Switched off: it does not come back by itself."""
        self.ruined = False
        """Its file is damaged: it may end at once, as long as it says why."""
        self.changes: list[tuple[float, bool]] = []
        """When it came up, went down or its disk refused, and whether it was up then, and whole."""
        self._graves: list[asyncio.Task[Any]] = []

    @abstractmethod
    async def live(self, process: Process) -> None:
        """Be the program until cancelled; the folder is the process's."""

    @abstractmethod
    def moved(self, before: Path, after: Path) -> None:
        """Make good what depends on the folder's own name."""

    @abstractmethod
    def looked(self, db: sqlite3.Connection, path: Path) -> None:
        """See a database after a commit of a living process."""

    # --- life and death ---------------------------------------------------------------------------
    @property
    def up(self) -> bool:
        """Tell whether a process runs."""
        return self.now is not None and not self.now.dead

    def start(self) -> None:
        """Begin a life in the folder as it is."""
        assert self.now is None, f"{self.name} lives already"
        self.off = False
        self.lives += 1
        disk = Disk(self.folder, self._struck)
        process = Process(self.lives, self.folder, self.disks.mount(disk))
        disk.die = lambda: self._stumble(process)
        disk.look = self._look(process)
        self.now = process
        self._changed()
        self.ground.note(self.name, "starts", self.lives)
        process.task = asyncio.create_task(self._live(process), name=f"{self.name} {self.lives}")

    async def stop(self) -> None:
        """End it as a service manager does: it may finish what it is at."""
        process = self.now
        if process is None or process.task is None:
            return
        self.ground.note(self.name, "stops")
        self.off = True
        self.changes.append((self.ground.now_s, False))
        process.task.cancel()
        await asyncio.wait((process.task,))
        process.dead = True
        if self.now is process:
            self.now = None

    def kill(self) -> None:
        """End it at once; it comes back after a while, unless it is switched off."""
        if self.now is not None:
            self._freeze(self.now)

    def die_at(self, commits: int, *, before: bool) -> None:
        """Let the process die at one of its next commits."""
        if self.now is not None:
            self.now.disk.dies_before, self.now.disk.dies_in = before, commits

    async def wait_up(self) -> None:
        """Wait until a process runs."""
        while not self.up:
            await asyncio.sleep(_BACK_S)

    async def bury(self) -> None:
        """Wait until everything of earlier lives is gone."""
        while self._graves:
            await asyncio.wait(self._graves)
            self._graves = [one for one in self._graves if not one.done()]

    def _struck(self, fault: str) -> None:
        self.ground.hit(f"disk {fault}", self.name)
        self._changed()

    def _changed(self) -> None:
        self.changes.append((self.ground.now_s, self.up and not self.ruined))

    def _look(self, process: Process) -> Callable[[sqlite3.Connection, Path], None]:
        def look(db: sqlite3.Connection, path: Path) -> None:
            if not process.dead:
                self.looked(db, path)

        return look

    def _stumble(self, process: Process) -> None:
        if process is self.now and not process.dead:
            self.ground.hit("die at commit", self.name)
            self._freeze(process)

    def _freeze(self, process: Process) -> None:
        """Take the picture of the disk; from now on the process is a shadow."""
        process.dead = True
        process.died.set()
        before, after = process.folder, process.folder.with_name(str(self.lives))
        shutil.copytree(before, after, ignore=shutil.ignore_patterns("*-shm", "bell", "*.tmp"))
        self.moved(before, after)
        self.folder = after
        self.now = None
        self._changed()
        self.ground.note(self.name, "dies")
        self._graves.append(asyncio.create_task(self._tear_down(process), name="grave"))
        if not self.off:
            self.ground.loop.call_later(_BACK_S, self._back)

    def _back(self) -> None:
        if self.now is None and not self.off:
            self.start()

    async def _tear_down(self, process: Process) -> None:
        assert process.task is not None, "it was started"
        process.task.cancel()
        await asyncio.wait((process.task,))
        self.disks.mounted.pop(process.folder, None)
        shutil.rmtree(process.folder, ignore_errors=True)

    async def _live(self, process: Process) -> None:
        try:
            await self.live(process)
        except MistakeError as error:
            self._say(process, f"gave up: {error}")
        except Exception as error:  # noqa: BLE001  # a program that ends by itself is a finding
            self._say(process, f"crashed: {type(error).__name__}: {error}")
        if process.dead:
            return
        # It ended by itself; its service manager starts it again.
        process.dead = True
        process.died.set()
        if self.now is process:
            self.now = None
        self._changed()
        self.ground.note(self.name, "ended")
        if not self.off:
            self.ground.loop.call_later(_BACK_S, self._back)

    def _say(self, process: Process, what: str) -> None:
        if not process.dead:
            self.off = True  # it would end in the same way again
            self.ground.wrong(f"{self.name} {what}")
