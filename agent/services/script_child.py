"""The process between the agent and a script: gives up what a script must not have, then runs it.

Started as `python -I -S script_child.py MEMORY_BYTES CPU_S FILE_BYTES PROCESSES [UID GID]`, with
the script on standard input. Imports nothing of ours: it starts in a few milliseconds.
"""

import ctypes
import os
import resource
import sys

_BOUNDS = ("program", "memory", "processor time", "length of a file", "processes")
_PR_SET_NO_NEW_PRIVS = 38
"""include/uapi/linux/prctl.h: nothing it executes may gain what it does not have."""
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITIES_3 = 0x20080522
"""include/uapi/linux/capability.h: 64 capabilities, in two halves of three sets each."""


def main() -> None:
    """Set the limits and become the shell."""
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
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    os.execve("/bin/sh", ["sh", "-s"], environment)  # noqa: S606 - what it is for


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
    """Keep no capability, whoever gave the agent some, and gain none again."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    for what, status in (
        ("ambient", libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)),
        ("capabilities", libc.capset(header, nothing)),
        ("no_new_privs", libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
    ):
        if status != 0:
            raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    main()
