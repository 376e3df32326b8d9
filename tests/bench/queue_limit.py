"""The limit of a queue that waits for the disk at each transition, with SQLite and nothing else.

One transaction claims, one ends, both with `synchronous=FULL`, over one bare row. Also a program
of its own, which measures the limit and ours beside it under a disk whose sync takes a given time
(`slow_disk.c`): flash of a gateway takes milliseconds, a data centre's disk hardly any.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.queue_work import Work

_SCHEMA = """
CREATE TABLE job (id INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,
    args BLOB NOT NULL, result BLOB) STRICT;
CREATE INDEX job_ready ON job (due, id) WHERE state = 0;
"""
_SOURCE = Path(__file__).with_name("slow_disk.c")


def limit(folder: Path, count: int) -> float:
    """Return executions per second with one transaction for each transition."""
    db = sqlite3.connect(folder / "limit.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    db.executemany("INSERT INTO job (args) VALUES (?)", [(b"x" * 200,)] * count)
    begun = time.perf_counter()
    for _ in range(count):
        db.execute("BEGIN IMMEDIATE")
        [(job,)] = db.execute(
            "UPDATE job SET state = 1, attempt = attempt + 1 WHERE id = (SELECT id FROM job"
            " WHERE state = 0 AND due <= 1 ORDER BY due, id LIMIT 1) RETURNING id"
        ).fetchall()
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE job SET state = 2, result = ? WHERE id = ?", (b"y" * 40, job))
        db.execute("COMMIT")
    took = time.perf_counter() - begun
    db.close()
    return count / took


async def executed(folder: Path, count: int, width: int) -> float:
    """Return executions per second through our queue with so many in flight."""
    work = Work(folder, width=width)
    await work.fill(count)
    begun = time.perf_counter()
    await work.run(count)
    took = time.perf_counter() - begun
    await work.close()
    return count / took


def with_slow_disk(sync_us: int, count: int, width: int) -> tuple[float, float] | None:
    """Return the limit and ours where a sync takes so long; None without a C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="outstation-queue-") as folder:
        library = Path(folder, "slow_disk.so")
        build = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE)]
        subprocess.run(build, check=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.queue_limit", folder, str(count), str(width)],
            env={**os.environ, "LD_PRELOAD": str(library), "SLOW_DISK_US": str(sync_us)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    bare, ours = json.loads(done.stdout)
    return bare, ours


if __name__ == "__main__":
    _place, _count, _width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _bare = limit(_place, max(50, _count // 10))
    print(json.dumps([_bare, asyncio.run(executed(_place, _count, _width))]))
