"""Polls lost to a link that goes silent, is reset, and to a kill -9 of the agent afterwards.

The gateway of today lost 110 of 130 readings in the first half of this (25 s without a packet and
without an error, then a reset). The judge is each device's own ledger: it counts its polls into a
register that is polled as well, so every number from 1 on has to arrive exactly once. A poll whose
answer was on its way when the kill came was never taken; it is shown, and is not lost.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.station import PREFIX, Setup, Station, open_station
from tests.system.fleet import Fleet

BEFORE_S = 5
"""Of normal work, so that the link is up and contacts are regular."""
POLLED = "poll_count"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--silent-s", type=float, default=25.0, help="without a packet (25)")
    parser.add_argument(
        "--after-s", type=float, default=60.0, help="between reset and kill (60; the promise: 600)"
    )
    parser.add_argument("--poll-interval-s", type=float, default=1.0)
    parser.add_argument("--sync-interval-s", type=float, default=5.0)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one failure after the other."""
    setup = Setup(
        poll_interval_s=options.poll_interval_s,
        uplink=f"sync_interval_s = {options.sync_interval_s}",
    )
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), setup, options.silent_s, options.after_s))


async def measure(folder: Path, setup: Setup, silent_s: float, after_s: float) -> dict[str, Any]:
    """Let it all happen to one site, then compare what was served with what arrived."""
    async with open_station(folder, setup) as (fleet, station):
        await station.begin()
        await asyncio.sleep(BEFORE_S)
        station.link.black_hole(True)
        await asyncio.sleep(silent_s)
        station.link.black_hole(False)
        await asyncio.sleep(after_s)
        await station.kill()
        at_kill = {place.id: station.record(place.id).polls() for place in station.site.devices}
        await station.begin()
        await station.polled(3)
        await station.stop()
        return await compare(fleet, station, at_kill)


async def compare(fleet: Fleet, station: Station, at_kill: dict[str, int]) -> dict[str, Any]:
    """Return how many polls the devices served, and what became of them."""
    polls, lost, twice, in_flight = 0, 0, 0, 0
    for name, newest in at_kill.items():
        served = station.record(name).polls()
        arrived = [value for value in await fleet.series(station, name, POLLED) if value]
        missing = set(range(1, served + 1)) - {int(value) for value in arrived}
        polls += served
        in_flight += newest in missing
        lost += len(missing - {newest})
        twice += len(arrived) - len(set(arrived))
    tally = (await fleet.agent_view(station))["tally"]
    return {
        "polls": polls,
        "lost": lost,
        "twice": twice,
        "in_flight_at_kill": in_flight,
        "readings": tally["delivered"],
        "readings_in_loss_ledger": tally["lost"],
        "resets": station.link.stats.resets,
        "kills": station.kills,
    }
