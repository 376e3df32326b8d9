"""Programs of a fleet's tests, each a fork of one process that has imported them already.

A start of one of ours is 0.2 to 0.6 s of processor time, nearly all of it imports, and a test has a
dozen. A fork has a process id, arguments, environment, descriptors and an end of its own, as a new
process has, and can be killed like one. What it does not try is the start of the interpreter: tests
of single programs do (`test_agent_process`, `test_coordinator_processes`, `test_sim_processes`),
and so does the demo.

Owns what a test asks for, in the terms of `firmware_sim.demo.processes`. What forks is
`warm_server`.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from firmware_sim.demo import processes
from firmware_sim.demo.processes import Child, Outcome

PROGRAMS = ("agent", "coordinator", "coordinator.cli", "firmware_sim")
"""What is forked; anything else is started."""
ENDS_S = 20
"""A program whose caller has gone ends at once; only a failing test waits for it."""
_place: list[str] = []
"""The server's socket, while there is one."""


@contextmanager
def kept_warm(folder: Path) -> Iterator[None]:
    """Let `start`, `run` and `outcome` fork; a process for as long as a run of tests takes."""
    path = str(folder / "s")
    command = [sys.executable, "-m", "tests.system.warm_server", path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        _place.append(path)
        try:
            yield
        finally:
            _place.clear()


class Forked(asyncio.Protocol):
    """What `asyncio.subprocess.Process` is for a child of one's own.

    The server says a line when the program was forked, its process id, and one when it has ended,
    its exit status. When the connection closes before, the program is killed.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.stdout: asyncio.StreamReader | None = None
        self.returncode: int | None = None
        self._said = b""
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection: asyncio.BaseTransport | None = None
        self._output: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = transport

    def data_received(self, data: bytes) -> None:
        self._said += data
        *lines, _ = self._said.split(b"\n")
        if lines and not self._begun.done():
            self.pid = int(lines[0])
            self._begun.set_result(None)
        if len(lines) == 2:
            self.returncode = int(lines[1])

    def connection_lost(self, error: Exception | None) -> None:
        if self.returncode is None:
            self.returncode = -signal.SIGKILL
        if self._output is not None:  # a child of the program's may hold the other end
            self._output.close()
        self._closed.set_result(None)

    async def begin(
        self, argv: Sequence[str], files: Sequence[IO[bytes]], env: Mapping[str, str]
    ) -> None:
        """Have a program forked with these files as its standard ones."""
        asked = {"argv": argv, "environment": dict(env), "folder": str(Path.cwd())}
        request = json.dumps(asked).encode() + b"\n"
        line = socket.socket(socket.AF_UNIX)
        line.connect(_place[0])
        socket.send_fds(line, [request], [file.fileno() for file in files])
        line.setblocking(False)  # its own way of being asked
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=line)
        await self._begun

    async def read_from(self, pipe: IO[bytes]) -> None:
        """Let `stdout` be what comes out of a pipe."""
        self.stdout = reader = asyncio.StreamReader()
        self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        await asyncio.shield(self._closed)
        assert self.returncode is not None
        return self.returncode

    async def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        assert self._connection is not None
        self._connection.close()
        await self.wait()


def _is_forked(argv: Sequence[str]) -> bool:
    return bool(_place) and argv[1] == "-m" and argv[2] in PROGRAMS


async def start(name: str, argv: list[str], folder: Path, *, ready: bool = True) -> Child:
    """Start a program; when `ready`, wait until it prints its line ``ready ...``.

    Raises:
        WorldError: it ended, or did not become ready in time.
    """
    if not _is_forked(argv):
        return await processes.start(name, argv, folder, ready=ready)
    log, forked = folder / f"{name}.log", Forked()
    with Path(os.devnull).open("rb") as nothing, log.open("ab") as sink:
        if not ready:
            await forked.begin(argv[2:], (nothing, sink, sink), os.environ)
            return Child(name, forked, log)
        read, write = os.pipe()
        await forked.read_from(os.fdopen(read, "rb"))
        with os.fdopen(write, "wb") as out:
            await forked.begin(argv[2:], (nothing, out, sink), os.environ)
    child = Child(name, forked, log)
    await processes.become_ready(child)
    return child


async def outcome(argv: list[str], *, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a program to its end; `environment` is added to this process's own."""
    if not _is_forked(argv):
        return await processes.outcome(argv, environment=environment)
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        forked = Forked()
        try:
            await forked.begin(argv[2:], (nothing, out, err), os.environ | (environment or {}))
            status = await forked.wait()
        finally:
            await forked.end()
        out.seek(0)
        err.seek(0)
        said = (file.read().decode(errors="replace") for file in (out, err))
        return Outcome(status, *said)


async def run(argv: list[str]) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        WorldError: it failed; carries what it said.
    """
    return processes.printed(argv, await outcome(argv))
