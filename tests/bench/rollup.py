"""Readings rolled up per second on one core, and what a contact waits meanwhile.

Blocks of a pump (channels once a second) are stored as a contact brings them, then rolled up by
the coordinator's own loop: reading, decoding, computing and writing are all counted. Meanwhile
small durable commits go through the same writer, as contacts do.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from coordinator.core.ports import Tx, execute
from coordinator.core.rollup import MINUTE_S
from coordinator.services.bell import Bell
from coordinator.services.rollups import Rollups
from coordinator.store.sqlite import SqliteStore
from shared.clock import MonoMs
from tests.readings_office import AGENT, NOW, VirtualClock, add_agent, block, bring, group, rolled

CHANNELS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--readings", type=int, default=600_000)
    parser.add_argument("--rows", type=int, default=900, help="rows per block (default 900)")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure in a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder) / "coordinator.db", options))


async def _measure(path: Path, options: argparse.Namespace) -> Mapping[str, object]:
    rows = options.rows
    count = max(1, options.readings // (rows * CHANNELS))
    async with await SqliteStore.open(path) as store:
        await add_agent(store)
        for number in range(count):
            start_ms = NOW + number * rows * 1000
            times = [start_ms + 1000 * row for row in range(rows)]
            columns = [
                [(row * 7 + channel) % 100 / 10 for row in range(rows)] for channel in range(3)
            ]
            mono_ms = MonoMs(10**9 + number * rows * 1000)
            await bring(store, block(number + 1, group(times, *columns), mono_ms=mono_ms))
        service = Rollups(store, VirtualClock(), Bell())
        waits: list[float] = []
        committing = asyncio.create_task(_commit(store, waits))
        wall, cpu = time.perf_counter(), time.process_time()
        while await service.step():
            pass
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        committing.cancel()
        await asyncio.wait((committing,))
        minutes = await rolled(store, MINUTE_S)
    readings = count * rows * CHANNELS
    assert sum(bucket.count for bucket in minutes.values()) == readings, "every reading, once"
    return {
        "readings": readings,
        "blocks": count,
        "rows_per_block": rows,
        "minutes": len(minutes),
        "readings_per_s": round(readings / cpu),
        "readings_per_s_wall": round(readings / wall),
        "commit_ms_median": round(statistics.median(waits) * 1000, 2),
        "commit_ms_max": round(max(waits) * 1000, 2),
    }


async def _commit(store: SqliteStore, waits: list[float]) -> None:
    """Commit as a contact does, again and again; note how long each took."""

    def note(number: int) -> Tx[None]:
        yield from execute("intake_day_save", AGENT, 1, number)

    number = 0
    while True:
        number += 1
        began = time.perf_counter()
        await store.run(partial(note, number), durable=True)
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)
