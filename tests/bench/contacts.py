"""Contacts a second: a whole simulated fleet against one coordinator, signatures and all.

The product's own programs: `outstation-coordinator run --behind-proxy` pinned to one core, with its
background process and `outstation-sim fleet` on the other. Agents are enrolled through the real
transaction and have made one contact before anything is timed; then they are drawn at random, each
contact on a connection of its own with one block of 60 readings. First as many as are answered,
then at seven tenths of that, by chance, for the times. Then three tenths, alone and
beside one agent that sends the same contact from 16 connections without end. Native TLS (a full
handshake for each contact) is timed last. `db_bytes_per_reading` is what the database grew by,
rollups included.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.app import Place, found, make_claim, open_fleet
from coordinator.keys.directory import DataDirectory
from coordinator.services.claims import ClaimWish
from coordinator.transactions.enroll import enroll
from coordinator.transactions.rollups import rollup_lag
from firmware_sim.fleet.gateway import Fleet, Gateway
from firmware_sim.fleet.readings import BlockPool, Shape
from firmware_sim.fleet.roster import Heading, Roster, enrol_request, new_seat
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.runtime.clock import SystemClock
from tests.bench.process import usage

_CORE, _OTHER = 0, -1
"""Of those that this process may use: the coordinator's, and everybody else's."""
_AT_ONCE = 64
_PART = 0.7
_CATCH_UP_S = 120.0
_FEW = 0.3
"""Of what is possible, while one agent floods."""
_FLOOD_LINES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--replicas", type=int, choices=(1, 2), default=1)
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--rows", type=int, default=15, help="readings of a channel in a block")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure in a folder of its own."""
    if options.database == "postgres" or options.replicas > 1:
        raise MistakeError("replicas on PostgreSQL are not measured by this bench yet")
    with tempfile.TemporaryDirectory(prefix="outstation-bench-") as folder:
        return asyncio.run(_measure(Path(folder), options))


async def _measure(folder: Path, options: argparse.Namespace) -> Mapping[str, object]:
    place = Place(directory=DataDirectory(folder / "c"), database=folder / "c" / "coordinator.db")
    await found(place, hosts=["127.0.0.1"], url="https://127.0.0.1")
    roster = await _enrolled(place, options)
    # The last one is left for the flood.
    Roster(roster.heading, roster.seats[:-1]).save(folder / "fleet")
    with _coordinator(place, "--behind-proxy", f"unix:{folder / 'socket'}") as (pid, url):
        # Everybody once, so that what is timed is a fleet at work and not its first day.
        _play(folder, url, contacts=options.agents, seconds=600.0)
        began_bytes, before = _bytes(place), usage(pid)
        most = _play(folder, url, seconds=options.seconds)
        cpu_s = usage(pid).since(before).cpu_s
        lag_s, caught_up_s = await _caught_up(place)
        grown = _bytes(place) - began_bytes
        calm = _play(folder, url, seconds=options.seconds, rate=_PART * most["contacts_per_s"])
        few = _FEW * most["contacts_per_s"]
        alone = _play(folder, url, seconds=options.seconds / 2, rate=few)
        with _flood(folder, url, roster, options.seconds / 2 + 2) as flood:
            beside = _play(folder, url, seconds=options.seconds / 2, rate=few)
    with _coordinator(place, "", "127.0.0.1:0") as (pid, url):
        before = usage(pid)
        tls = _play(folder, url, seconds=options.seconds / 4)
        tls_cpu_s = usage(pid).since(before).cpu_s
    return {
        "agents": options.agents,
        "contacts_per_s": most["contacts_per_s"],
        "readings_per_s": most["readings_per_s"],
        "p50_ms": most["p50_ms"],
        "p99_ms": most["p99_ms"],
        "in_flight": _AT_ONCE,
        "cpu_ms_per_contact": round(cpu_s / most["contacts"] * 1000, 3),
        "db_bytes_per_reading": round(grown / max(1, most["readings_per_s"] * most["seconds"]), 2),
        "rollup_lag_s": lag_s,
        "rollup_caught_up_s": caught_up_s,
        "refused": most["refused"],
        "at_seven_tenths": {
            name: calm[name] for name in ("contacts_per_s", "p50_ms", "p90_ms", "p99_ms", "refused")
        },
        "flood_of_one_agent": {
            "p99_ms_alone": alone["p99_ms"],
            "p99_ms_beside": beside["p99_ms"],
            "ratio": round(beside["p99_ms"] / max(0.01, alone["p99_ms"]), 2),
            "flood_answers": flood,
            "refused_of_others": beside["refused"],
        },
        "tls_full_handshake": {
            "contacts_per_s": tls["contacts_per_s"],
            "p99_ms": tls["p99_ms"],
            "cpu_ms_per_contact": round(tls_cpu_s / tls["contacts"] * 1000, 3),
        },
    }


async def _enrolled(place: Place, options: argparse.Namespace) -> Roster:
    """Let a fleet in through the transaction that a claim goes through, many to a commit."""
    now_ms = SystemClock().wall_ms()
    shape = Shape(channels=options.channels, rows=options.rows)
    seats = []
    heading: Heading | None = None
    fleet: Fleet | None = None
    for first in range(1, options.agents + 1, limits.CLAIM_COUNT):
        count = min(limits.CLAIM_COUNT, options.agents + 1 - first)
        wish = ClaimWish(
            site="sim", count=count, expires_ms=WallMs(now_ms + 3_600_000), url="unix:"
        )
        letter = await make_claim(place, wish)
        if heading is None or fleet is None:
            heading = Heading(
                url=letter.url,
                fleet=letter.fleet,
                ca_pem=letter.ca_pem,
                root=letter.root,
                seed=letter.fleet,
                channels=shape.channels,
                rows=shape.rows,
                step_ms=shape.step_ms,
            )
            root = Roster(heading, []).root
            pool = BlockPool(shape, seed=0, templates=1)
            fleet = Fleet(fleet=root.fleet, root=root, seed=heading.seed, pool=pool)
        secret = bytes.fromhex(letter.secret)
        numbers = range(first, first + count)
        requests = [enrol_request(fleet.signer(one), one, secret) for one in numbers]
        async with open_fleet(place) as (store, _):
            bodies = (partial(enroll, one, now_ms=now_ms) for one in requests)
            found_all = [
                done
                for batch in _batches(list(bodies), 500)
                for done in await asyncio.gather(
                    *(store.run(body, durable=False) for body in batch)
                )
            ]
        for number, entered in zip(numbers, found_all, strict=True):
            assert entered.agent is not None, "a claim lets in at once"
            seats.append(new_seat(number, entered.agent, now_ms))
    assert heading is not None, "there is at least one agent"
    return Roster(heading, seats)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


@contextmanager
def _coordinator(place: Place, option: str, listen: str) -> Iterator[tuple[int, str]]:
    """Run the product's own program on one core; gives its process and URL."""
    command = [sys.executable, "-m", "coordinator", "run", "--data", str(place.directory.path)]
    command += ["--listen", listen, *([option] if option else [])]
    log = place.directory.path / "bench.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready, log.read_text()[-2_000:]
        _pin(process.pid, _CORE)
        for child in _children(process.pid):
            _pin(child, _OTHER)
        yield process.pid, ready[1]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _children(pid: int) -> list[int]:
    deadline = time.monotonic() + 10
    path = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found_all := path.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [int(one) for one in found_all]


def _pin(pid: int, which: int) -> None:
    """Keep every thread of a process on one core."""
    cores = sorted(os.sched_getaffinity(0))
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cores[which]})


def _play(
    folder: Path, url: str, *, seconds: float, rate: float = 0.0, contacts: int = 0
) -> dict[str, Any]:
    command = [sys.executable, "-m", "firmware_sim", "fleet", str(folder / "fleet"), "--json"]
    command += ["--url", url, "--seconds", str(seconds), "--rate", str(rate)]
    command += ["--in-flight", str(_AT_ONCE), "--contacts", str(contacts)]
    cores = sorted(os.sched_getaffinity(0))
    done = subprocess.run(
        ["taskset", "-c", str(cores[_OTHER]), *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found_all: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found_all


@contextmanager
def _flood(folder: Path, url: str, roster: Roster, seconds: float) -> Iterator[dict[str, int]]:
    """Let an agent that the others do not use send one contact without end; gives its answers."""
    heading, spare = roster.heading, roster.seats[-1]
    shape = Shape(channels=heading.channels, rows=heading.rows, step_ms=heading.step_ms)
    pool = BlockPool(shape, seed=0, templates=1)
    fleet = Fleet(fleet=roster.root.fleet, root=roster.root, seed=heading.seed, pool=pool)
    gateway, now_ms = Gateway(fleet, spare), SystemClock().wall_ms()
    gateway.sample(now_ms)
    (folder / "flood").write_bytes(gateway.write(now_ms))
    core = sorted(os.sched_getaffinity(0))[_OTHER]
    command = ["taskset", "-c", str(core), sys.executable, "-m", "tests.bench.contacts_flood"]
    command += [url, str(folder / "flood"), str(seconds), str(_FLOOD_LINES)]
    answers: dict[str, int] = {}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield answers
    finally:
        said, _ = process.communicate(timeout=seconds + 60)
        answers |= json.loads(said or "{}")


async def _caught_up(place: Place) -> tuple[float, float]:
    """Return how far rollups were behind at the end of contacts, and for how long afterwards."""
    began, first = time.monotonic(), None
    async with open_fleet(place) as (store, _):
        while True:
            lag = await store.read(rollup_lag)
            since_ms = lag.since_ms
            behind_s = 0.0 if since_ms is None else (SystemClock().wall_ms() - since_ms) / 1000
            first = behind_s if first is None else first
            passed_s = time.monotonic() - began
            if since_ms is None or passed_s > _CATCH_UP_S:
                return round(first, 2), round(passed_s, 2)
            await asyncio.sleep(0.2)


def _bytes(place: Place) -> int:
    names = (place.database, Path(f"{place.database}-wal"))
    return sum(name.stat().st_size for name in names if name.exists())
