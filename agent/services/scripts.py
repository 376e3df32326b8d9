"""Runs scripts that lie on the gateway and whose very bytes the catalog names.

Owns the folder, the check of the hash, and the bounds: time, memory, output. The bytes that were
checked are the bytes that run. Off unless the local configuration names a folder.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from agent.core.ports import StepOutcome
from agent.core.settings import ScriptSettings
from shared import limits
from shared.errors import Reason
from shared.ids import is_name
from shared.model.job import Value
from shared.runtime.logs import redact

ScriptHash = Callable[[str], bytes | None]
"""Returns the sha256 that the catalog in force names for a script, None: it names none."""
_CHILD = Path(__file__).with_name("script_child.py")
_END_S = 5
"""The child ends all that a script started within milliseconds; then it is killed itself."""


class Scripts:
    """The scripts of one gateway."""

    def __init__(self, settings: ScriptSettings, *, named: ScriptHash) -> None:
        self._settings, self._named = settings, named

    async def run(self, name: str, *, dry_run: bool) -> StepOutcome:
        """Run one script; its exit status and the beginning of its output become the result."""
        found = await asyncio.to_thread(self._find, name)
        if isinstance(found, StepOutcome):
            return found
        result: dict[str, Value] = {"sha256": hashlib.sha256(found).hexdigest()}
        if dry_run:
            return StepOutcome(result={**result, "_dry_run": True})
        said = asyncio.StreamReader()
        async with _hearing(said) as says:
            try:
                child = await self._start(says)
            except (OSError, KeyError, ValueError) as error:
                return StepOutcome(Reason.SCRIPT_FAILED, f"{name} cannot be run: {error}")
            says.close()
            return await _watch(child, said, name, found, result)

    def _find(self, name: str) -> bytes | StepOutcome:
        wanted = self._named(name)
        if wanted is None or not is_name(name):
            return StepOutcome(Reason.ACTION_NOT_ALLOWED, f"the catalog names no script {name}")
        path = self._settings.folder / name
        try:
            with path.open("rb") as file:
                data = file.read(limits.SCRIPT_BYTES + 1)
        except OSError as error:
            return StepOutcome(Reason.SCRIPT_FAILED, f"{path}: {os.strerror(error.errno or 0)}")
        if len(data) > limits.SCRIPT_BYTES or hashlib.sha256(data).digest() != wanted:
            return StepOutcome(Reason.ACTION_NOT_ALLOWED, f"{path} is not what the catalog names")
        return data

    async def _start(self, says: BinaryIO) -> asyncio.subprocess.Process:
        """Start the child; as root it becomes the user of the settings before the script runs."""
        who: tuple[int, ...] = ()
        root = os.geteuid() == 0
        if not root and not self._settings.as_agent:
            raise ValueError(
                "this agent is not root, so they could read its key; if that may be,"
                " write as_agent = true under [scripts]"
            )
        if root:
            entry = pwd.getpwnam(self._settings.user)
            if entry.pw_uid == 0:
                raise ValueError("scripts do not run as root")
            who = (entry.pw_uid, entry.pw_gid)
        bounds = (
            *(limits.SCRIPT_MEMORY_BYTES, limits.SCRIPT_S, limits.SCRIPT_FILE_BYTES),
            limits.SCRIPT_PROCESSES,
        )
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_CHILD), *map(str, (*bounds, *who))),
            stdin=asyncio.subprocess.PIPE,
            stdout=says,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={},
        )


@contextlib.asynccontextmanager
async def _hearing(said: asyncio.StreamReader) -> AsyncIterator[BinaryIO]:
    """Give the end of a pipe that `said` hears, as long as somebody cares.

    Not to its end: who escaped may hold it open as long as he likes.
    """
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb", 0) as says:
        heard, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(said), os.fdopen(ours, "rb", 0)
        )
        try:
            yield says
        finally:
            heard.close()


@contextlib.asynccontextmanager
async def _ending_together(child: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """End a child's group once it has ended itself, as it should have done.

    What a script that killed it left behind would hold the output open, and so the step.
    """
    loop = asyncio.get_running_loop()
    try:
        ended = os.pidfd_open(child.pid)
    except ProcessLookupError:
        _kill(child)
        yield
        return

    def kill() -> None:
        loop.remove_reader(ended)
        _kill(child)

    loop.add_reader(ended, kill)
    try:
        yield
    finally:
        loop.remove_reader(ended)
        os.close(ended)


def _kill(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Have a child end with all that its script started; harmless after its end."""
    assert child.stdin is not None
    if not child.stdin.is_closing():
        child.stdin.transport.abort()
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        async with asyncio.timeout(_END_S):
            child.terminate()
            await child.wait()
    _kill(child)
    await child.wait()


async def _watch(
    child: asyncio.subprocess.Process,
    said: asyncio.StreamReader,
    name: str,
    script: bytes,
    result: dict[str, Value],
) -> StepOutcome:
    """Feed a child, keep the beginning of what it says, and see that it ends."""
    assert child.stdin is not None
    # Drained is written then: what waits for a pipe that nobody reads could not be closed.
    child.stdin.transport.set_write_buffer_limits(0)
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(limits.SCRIPT_S), _ending_together(child):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                child.stdin.write(script)
                await child.stdin.drain()
            child.stdin.close()
            while data := await said.read(4096):
                size += len(data)
                kept += data[: limits.SCRIPT_OUTPUT_BYTES - len(kept)]
                if size > limits.SCRIPT_SAYS_BYTES:
                    return StepOutcome(Reason.SCRIPT_FAILED, f"{name} says too much", result)
            status = await child.wait()
    finally:
        await _end(child)
    text = redact(kept.decode("utf-8", "replace"))
    result = {**result, "status": status, "output": text, "output_bytes": size}
    if status:
        return StepOutcome(Reason.SCRIPT_FAILED, f"{name} ended with {status}", result)
    return StepOutcome(result=result)
