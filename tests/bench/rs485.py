"""Thirty-one slaves on one RS-485 line, some dead from the start: what the living keep.

A simulated line on a real pseudo-terminal, paced at its baud rate, and the agent as a process of
its own. The interval is chosen so that all slaves together would fill the line to `--load`. The
devices' own ledger is what counts, from the first request that came: the worst of the living stands
beside the mean.
"""

import argparse
import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from agent.buses.timing import line_timing
from agent.core.ports import BusSettings
from agent.core.utilisation import Pace, poll_ms
from agent.drivers.modbus.plan import frame_bytes, plan
from firmware_sim.demo import processes
from shared.model.profile import parse_profile
from tests.bench.station import MODEL, PREFIX, PROFILE

_UNITS_PER_MS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seconds", type=int, default=60, help="from the first request (60)")
    parser.add_argument("--slaves", type=int, default=31)
    parser.add_argument("--dead", type=int, default=3)
    parser.add_argument("--load", type=float, default=0.8, help="share of the line (0.8)")
    parser.add_argument("--baud", type=int, default=9_600)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one window."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), options))


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start the line and an agent, let it poll, read the ledger."""
    port, ledger = folder / "rs485", folder / "ledger"
    url = f"serial://{port}?baud={options.baud}&parity=E"
    interval_ms = _interval_ms(url, options)
    step = max(1, options.slaves // max(1, options.dead))
    dead = set(range(step, options.slaves + 1, step)[: options.dead])
    alive = [unit for unit in range(1, options.slaves + 1) if unit not in dead]
    devices = [f"{MODEL}@{unit}" for unit in alive]
    where = ("--serial", str(port), "--baud", str(options.baud), "--ledger", str(ledger))
    line = await processes.start(
        "line", processes.command("firmware_sim", "device", *devices, *where), folder
    )
    try:
        config = folder / "agent.toml"
        config.write_text(_configuration(folder, url, options.slaves, interval_ms))
        argv = processes.command("agent", "run", "--config", str(config))
        agent = await processes.start("agent", argv, folder, ready=False)
        try:
            polls = await _watch(ledger, options.seconds)
            agent.check()
        finally:
            await agent.stop()
    finally:
        await line.stop()
    return _figures(polls, alive, dead, interval_ms, options)


def _interval_ms(url: str, options: argparse.Namespace) -> int:
    """Return the poll interval at which all slaves together fill the line as asked."""
    profile = parse_profile(PROFILE.read_text(), source=str(PROFILE))
    timing = line_timing(BusSettings(name="rs485", url=url))
    pace = Pace(
        seconds_per_byte=timing.seconds_per_byte,
        silence_s=max(0.005, timing.silence_s),
        turnaround_s=0.005,
    )
    frames = [frame_bytes(block) for block in plan(profile.polled, profile.limits)]
    return round(options.slaves * poll_ms(frames, pace) / options.load)


def _configuration(folder: Path, url: str, slaves: int, interval_ms: int) -> str:
    lines = ["[agent]", f'data_dir = "{folder}/data"', f'runtime_dir = "{folder}/run"']
    lines += ["[[bus]]", 'name = "rs485"', f'url = "{url}"']
    for unit in range(1, slaves + 1):
        lines += [
            "[[device]]",
            f'id = "slave-{unit}"',
            'bus = "rs485"',
            f"address = {unit}",
            f'profile = "{PROFILE}"',
            f"poll_interval_s = {interval_ms / 1000}",
        ]
    return "\n".join([*lines, ""])


async def _watch(ledger: Path, seconds: int) -> list[tuple[int, int]]:
    """Return (mono_ms, unit) of the reads answered within so many seconds of the first."""
    while not (polls := _polls(ledger)):
        await asyncio.sleep(0.1)
    await asyncio.sleep(seconds + 1)
    first_ms = polls[0][0]
    polls = _polls(ledger)
    return [one for one in polls if one[0] < first_ms + seconds * _UNITS_PER_MS]


def _polls(ledger: Path) -> list[tuple[int, int]]:
    if not ledger.exists():
        return []
    text = ledger.read_text()
    entries = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
    return [(entry["mono_ms"], entry["unit"]) for entry in entries if entry.get("ok")]


def _figures(
    polls: list[tuple[int, int]],
    alive: list[int],
    dead: set[int],
    interval_ms: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    counts = Counter(unit for _, unit in polls)
    due = options.seconds * 1000 // interval_ms
    shares = [min(1.0, counts[unit] / due) for unit in alive]
    return {
        "slaves": options.slaves,
        "dead": len(dead),
        "utilisation": options.load,
        "live_rate_share": round(sum(shares) / len(shares), 4),
        "worst_live_rate_share": round(min(shares), 4),
        "interval_ms": interval_ms,
        "seconds": options.seconds,
        "polls": len(polls),
    }
