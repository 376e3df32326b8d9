"""Programs that run to their end, each in a fork of one process that has imported them already.

A start of one of ours is 0.2 to 0.6 s of processor time, nearly all of it imports, and a fleet's
test has dozens of commands. A fork has arguments, environment, descriptors and an end of its own,
as a new process has; what it does not try is the start of the interpreter, which the programs that
are started to stay (`firmware_sim.demo.processes.start`) and tests of single programs do.

``python -m tests.system.warm SOCKET`` forks for whoever connects to its socket: one JSON object
with arguments, environment and folder is answered with another of status and output. A program
whose caller goes away is killed; all ends when standard input does.
"""

import asyncio
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from firmware_sim.demo import processes
from firmware_sim.demo.processes import Outcome

_MODULES = ("agent", "coordinator", "coordinator.cli")
"""Programs that are forked; whatever else is asked for is started."""
_IMPORTED = ("agent.app", "agent.sticks", *(f"{name}.__main__" for name in _MODULES))
_ANSWER_BYTES = 1 << 26
_place: list[Path] = []
"""The socket, while there is one."""


@contextmanager
def kept_warm(folder: Path) -> Iterator[None]:
    """Let `run` and `outcome` fork; a process for as long as a run of tests takes."""
    path = folder / "s"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.warm", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        _place.append(path)
        try:
            yield
        finally:
            _place.clear()


async def outcome(argv: list[str], *, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a program to its end; `environment` is added to this process's own."""
    if not _place or argv[1] != "-m" or argv[2] not in _MODULES:
        return await processes.outcome(argv, environment=environment)
    asked = {
        "argv": argv[2:],
        "environment": {**os.environ, **(environment or {})},
        "folder": str(Path.cwd()),
    }
    reader, writer = await asyncio.open_unix_connection(_place[0], limit=_ANSWER_BYTES)
    try:
        writer.write(json.dumps(asked).encode() + b"\n")
        return Outcome(**json.loads(await reader.readline()))
    finally:
        writer.close()
        await writer.wait_closed()


async def run(argv: list[str]) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        WorldError: it failed; carries what it said.
    """
    return processes.printed(argv, await outcome(argv))


def main() -> None:
    """Serve until standard input ends; in a fork, be the program that was asked for."""
    for name in _IMPORTED:
        importlib.import_module(name)
        if name.endswith(".__main__"):  # it is run as a program, which it has not been yet
            del sys.modules[name]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        gc.freeze()  # what all share is looked at by none
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            caller = listener.accept()[0]
            if os.fork() == 0:
                listener.close()
                _answer(caller)
                return
            caller.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _answer(caller: socket.socket) -> None:
    """Run what the caller asks for in one more fork, and say how it ended."""
    with caller, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        asked = json.loads(caller.makefile().readline())
        pid = os.fork()
        if pid:
            ended = os.pidfd_open(pid)
            if ended not in select.select([caller.fileno(), ended], [], [])[0]:
                os.kill(pid, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            said = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, err)]
            told = {"status": status, "out": said[0], "err": said[1]}
            caller.sendall(json.dumps(told).encode() + b"\n")
            os._exit(0)
        with Path(os.devnull).open() as nothing:
            for number, file in enumerate((nothing, out, err)):
                os.dup2(file.fileno(), number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    random.seed()
    sys.argv = asked["argv"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
