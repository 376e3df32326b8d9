"""The process for what nobody waits for: started, told of new readings, started again, stopped.

Rollups and retention take as much of a processor as contacts do, and one interpreter has one. The
child reads the database for itself, so nothing is lost when it is killed; it ends when its standard
input does, so it outlives no coordinator, however that ended. Leaves out what the child does
(`coordinator.commands.background`).
"""

import asyncio
import contextlib
import sys

from coordinator.keys.directory import DataDirectory
from coordinator.services.rollups import Rollups
from shared import limits

_RING = b"!"
"""Anything, once the child knows its database."""


class ProcessEndedError(Exception):
    """The child ended without being told to; the supervisor starts another."""


class Apart:
    """A service; `rollups` only watches how far the child has come."""

    name = "apart"

    def __init__(self, directory: DataDirectory, database: str, rollups: Rollups) -> None:
        """Work on the files of one coordinator; `database` is a URL."""
        program = (sys.executable, "-m", "coordinator", "background")
        self._command = (*program, "--data", str(directory.path))
        self._database, self._rollups = database, rollups

    async def run(self) -> None:
        """Keep the child running until cancelled.

        Raises:
            ProcessEndedError: it ended.
            OSError: it cannot be started.
        """
        child = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE)
        assert child.stdin is not None, "it was asked for"
        mouth = child.stdin

        def ring() -> None:
            if not mouth.transport.get_write_buffer_size():  # else it has been rung enough
                mouth.write(_RING)

        tasks = {
            asyncio.create_task(self._tell(child, mouth)),
            asyncio.create_task(self._rollups.follow(ring)),
            asyncio.create_task(child.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _stopped(child)

    async def _tell(self, child: asyncio.subprocess.Process, mouth: asyncio.StreamWriter) -> None:
        """Say in the child's own input, which nobody else can see, what it works on."""
        mouth.write(f"{self._database}\n".encode())
        await mouth.drain()
        status = await child.wait()
        raise ProcessEndedError(f"the process for rollups and retention ended with {status}")


class Watching:
    """A service that only watches how far rollups have come, where other processes do them."""

    name = "watching"

    def __init__(self, rollups: Rollups) -> None:
        self._rollups = rollups

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._rollups.follow(lambda: None)


async def _stopped(child: asyncio.subprocess.Process) -> None:
    """End the child: by the end of its input, or by force when it does not."""
    if child.returncode is not None:
        return
    assert child.stdin is not None, "it was asked for"
    child.stdin.close()
    try:
        async with asyncio.timeout(limits.DRAIN_S):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
