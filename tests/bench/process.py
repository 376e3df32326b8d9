"""What a process costs, as the kernel accounts for it in /proc."""

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KIB = 1024
_WRITE_UNIT_BYTES = 512
"""Of `ru_oublock`: Linux keeps bytes and divides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A process since it began, or between two looks."""

    cpu_s: float
    """User and system time of all threads, those that have ended included."""
    written_bytes: int
    """Pages made dirty in files on a disk; a file in memory is none."""
    wakeups: int
    """Times that any thread went to sleep and was woken; threads that have ended are missing."""

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            cpu_s=self.cpu_s - before.cpu_s,
            written_bytes=self.written_bytes - before.written_bytes,
            wakeups=self.wakeups - before.wakeups,
        )


def usage(pid: int) -> Usage:
    """Return what a running process has used so far."""
    folder = Path("/proc", str(pid))
    # Behind the name in parentheses, which may hold spaces; utime and stime are fields 14 and 15.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    wakeups = 0
    for task in (folder / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            wakeups += _field(task / "status", "voluntary_ctxt_switches")
    return Usage(
        cpu_s=ticks / _TICKS_PER_S,
        written_bytes=_field(folder / "io", "write_bytes"),
        wakeups=wakeups,
    )


def memory_mb(pid: int) -> dict[str, float]:
    """Return resident, proportional and highest resident memory in MB of 2^20 bytes."""
    folder = Path("/proc", str(pid))
    kib = {
        "rss_mb": _field(folder / "status", "VmRSS"),
        "pss_mb": _field(folder / "smaps_rollup", "Pss"),
        "rss_peak_mb": _field(folder / "status", "VmHWM"),
    }
    return {name: round(value / _KIB, 1) for name, value in kib.items()}


def written_by_ended_children() -> int:
    """Return what every child that was waited for has written, from its start to its end."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock * _WRITE_UNIT_BYTES


def _field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise AssertionError(f"{path} has no {name}")
