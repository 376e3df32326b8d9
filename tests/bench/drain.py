"""A long backlog over a thin, slow link: how much of the link is used, how soon the present shows.

The backlog is recorded straight into the agent's store: five devices with eight points, once a
minute, as the defaults have it. Then the agent starts as a process of its own, behind a link of
256 kbit/s with 600 ms of delay each way, and sends all of it. The use of the link is the share of
its capacity, from the first byte to the last acknowledgement, that carried TLS bytes upwards.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.config import load_config
from agent.core.ports import PollRow
from agent.core.sampler import PollGroup, channel_table
from agent.store.telemetry import TelemetryStore
from firmware_sim.device import Device
from firmware_sim.model import Table
from firmware_sim.models import find_model
from shared import limits
from shared.clock import WallMs
from shared.model.reading import Quality
from shared.runtime.clock import SystemClock, SystemEntropy
from tests.bench.outpost import BenchClock
from tests.bench.process import memory_mb
from tests.bench.station import MODEL, PREFIX, Setup, Station, open_station
from tests.system.fleet import Fleet

DAY_MS = 86_400_000
POLL_S = 60
LOOK_S = 0.25
PATIENCE_S = 3_600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--days", type=float, default=1.0, help="of backlog (1; the promise: 30)")
    parser.add_argument("--rate-bps", type=int, default=256_000)
    parser.add_argument("--delay-ms", type=int, default=600, help="one way (600)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one backlog."""
    setup = Setup(poll_interval_s=POLL_S)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), setup, options))


async def measure(folder: Path, setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """Make the backlog, thin the link, let the agent send."""
    async with open_station(folder, setup) as (fleet, station):
        readings, newest_ms = await record(station, options.days)
        station.link.rate_bps, station.link.delay_ms = options.rate_bps, options.delay_ms
        before = station.link.stats.bytes_up
        await station.start()

        async def begun() -> bool:
            return station.link.stats.bytes_up > before

        began = await _until(station, begun)
        visible = asyncio.create_task(_newest_visible(fleet, station, newest_ms))
        ended = await _drained(fleet, station, readings)
        seconds, up = ended - began, station.link.stats.bytes_up - before
        contacts = (await fleet.agent_view(station))["link"]["contacts"]
        assert station.agent is not None
        memory = memory_mb(station.agent.process.pid)
        newest_visible_s = await visible - began
    return {
        "link_use": round(up * 8 / options.rate_bps / seconds, 3),
        "newest_visible_s": round(newest_visible_s, 1),
        "rss_mb_max": memory["rss_peak_mb"],
        "days": options.days,
        "readings": readings,
        "bytes_up": up,
        "seconds": round(seconds, 1),
        "contacts": contacts,
        "connections": station.link.stats.connections,
    }


async def record(station: Station, days: float) -> tuple[int, WallMs]:
    """Record a backlog that ends now; return its readings and the time of the newest."""
    config = load_config(station.config)
    table = channel_table(config.devices)
    clock = BenchClock(SystemClock().wall_ms() - int(days * DAY_MS))
    model = find_model(str(MODEL))
    devices = {
        group.device: Device(model, unit=number)
        for number, group in enumerate(table.groups, start=1)
    }
    store = await TelemetryStore.open(
        config.data_dir,
        config.runtime_dir,
        table,
        config.telemetry,
        clock=clock,
        entropy=SystemEntropy(),
    )
    newest_ms = clock.wall_ms()
    while clock.passed_ms < days * DAY_MS:
        newest_ms = clock.wall_ms()
        for group in table.groups:
            await store.record(_row(group, devices[group.device], clock))
        if store.status.open_readings >= limits.COMMIT_POINTS:
            await store.keep()
        clock.passed_ms += POLL_S * 1000
    await store.seal()
    readings = (await store.tally()).stored
    await store.close()
    return readings, newest_ms


def _row(group: PollGroup, device: Device, clock: BenchClock) -> PollRow:
    points = device.points
    words = device.read(Table.INPUT, 0, points[-1].end, now_s=clock.wall_ms() / 1000)
    assert isinstance(words, tuple), words
    order = device.model.word_order
    values = [round(point.decode(words[point.address : point.end], order), 6) for point in points]
    return PollRow(
        channels=group.channels,
        at=clock.now(),
        values=values,
        qualities=[Quality.GOOD] * len(values),
    )


async def _newest_visible(fleet: Fleet, station: Station, newest_ms: WallMs) -> float:
    """Return when the newest reading of the backlog was there for everybody to see."""
    agent = (await fleet.agent_view(station))["id"]

    async def shown() -> bool:
        view = await fleet.admin.get("/v1/readings", agent=agent, point="level", limit=1)
        times = [datetime.fromisoformat(series["times"][-1]) for series in view["series"]]
        return any(time.timestamp() * 1000 >= newest_ms for time in times)

    return await _until(station, shown)


async def _drained(fleet: Fleet, station: Station, readings: int) -> float:
    """Return when the coordinator had committed the whole backlog."""

    async def done() -> bool:
        return int((await fleet.agent_view(station))["tally"]["delivered"]) >= readings

    return await _until(station, done)


async def _until(station: Station, check: Callable[[], Awaitable[bool]]) -> float:
    """Look until it is true; return when that was."""
    async with asyncio.timeout(PATIENCE_S):
        while not await check():
            station.check()
            await asyncio.sleep(LOOK_S)
    return time.monotonic()
