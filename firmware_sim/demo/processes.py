"""Child processes of the demo: start, wait until ready, stop; nothing is left running.

Owns processes only. Each writes its log to a file of its own; when one dies unexpectedly, the
last lines of that file are what a person gets to see.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.errors import Reason, WorldError

_STOP_S = 15
"""How long a child may take to stop by itself before it is killed; an agent's last contact is 5."""
_READY_S = 30
"""How long a child may take to say that it is ready, on a slow and busy machine."""
_TAIL_LINES = 8


class Running(Protocol):
    """What is asked of a running program: `asyncio.subprocess.Process`, or another's like it."""

    pid: int
    stdout: asyncio.StreamReader | None

    @property
    def returncode(self) -> int | None:
        """Its exit status; None while it runs, below zero when a signal ended it."""

    def send_signal(self, signal: int) -> None:
        """Tell it something."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status."""


@dataclass(slots=True)
class Child:
    """One running program of ours."""

    name: str
    process: Running
    log: Path
    ready: str = ""
    """What it said behind the word `ready`, e.g. where it listens."""

    async def stop(self) -> int:
        """Ask it to stop, kill it when it does not, and return its exit status."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()
        assert self.process.returncode is not None
        return self.process.returncode

    async def kill(self) -> None:
        """End it as a power cut would, without a chance to clean up; idempotent."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    def check(self) -> None:
        """Raise when it is no longer running, with the end of its log."""
        if self.process.returncode is not None:
            raise WorldError(
                Reason.STEP_FAILED,
                f"{self.name} ended with status {self.process.returncode}: {self.tail()}",
            )

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of our programs with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


async def start(name: str, argv: list[str], folder: Path, *, ready: bool = True) -> Child:
    """Start a program; when `ready`, wait until it prints its line ``ready ...``.

    Raises:
        WorldError: it ended, or did not become ready in time.
    """
    log = folder / f"{name}.log"
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if ready else sink,
            stderr=sink,
            # Ctrl-C is for the demo alone: it stops its children itself, in order.
            start_new_session=True,
        )
    child = Child(name, process, log)
    if ready:
        await become_ready(child)
    return child


async def become_ready(child: Child) -> None:
    """Wait until a child prints its line ``ready ...``.

    Raises:
        WorldError: it ended, or did not become ready in time.
    """
    assert child.process.stdout is not None
    try:
        async with asyncio.timeout(_READY_S):
            while line := (await child.process.stdout.readline()).decode().strip():
                if line.startswith("ready"):
                    child.ready = line.removeprefix("ready").strip()
                    return
            await child.process.wait()
    except TimeoutError:
        await child.stop()
        raise WorldError(
            Reason.STEP_FAILED, f"{child.name} did not become ready: {child.tail()}"
        ) from None
    child.check()
    raise AssertionError("a child that closed its output has ended")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program that ran to its end said, and how it ended."""

    status: int
    out: str
    err: str


async def outcome(argv: list[str], *, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a program to its end; `environment` is added to this process's own."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


async def run(argv: list[str]) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        WorldError: it failed; carries what it said.
    """
    return printed(argv, await outcome(argv))


def printed(argv: list[str], ended: Outcome) -> str:
    """Return what a program printed that ran to its end.

    Raises:
        WorldError: it failed; carries what it said.
    """
    if ended.status:
        said = (ended.err or ended.out).strip()
        raise WorldError(Reason.STEP_FAILED, f"{' '.join(argv[2:5])}: {said}")
    return ended.out
