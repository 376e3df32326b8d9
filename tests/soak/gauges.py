"""What a process and its folder hold at a moment, and whether that grew over a run."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.process import memory_mb

_KB: Final = 1 << 10
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bound:
    """How much more of something there may be at the end of a run than in its first half."""

    factor: float
    plus: float


BOUNDS: Mapping[str, Bound] = {
    # In twenty minutes are as many contacts as in half a month: each may leave nothing behind.
    "rss_mb": Bound(1.03, 1),
    "descriptors": Bound(1.0, 4),
    "threads": Bound(1.0, 2),
    "wal_mb": Bound(1.5, 2),
    "files": Bound(1.0, 4),
    "temporary": Bound(1.0, 2),
}
RATES: Mapping[str, Bound] = {"log_kb": Bound(1.5, 16)}
"""What always grows, and must not do so faster and faster: of each quarter counts the gain."""


def look(pid: int, folder: Path, log: Path, temporary: Path) -> dict[str, float]:
    """Return what a process holds open and in memory, and what lies where it writes."""
    process = Path("/proc", str(pid))
    files = [path for path in folder.rglob("*") if path.is_file()]
    wal = sum(size(path) for path in files if path.name.endswith("-wal"))
    return {
        "rss_mb": memory_mb(pid)["rss_mb"],
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        "wal_mb": round(wal / _MB, 3),
        "files": len(files),
        "temporary": sum(path.is_file() for path in temporary.rglob("*")),
        "log_kb": round(size(log) / _KB, 1),
    }


def size(path: Path) -> int:
    """Return a file's bytes; 0 when it went away meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def grown(
    samples: Sequence[Mapping[str, float]],
    bounds: Mapping[str, Bound] = BOUNDS,
    rates: Mapping[str, Bound] = RATES,
) -> list[str]:
    """Return what grew: the last quarter of a run is held against the second.

    The first quarter is left out: caches fill, code is loaded.
    """
    quarter = len(samples) // 4
    assert quarter >= 1, "too short a run tells nothing"
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    told = []
    for name, bound in bounds.items():
        before = statistics.median(one[name] for one in early)
        after = statistics.median(one[name] for one in late)
        if after > before * bound.factor + bound.plus:
            told.append(f"{name} from {before:g} to {after:g}")
    for name, bound in rates.items():
        before, after = (part[-1][name] - part[0][name] for part in (early, late))
        if after > before * bound.factor + bound.plus:
            told.append(f"{name} by {before:g}, then by {after:g}")
    return told
