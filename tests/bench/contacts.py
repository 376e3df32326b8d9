"""Contacts a second: a whole simulated fleet against its coordinators, signatures and all.

The product's own programs: `outstation-coordinator run --behind-proxy` pinned to one core, with its
background process, the database's server and `outstation-sim fleet` on the other. `--replicas 2`
are behind a balancer of connections, all of it unpinned. Agents are enrolled through the real
transaction and have made one contact before anything is timed; then they are drawn at random, each
contact on a connection of its own with one block of 60 readings. First as many as are answered,
then a thousand a second, by chance, and how far rollups are behind at the end. Then seven tenths of
the most, for the times; then three tenths, alone and beside one agent that sends the same contact
from 16 connections without end. Native TLS (a full
handshake for each contact) is timed last. `db_bytes_per_reading` is what the database grew by,
rollups included. `contacts_per_s_of_a_core` is computed, not seen: what a coordinator would do that
had a whole core and was never kept waiting, by a disk, the callers or what shares the machine.

`--ingest` measures what the database takes in instead, in blocks and in rows;
`--registered N` what a contact costs with 1,000 and with N registered agents.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from firmware_sim.fleet.gateway import Gateway
from firmware_sim.fleet.readings import Shape
from firmware_sim.fleet.roster import Roster
from shared.errors import MistakeError
from shared.runtime.clock import SystemClock
from tests.bench.contacts_growth import FEW, growth
from tests.bench.contacts_house import (
    AT_ONCE,
    OTHER,
    House,
    caught_up,
    coordinators,
    core,
    house,
    play,
)
from tests.bench.contacts_ingest import ingest
from tests.bench.contacts_people import fleet_of, let_in

_PART = 0.7
_FEW = 0.3
"""Of what is possible, while one agent floods."""
_WANTED = 1_030.0
"""A second, by chance: a thousand and something, whatever the dice say."""
_FLOOD_LINES = 16
_FIRST_S = 600.0
"""For the first contacts of all."""
_TIMES = ("contacts_per_s", "p50_ms", "p90_ms", "p99_ms", "refused")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--replicas", type=int, choices=(1, 2), default=1)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--rows", type=int, default=15, help="readings of a channel in a block")
    parser.add_argument(
        "--ingest", action="store_true", help="blocks of 1,024 readings beside rows, no contacts"
    )
    parser.add_argument(
        "--registered", type=int, default=0, help="beside 1,000; nothing else is measured"
    )
    parser.add_argument("--callers", type=int, default=FEW, help="of the registered (1000)")
    parser.add_argument("--waves", type=int, default=50, help="blocks of each of 16 agents (50)")


def check(options: argparse.Namespace) -> None:
    """Check that what is asked for can be measured.

    Raises:
        MistakeError: it cannot.
    """
    if options.replicas > 1 and options.database == "sqlite":
        raise MistakeError(
            "SQLite has one coordinator", where="--replicas", mend="add --database postgres"
        )
    if options.registered and options.registered <= FEW:
        raise MistakeError(f"{options.registered} are not more than {FEW}", where="--registered")
    if options.registered and not 1 <= options.callers <= options.registered:
        raise MistakeError(
            f"{options.callers} of {options.registered} cannot call", where="--callers"
        )
    if options.registered and options.ingest:
        raise MistakeError("is measured by itself", where="--ingest", mend="leave --registered out")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure in a folder of its own."""
    check(options)
    with tempfile.TemporaryDirectory(prefix="outstation-bench-") as folder:
        return asyncio.run(_measure(Path(folder), options))


async def _measure(folder: Path, options: argparse.Namespace) -> Mapping[str, object]:
    if options.registered:
        found = await growth(
            folder,
            options.database,
            options.registered,
            callers=options.callers,
            seconds=options.seconds,
        )
        return {"database": options.database, **found}
    async with house(folder, options.database) as home:
        if options.ingest:
            found = await ingest(home, options.waves)
            return {"database": options.database, **found}
        shape = Shape(channels=options.channels, rows=options.rows)
        roster = await let_in(home.place, options.agents, shape)
        fleet = folder / "fleet"
        # The last one is left for the flood.
        Roster(roster.heading, roster.seats[:-1]).save(fleet)
        return {
            "agents": options.agents,
            "database": options.database,
            "replicas": options.replicas,
            **await _plain(home, fleet, roster, options),
            "tls_full_handshake": _tls(home, fleet, options.seconds / 4),
        }


async def _plain(
    home: House, fleet: Path, roster: Roster, options: argparse.Namespace
) -> dict[str, object]:
    seconds = options.seconds
    with coordinators(home, options.replicas) as running:
        # Everybody once, so that what is timed is a fleet at work and not its first day.
        play(fleet, running.url, once=True, seconds=_FIRST_S)
        await caught_up(home.place)
        began_bytes = await home.size_bytes()
        cpu_s, server_cpu_s = running.cpu_s(), home.server_cpu_s()
        background_s = running.background_cpu_s()
        most = play(fleet, running.url, seconds=seconds)
        cpu_s, server_cpu_s = running.cpu_s() - cpu_s, home.server_cpu_s() - server_cpu_s
        lag_s, caught_up_s = await caught_up(home.place)
        background_s = running.background_cpu_s() - background_s
        grown = await home.size_bytes() - began_bytes
        wanted = play(fleet, running.url, seconds=seconds, rate=_WANTED)
        wanted["rollup_lag_s"], _ = await caught_up(home.place)
        calm = play(fleet, running.url, seconds=seconds, rate=_PART * most["contacts_per_s"])
        few = _FEW * most["contacts_per_s"]
        alone = play(fleet, running.url, seconds=seconds / 2, rate=few)
        with _flood(home.folder, running.url, roster, seconds / 2 + 2) as flood:
            beside = play(fleet, running.url, seconds=seconds / 2, rate=few)
    return {
        "contacts_per_s": most["contacts_per_s"],
        "readings_per_s": most["readings_per_s"],
        "p50_ms": most["p50_ms"],
        "p99_ms": most["p99_ms"],
        "in_flight": AT_ONCE,
        "cpu_ms_per_contact": _ms(cpu_s, most),
        "server_cpu_ms_per_contact": _ms(server_cpu_s, most),
        "background_cpu_ms_per_contact": _ms(background_s, most),
        "caller_cpu_ms_per_contact": _ms(most["cpu_s"], most),
        "contacts_per_s_of_a_core": round(most["contacts"] / max(0.01, cpu_s)),
        "db_bytes_per_reading": round(grown / max(1, most["readings_per_s"] * most["seconds"]), 2),
        "rollup_lag_s": lag_s,
        "rollup_caught_up_s": caught_up_s,
        "refused": most["refused"],
        "at_a_thousand": {name: wanted[name] for name in (*_TIMES, "rollup_lag_s")},
        "at_seven_tenths": {name: calm[name] for name in _TIMES},
        "flood_of_one_agent": {
            "p99_ms_alone": alone["p99_ms"],
            "p99_ms_beside": beside["p99_ms"],
            "ratio": round(beside["p99_ms"] / max(0.01, alone["p99_ms"]), 2),
            "flood_answers": flood,
            "refused_of_others": beside["refused"],
        },
    }


def _tls(home: House, fleet: Path, seconds: float) -> dict[str, object]:
    with coordinators(home, tls=True) as running:
        before_s = running.cpu_s()
        tls = play(fleet, running.url, seconds=seconds)
        cpu_s = running.cpu_s() - before_s
    return {
        "contacts_per_s": tls["contacts_per_s"],
        "p99_ms": tls["p99_ms"],
        "cpu_ms_per_contact": _ms(cpu_s, tls),
    }


def _ms(cpu_s: float, played: Mapping[str, Any]) -> float:
    return round(cpu_s / max(1, played["contacts"]) * 1000, 3)


@contextmanager
def _flood(folder: Path, url: str, roster: Roster, seconds: float) -> Iterator[dict[str, int]]:
    """Let an agent that the others do not use send one contact without end; gives its answers."""
    gateway = Gateway(fleet_of(roster), roster.seats[-1])
    now_ms = SystemClock().wall_ms()
    gateway.sample(now_ms)
    (folder / "flood").write_bytes(gateway.write(now_ms))
    command = ["taskset", "-c", str(core(OTHER)), sys.executable, "-m"]
    command += ["tests.bench.contacts_flood", url, str(folder / "flood"), str(seconds)]
    answers: dict[str, int] = {}
    process = subprocess.Popen([*command, str(_FLOOD_LINES)], stdout=subprocess.PIPE, text=True)
    try:
        yield answers
    finally:
        said, _ = process.communicate(timeout=seconds + 60)
        answers |= json.loads(said or "{}")
