"""The process between the agent and a script: gives up what a script must not have, then runs it.

Started as `python -I -S script_child.py MEMORY_BYTES CPU_S FILE_BYTES [UID GID]`, with the script
on standard input. Imports nothing of ours: it starts in a few milliseconds.
"""

import ctypes
import os
import resource
import sys

_BOUNDS = ("program", "memory", "processor time", "length of a file")
_PR_SET_NO_NEW_PRIVS = 38
"""include/uapi/linux/prctl.h: nothing it executes may gain what it does not have."""


def main() -> None:
    """Set the limits and become the shell."""
    memory, cpu, size = map(int, sys.argv[1:4])
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    if len(sys.argv) > len(_BOUNDS):
        user, group = map(int, sys.argv[4:6])
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    os.execve("/bin/sh", ["sh", "-s"], environment)  # noqa: S606 - what it is for


if __name__ == "__main__":
    main()
