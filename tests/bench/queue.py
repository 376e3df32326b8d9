"""Executions per second through the agent's queue, and what one costs its flash and its battery.

Beside it stands the limit of a queue that waits for the disk at each transition
(`tests.bench.queue_limit`), in the same run, on the same disk, alternating with what is measured.
What grouping gains depends on what a sync costs, so both are measured once more where each takes
two milliseconds, as on a gateway's flash. Syncs are counted where the kernel gets them, checkpoints
included, by the recorder of the power-cut tests; without a C compiler these figures are null. Other
queues stand beside it as far as they are installed.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.engine import Site, make_engine
from agent.services.calendar import Calendar
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared.ids import DeviceId
from shared.runtime.clock import SystemClock, SystemEntropy
from tests.agent_parts import NEVER, admitted, uid, write_job
from tests.bench.process import usage
from tests.bench.queue_limit import limit, with_slow_disk
from tests.bench.queue_peers import huey, persist_queue
from tests.bench.queue_work import Work
from tests.power.recording import Kind, record

WIDE = 32
FLASH_US = 2_000
"""What a sync takes on the SD card or eMMC of a gateway, at its best."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--jobs", type=int, default=4_000, help="with 32 in flight (4000)")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (3)")
    parser.add_argument("--idle-s", type=float, default=5, help="how long nothing happens (5)")
    parser.add_argument("--dir", type=Path, default=None, help="where the disk is (temporary)")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure, alternating, so that a disk that has a bad minute has it for all."""
    few = max(50, options.jobs // 10)
    rounds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, measure, count in (
            ("limit_per_s", limit, few),
            ("exec_per_s_1", _narrow, few),
            ("exec_per_s_32", _wide, options.jobs),
            ("huey_per_s", huey, few),
            ("persist_queue_per_s", persist_queue, few),
        ):
            if (rate := _in_folder(options.dir, measure, count)) is not None:
                rounds.setdefault(name, []).append(rate)
    rates = {name: round(statistics.median(found), 1) for name, found in rounds.items()}
    ratios = [
        wide / limit
        for wide, limit in zip(rounds["exec_per_s_32"], rounds["limit_per_s"], strict=True)
    ]
    written = _in_folder(options.dir, _written, options.jobs)
    idle = _in_folder(options.dir, lambda folder, _: asyncio.run(_idle(folder, options.idle_s)), 0)
    flash = with_slow_disk(FLASH_US, options.jobs, WIDE)
    return {
        **{name: rates[name] for name in ("limit_per_s", "exec_per_s_1", "exec_per_s_32")},
        "ratio_32": round(statistics.median(ratios), 2),
        "fsync_per_job_32": _in_folder(options.dir, _synced, options.jobs),
        "bytes_per_job_32": written,
        "idle_wakeups_per_s": idle,
        "limit_per_s_flash": None if flash is None else round(flash[0], 1),
        "exec_per_s_32_flash": None if flash is None else round(flash[1], 1),
        "ratio_32_flash": None if flash is None else round(flash[1] / flash[0], 2),
        "huey_per_s": rates.get("huey_per_s"),
        "persist_queue_per_s": rates.get("persist_queue_per_s"),
    }


def _in_folder(
    parent: Path | None, measure: Callable[[Path, int], float | None], count: int
) -> float | None:
    with tempfile.TemporaryDirectory(prefix="outstation-queue-", dir=parent) as folder:
        return measure(Path(folder), count)


# --- ours -----------------------------------------------------------------------------------------
def _narrow(folder: Path, count: int) -> float:
    return asyncio.run(_executed(folder, count, 1))[0]


def _wide(folder: Path, count: int) -> float:
    return asyncio.run(_executed(folder, count, WIDE))[0]


def _written(folder: Path, count: int) -> float:
    return round(asyncio.run(_executed(folder, count, WIDE))[1] / count, 1)


async def _executed(folder: Path, count: int, width: int) -> tuple[float, int]:
    """Return executions per second, and the bytes that went to the disk for all of them."""
    work = Work(folder, width=width)
    await work.fill(count)
    before, begun = usage(os.getpid()), time.perf_counter()
    await work.run(count)
    took, used = time.perf_counter() - begun, usage(os.getpid()).since(before)
    await work.close()
    return count / took, used.written_bytes


def _synced(folder: Path, count: int) -> float | None:
    """Return syncs of one execution as the kernel got them; None without a C compiler."""
    place = folder / "data"
    place.mkdir()
    try:
        operations = record(place, "tests.bench.queue_work", [str(count), str(WIDE)])
    except pytest.skip.Exception:
        return None
    said = [at for at, one in enumerate(operations) if one.kind is Kind.SAID]
    between = operations[said[0] : said[-1]]
    synced = sum(one.kind in {Kind.SYNCED, Kind.FOLDER_SYNCED} for one in between)
    return round(synced / count, 4)


async def _idle(folder: Path, seconds: float) -> float:
    """Return how often per second anything wakes up while one job waits for tomorrow."""
    clock, entropy = SystemClock(), SystemEntropy()
    file = await JobsFile(folder, entropy).open()
    calendar = Calendar(clock)
    bundle = admitted(1, (uid(1), write_job(1, delay_s=86_400)), not_after=NEVER)
    planned = [Planned(job, (DeviceId("pump-1"),)) for job in bundle.jobs]
    await JobStore(file).admit(bundle, planned, now=calendar.now())
    engine = make_engine(
        file,
        {},
        Site(agent="north", data_dir=folder, zone="UTC", metered=False, link=dict),
        calendar=calendar,
        clock=clock,
        entropy=entropy,
        permits=(_permitted, _may_write, _no_script),
        bells=(_ring, _ring),
    )
    running = [asyncio.create_task(service.run()) for service in engine.services]
    await asyncio.sleep(1)
    before = usage(os.getpid()).wakeups
    # In a single call: the watcher's own sleep is the one wake-up that is not counted.
    await asyncio.sleep(seconds)
    woken = usage(os.getpid()).wakeups - before - 1
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await file.close()
    return round(max(0, woken) / seconds, 2)


async def _permitted(*_: Any) -> None:
    """Let every attempt begin."""


def _may_write(*_: Any) -> None:
    """Let every write be."""


def _no_script(*_: Any) -> None:
    """Know of no script."""


def _ring() -> None:
    """Tell nobody."""
