"""What this process writes to its disk, and how long a card lasts at that pace.

Owns the kernel's count of bytes that really went to storage (memory-backed files are not in it) and
the arithmetic of wear. Leaves out spending less (`agent.services.keeper`). No card tells its wear;
the figures here are those of cheap ones, so a better card lasts longer than it says.
"""

import os
from pathlib import Path

from agent.core.status import FlashStatus

CYCLES = 500
"""Erasures that a cell of a cheap TLC card survives; industrial ones are rated for 3,000."""
AMPLIFICATION = 8
"""Bytes that a card moves for each byte of small scattered writes: it erases whole blocks."""
SETTLED_MS = 600_000
"""A start writes more than a day's minute: before this nothing is said."""
YEARS_MAX = 99
_DAY_MS = 86_400_000
_IO = Path("/proc/self/io")


def look_at_flash(data_dir: Path, lived_ms: int) -> FlashStatus | None:
    """Return what the disk of `data_dir` bears; None while it is too early, or nobody counts."""
    if lived_ms < SETTLED_MS:
        return None
    try:
        written = _written(_IO.read_text())
        disk = os.statvfs(data_dir)
    except OSError:
        return None
    return projected(written, lived_ms, disk.f_blocks * disk.f_frsize)


def projected(written: int, lived_ms: int, disk_bytes: int) -> FlashStatus:
    """Return the pace of `written` bytes in `lived_ms`, and the life of a card of that size.

    >>> projected(10_000_000, 86_400_000, 8_000_000_000).years
    99
    """
    day_bytes = written * _DAY_MS // lived_ms
    if not day_bytes:
        return FlashStatus(day_bytes=0)
    years = disk_bytes * CYCLES // AMPLIFICATION // day_bytes // 365
    return FlashStatus(day_bytes=day_bytes, years=min(years, YEARS_MAX))


def _written(text: str) -> int:
    """Return `write_bytes` of /proc/PID/io (proc(5)); less what was taken back before it went."""
    found = dict(line.split(": ") for line in text.splitlines())
    return max(0, int(found["write_bytes"]) - int(found["cancelled_write_bytes"]))
