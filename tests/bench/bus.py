"""Round trips and CPU on buses, and images over SMP, beside clients that others wrote.

`smp_line_share` is how much of a line of 115 200 baud an upload fills, framing included: 1.0 is a
line that is never silent. `smp_ratio` is an unpaced upload's speed over smpclient's on the same
pseudo-terminal. `modbus_cpu_ratio` is what one read costs pymodbus' client over what it costs us,
and `merged_ratio` what one look at a profile's points takes point by point over in merged reads, at
9600 baud. The devices are processes of their own; every client is measured alone.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import bus_modbus, bus_smp
from tests.bench.station import PREFIX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--reads", type=int, default=500, help="of each Modbus client (500)")
    parser.add_argument("--image-kb", type=int, default=64, help="sent at line speed (64)")
    parser.add_argument("--unpaced-kb", type=int, default=256, help="sent unpaced (256)")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts (3)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), options))


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure each part in turn, so that none weighs on another's figures."""
    line = [await bus_smp.paced(folder, options.image_kb) for _ in range(options.rounds)]
    ours = [await bus_smp.unpaced(folder, options.unpaced_kb) for _ in range(options.rounds)]
    theirs = [await bus_smp.smpclient(folder, options.unpaced_kb) for _ in range(options.rounds)]
    clients = [await bus_modbus.clients(folder, options.reads) for _ in range(options.rounds)]
    merged = await bus_modbus.merging(folder)
    cpu = {name: median(one[name]["cpu_us"] for one in clients) for name in clients[0]}
    trip = {name: median(one[name]["round_trip_us"] for one in clients) for name in clients[0]}
    known = [one for one in theirs if one is not None]
    return {
        "smp_line_share": round(median(line), 4),
        "smp_ratio": round(median(ours) / median(known), 2) if known else None,
        "modbus_cpu_ratio": round(cpu["pymodbus"] / cpu["ours"], 2),
        "merged_ratio": round(merged["apart_ms"] / merged["merged_ms"], 2),
        "smp_kb_s": {
            "ours": round(median(ours), 1),
            "smpclient": round(median(known), 1) if known else None,
        },
        "modbus_cpu_us": {name: round(value) for name, value in cpu.items()},
        "modbus_round_trip_us": {name: round(value) for name, value in trip.items()},
        "look_at_9600_baud": merged,
    }
