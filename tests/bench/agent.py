"""What an agent costs its gateway: memory, processor, flash, bytes on the wire, wake-ups.

Five simulated Modbus TCP devices with eight points each, polled once a second. The agent is a
process of its own over files that exist already, with the product's defaults but one: it commits at
the end of the window instead of every 300 s, and those bytes are what its readings cost on flash.
The window begins with a contact, so TLS and all that it needs are in memory; what the stop at the
end costs, which seals, contacts once more and folds both write-ahead logs back, stands apart.
With `--sharing` there is a file that it offers to other gateways, so that zeroconf runs as well.
"""

import argparse
import asyncio
import tempfile
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from agent.store.artifacts import FOLDER
from shared import limits
from tests.bench.process import Usage, memory_mb, usage, written_by_ended_children
from tests.bench.station import PREFIX, Setup, Station, open_station
from tests.system.fleet_parts import until

DEFAULT_SYNC_S = 900.0
SHARED = 'allow = true\ninterfaces = ["lo"]'
LOOK_S = 0.5
"""How often an onlooker looks for the commit; it costs the agent nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seconds", type=int, default=60, help="until the commit (60)")
    parser.add_argument("--devices", type=int, default=5)
    parser.add_argument("--poll-interval-s", type=float, default=1.0)
    parser.add_argument("--sync-interval-s", type=float, default=DEFAULT_SYNC_S)
    parser.add_argument("--sharing", action="store_true", help="offer a file on the LAN meanwhile")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one window."""
    setup = Setup(
        devices=options.devices,
        poll_interval_s=options.poll_interval_s,
        uplink=f"sync_interval_s = {options.sync_interval_s}",
        telemetry=f"commit_interval_s = {options.seconds}",
        sharing=SHARED if options.sharing else "allow = false",
    )
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), setup, shares=options.sharing))


async def measure(folder: Path, setup: Setup, *, shares: bool) -> dict[str, Any]:
    """Start a site, watch its agent until it commits, stop it."""
    async with open_station(folder, setup) as (_, station):
        if shares:
            _shelve(station)
        await station.begin()
        await station.stop()
        await station.begin()
        if shares:
            await until("it offers its file", partial(_offers, station))
        assert station.agent is not None
        pid = station.agent.process.pid
        before, sampled, wire = usage(pid), _sampled(station), station.link.stats.total_bytes
        began = time.monotonic()
        window = await _until_written(pid, before)
        seconds, readings = time.monotonic() - began, _sampled(station) - sampled
        memory = memory_mb(pid)
        ended = written_by_ended_children()
        await station.stop()
        at_stop = written_by_ended_children() - ended - before.written_bytes - window.written_bytes
        tally = (await station.status())["tally"]
        assert tally["delivered"] == tally["sampled"], tally
        sent = tally["delivered"] - sampled
        wire = station.link.stats.total_bytes - wire
    return {
        **memory,
        "cpu_percent": round(100 * window.cpu_s / seconds, 2),
        "disk_bytes_per_reading": round(window.written_bytes / readings, 2),
        "wire_bytes_per_reading": round(wire / sent, 3),
        "wakeups_per_s": round(window.wakeups / seconds, 1),
        "seconds": round(seconds, 1),
        "readings": readings,
        "disk_bytes_at_stop": at_stop,
    }


async def _until_written(pid: int, before: Usage) -> Usage:
    """Wait until the agent writes to its disk, and let it finish; return what it used."""
    while usage(pid).written_bytes == before.written_bytes:
        await asyncio.sleep(LOOK_S)
    await asyncio.sleep(LOOK_S)
    return usage(pid).since(before)


def _shelve(station: Station) -> None:
    """Let the gateway have a file that came today."""
    data = bytes(limits.SHARE_LEAST_BYTES)
    (station.data / FOLDER).mkdir()
    (station.data / FOLDER / sha256(data).hexdigest()).write_bytes(data)


async def _offers(station: Station) -> bool | None:
    log = (station.folder.parent / f"agent-{station.site.name}.log").read_text()
    return '"event": "sharing"' in log or None


def _sampled(station: Station) -> int:
    status = station.live()
    assert status is not None, "it runs"
    return int(status["tally"]["sampled"])
