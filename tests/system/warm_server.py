"""``python -m tests.system.warm_server SOCKET``: forks a program for whoever connects.

A caller sends one line, a JSON object with arguments, environment and folder, and with it the
program's standard files; it is told the process id and, at the end, the exit status, a line each. A
program whose caller goes away is killed. All ends when standard input does.
"""

import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress

from tests.system.warm import PROGRAMS

_IMPORTED = (
    "agent.app",
    "agent.sticks",
    "coordinator.app",
    *(f"{name}.__main__" for name in PROGRAMS),
)
_REQUEST_BYTES = 1 << 20
_STANDARD = 3
"""Standard files."""


def main() -> None:
    """Serve until standard input ends; in a fork, be the program that was asked for."""
    for name in _IMPORTED:
        importlib.import_module(name)
        if name.endswith(".__main__"):  # it is run as a program, which it has not been yet
            del sys.modules[name]
    gc.freeze()  # what all forks share is not looked at in each
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
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
    """Run what a caller asks for in one more fork, and say how it ended."""
    request, files, _, _ = socket.recv_fds(caller, _REQUEST_BYTES, _STANDARD)
    while not request.endswith(b"\n"):
        more = caller.recv(_REQUEST_BYTES)
        if not more:  # it went away before it had asked
            return
        request += more
    asked = json.loads(request)
    pid = os.fork()
    if pid:
        for file in files:
            os.close(file)
        _watch(caller, pid)
        os._exit(0)
    caller.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.setsid()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    random.seed()
    sys.argv = asked["argv"]
    sys.orig_argv = [sys.executable, "-m", *sys.argv]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _watch(caller: socket.socket, pid: int) -> None:
    caller.sendall(b"%d\n" % pid)
    ended = os.pidfd_open(pid)
    if ended not in select.select([caller.fileno(), ended], [], [])[0]:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        caller.sendall(b"%d\n" % status)


if __name__ == "__main__":
    main()
