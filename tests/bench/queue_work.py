"""Executions through the agent's own job store, from claim to finish; also a program of its own.

Each execution is one job of one step on one device: claimed, folded, ended, told by receipts, as
the executor does it, with nothing in between. Run under the recorder (`tests.power.recording`) it
says between which operations the executions lie, so that their syncs can be counted where the
kernel gets them.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from agent.core.executor import Claim, Conclusion
from agent.core.moment import Moment
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.ids import DeviceId
from shared.model.job import TaskState
from shared.runtime.clock import SystemEntropy
from tests.agent_parts import WALL, admitted, read_job, uid
from tests.power.recording import say

NOW = Moment(MonoMs(1_000), b"a" * 16, WallMs(WALL))
DONE = Conclusion(state=TaskState.DONE, result={"look.flow": 7, "look.setpoint": 100})
_BUNDLE = 500


class Work:
    """A queue with executions in it, spread over as many devices as are worked on at once."""

    def __init__(self, folder: Path, *, width: int) -> None:
        self._folder, self._width = folder, width
        self._woken = asyncio.Event()
        self._running = 0

    async def fill(self, count: int) -> None:
        """Admit executions that are due at once."""
        self.file = await JobsFile(self._folder, SystemEntropy()).open()
        self.store = JobStore(self.file)
        job = read_job("flow", "setpoint")
        for first in range(0, count, _BUNDLE):
            numbers = range(first, min(count, first + _BUNDLE))
            bundle = admitted(1 + first, *((uid(1 + number), job) for number in numbers))
            planned = [
                Planned(one, (DeviceId(f"pump-{number % self._width}"),))
                for one, number in zip(bundle.jobs, numbers, strict=True)
            ]
            await self.store.admit(bundle, planned, now=NOW)

    async def run(self, count: int) -> None:
        """Claim and finish them all, with so many in flight; the next claim takes what is free."""
        left = count
        async with asyncio.TaskGroup() as attempts:
            while left:
                self._woken.clear()
                room = min(limits.WORKERS, self._width) - self._running
                claimed = await self.store.claim(NOW, room=room)
                for claim in claimed.claims:
                    self._running += 1
                    left -= 1
                    attempts.create_task(self._finish(claim))
                await self._woken.wait()

    async def _finish(self, claim: Claim) -> None:
        ended = await self.store.finish(claim, replace(DONE), NOW)
        assert ended, "nobody else works on it"
        self._running -= 1
        self._woken.set()

    async def close(self) -> None:
        """Check that everything was done, and close the file."""
        counts = await self.store.counts()
        assert set(counts.tasks) == {TaskState.DONE}, counts
        await self.file.close()


async def _recorded(folder: Path, count: int, width: int) -> None:
    work = Work(folder, width=width)
    await work.fill(count)
    say(begun=count)
    await work.run(count)
    say(ended=count)
    await work.close()


if __name__ == "__main__":
    asyncio.run(_recorded(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
