"""A rollout over a whole fleet: what creating, staging and folding it costs, and if it is linear.

Three fleets, of a tenth, of three tenths and of `--agents`, each in a process of its own so that
its memory is its own. Parts: `create` (checks, targets, cohorts, members), `steps` (all releases
and all folds, the dispatcher's transactions), `receipts` (what contacts pay to tell of an end),
`view`. `growth` is the processors' time for one agent of the whole fleet by that of a tenth.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.store.postgres import PostgresStore
from coordinator.store.sqlite import SqliteStore
from tests.bench.process import memory_mb
from tests.bench.rollout_play import TOGETHER, Meter, Rollout, Store, cpu_s_of_tree, fill
from tests.postgres_parts import Server

_PARTS = (0.1, 0.3, 1.0)
_CLEAR_PEAK = "5"
"""What Linux forgets the highest resident memory by, proc_pid_clear_refs(5)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--together", type=int, default=TOGETHER, help="answers to a commit (16)")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure each size in a process and a database of its own."""
    sizes = [max(100, round(options.agents * part)) for part in _PARTS]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as processes:
        plays = (partial(_measure, options.database, size, options.together) for size in sizes)
        found = [processes.submit(play).result() for play in plays]
    per_agent = [one["cpu_us_per_agent"] for one in found]
    return {
        "database": options.database,
        "together": options.together,
        "growth": round(per_agent[-1] / per_agent[0], 2),
        **{str(size): one for size, one in zip(sizes, found, strict=True)},
    }


def _measure(database: str, agents: int, together: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="outstation-bench-") as folder:
        return asyncio.run(_play(database, Path(folder), agents, together))


async def _play(database: str, folder: Path, agents: int, together: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        store, server = await _open(database, folder, stack)
        await fill(store, agents)
        await asyncio.to_thread(Path("/proc/self/clear_refs").write_text, _CLEAR_PEAK)
        before_mb = memory_mb(os.getpid())["rss_mb"]
        meter = Meter(None if server is None else partial(cpu_s_of_tree, server.pid))
        rollout = Rollout(store, meter, together)
        written = _written_bytes()
        await rollout.play()
        cpu_s = sum(meter.cpu_s.values())
        return {
            "cpu_us_per_agent": round(cpu_s / agents * 1e6),
            "cpu_s": {part: round(seconds, 2) for part, seconds in meter.cpu_s.items()},
            "wall_s": {part: round(seconds, 2) for part, seconds in meter.wall_s.items()},
            "written_kb_per_agent": round((_written_bytes() - written) / agents / 1000, 1),
            "steps": rollout.steps,
            "step_ms": round(meter.cpu_s["steps"] / rollout.steps * 1000, 1),
            "rss_before_mb": before_mb,
            "rss_peak_mb": memory_mb(os.getpid())["rss_peak_mb"],
        }


def _written_bytes() -> int:
    """Return what this process ever wrote to files: of a database server nothing."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


async def _open(database: str, folder: Path, stack: AsyncExitStack) -> tuple[Store, Server | None]:
    """Open an empty store; return it with the server that it is on, if it is on one."""
    if database == "sqlite":
        path = folder / "coordinator.db"
        return await stack.enter_async_context(await SqliteStore.open(path)), None
    server = await asyncio.to_thread(Server, autovacuum="on")
    stack.push_async_callback(asyncio.to_thread, server.remove)
    await asyncio.to_thread(server.start)
    store = await PostgresStore.open(server.url("postgres"))
    return await stack.enter_async_context(store), server
