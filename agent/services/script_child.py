"""The process between the agent and a script: gives up what a script must not have, then runs it.

It stays as the script's parent, and is given whatever loses its own: a daemon leaves its session
and its group, but not this. All of it ends with the shell, or once the agent asks by SIGTERM.

Started as `python -I -S script_child.py MEMORY_BYTES CPU_S FILE_BYTES PROCESSES [UID GID]`, with
the script on standard input. Imports nothing of ours: it starts in a few milliseconds.
"""

import ctypes
import os
import resource
import signal
import sys

_BOUNDS = ("program", "memory", "processor time", "length of a file", "processes")
_PR_SET_NO_NEW_PRIVS = 38
"""include/uapi/linux/prctl.h: nothing it executes may gain what it does not have."""
_PR_SET_CHILD_SUBREAPER = 36
"""Of the same: orphans among its descendants become its children."""
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES_3 = 0x20080522
"""include/uapi/linux/capability.h: 64 capabilities, in two halves of three sets each."""


def main() -> None:
    """Set the limits, run the shell and end as it did."""
    memory, cpu, size, processes = map(int, sys.argv[1:5])
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    if len(sys.argv) > len(_BOUNDS):
        user, group = map(int, sys.argv[5:7])
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    most = _running() + processes
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    _give_up()
    signal.signal(signal.SIGTERM, lambda *_: _end_with(signal.SIGTERM))
    shell = os.fork()
    if not shell:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        os.execve("/bin/sh", ["sh", "-s"], environment)  # noqa: S606 - what it is for
    for own in range(3):
        os.close(own)
    ended = status = 0
    while ended != shell:
        ended, status = os.wait()
    _end_with(status)


def _end_with(status: int) -> None:
    """End as the shell did, after all that it started."""
    _end_the_rest()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _end_the_rest() -> None:
    """Kill what is left, generation by generation: the children of one that ended come here."""
    try:
        while True:
            for child in _children():
                os.kill(child, signal.SIGKILL)
            os.wait()
    except ChildProcessError:
        return


def _children() -> list[int]:
    """Return this process's children; one that ended stays until it is waited for."""
    found, own = [], str(os.getpid()).encode()
    for name in os.listdir("/proc"):  # noqa: PTH208 - as below
        try:
            if name.isdigit():
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - the same
                    parent = file.read().rpartition(b")")[2].split()[1]
                if parent == own:
                    found.append(int(name))
        except OSError:
            continue  # it ended meanwhile
    return found


def _running() -> int:
    """Return how many threads this user has: the kernel counts them all against the limit."""
    found = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs as much as all the rest
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():  # noqa: PTH116
                found += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
        except OSError:
            continue  # it ended meanwhile
    return found


def _give_up() -> None:
    """Keep no capability, whoever gave the agent some, gain none again; and take orphans."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    for what, status in (
        ("ambient", libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)),
        ("capabilities", libc.capset(header, nothing)),
        ("child_subreaper", libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)),
        ("no_new_privs", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
    ):
        if status != 0:
            raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    main()
