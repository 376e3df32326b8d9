"""Where contacts are measured: a database, the product's own programs, and who calls them.

On two cores: one coordinator has the first for itself; its background process, the database's
server and whoever calls share the other. Two replicas take whichever is free.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from coordinator.errands import found
from coordinator.keys.directory import DataDirectory
from coordinator.place import Place, open_fleet
from coordinator.transactions.rollups import rollup_lag
from shared.runtime.clock import SystemClock
from tests.bench.process import usage
from tests.bench.rollout_play import cpu_s_of_tree
from tests.postgres_parts import Server

CORE, OTHER = 0, -1
"""Of those that this process may use: the coordinator's, and everybody else's."""
AT_ONCE = 64
"""Contacts on the line."""
_HOST = "127.0.0.1"
_CATCH_UP_S = 120.0
_END_S = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """A founded fleet."""

    folder: Path
    place: Place
    server: Server | None
    """PostgreSQL's; its files are in memory where there is room, so no disk is waited for."""

    def server_cpu_s(self) -> float:
        """Return what the database's server has cost so far; SQLite has none."""
        return cpu_s_of_tree(self.server.pid) if self.server else 0.0

    async def size_bytes(self) -> int:
        """Return the size of the database."""
        if self.server is None:
            file = self.place.database
            names = (file, Path(f"{file}-wal"))
            return sum(name.stat().st_size for name in names if name.exists())
        connection = await asyncpg.connect(self.place.postgres)
        try:
            size = await connection.fetchval("SELECT pg_database_size(current_database())")
        finally:
            await connection.close()
        return int(size)


@asynccontextmanager
async def house(folder: Path, database: str) -> AsyncIterator[House]:
    """Found a fleet on "sqlite" or on a "postgres" of its own."""
    server: Server | None = None
    directory = DataDirectory(folder / "c")
    try:
        url = ""
        if database == "postgres":
            server = await asyncio.to_thread(
                Server, autovacuum="on", fsync="on", full_page_writes="on"
            )
            await asyncio.to_thread(server.start)
            url = server.url("postgres")
        place = Place(directory=directory, database=directory.database, postgres=url)
        await found(place, hosts=[_HOST], url=f"https://{_HOST}")
        yield House(folder, place, server)
    finally:
        if server is not None:
            await asyncio.to_thread(server.remove)


@dataclass(frozen=True, slots=True)
class Running:
    """Coordinators at work."""

    pids: tuple[int, ...]
    url: str
    background: tuple[int, ...] = ()
    """Their processes for rollups."""

    def cpu_s(self) -> float:
        """Return what they have cost so far, their background processes left out."""
        return sum(usage(pid).cpu_s for pid in self.pids)

    def background_cpu_s(self) -> float:
        """Return what their background processes have cost so far."""
        return sum(usage(pid).cpu_s for pid in self.background)


@contextmanager
def coordinators(home: House, replicas: int = 1, *, tls: bool = False) -> Iterator[Running]:
    """Run one, or several behind a balancer; with TLS there is one."""
    with ExitStack() as stack:
        if replicas == 1:
            listen = f"{_HOST}:0" if tls else f"unix:{home.folder / 'socket'}"
            pid, url = stack.enter_context(_coordinator(home, listen, tls=tls))
            _pin(pid, CORE)
            background = _children(pid)
            for child in [*background, *([home.server.pid] if home.server else [])]:
                _pin(child, OTHER)
            yield Running((pid,), url, tuple(background))
            return
        found_all = [
            stack.enter_context(_coordinator(home, f"{_HOST}:0", tls=False))
            for _ in range(replicas)
        ]
        ports = [url.rpartition(":")[2] for _, url in found_all]
        command = [sys.executable, "-m", "tests.bench.contacts_balancer", *ports]
        _, [url] = stack.enter_context(_process(command, home.folder / "balancer.log"))
        pids = tuple(pid for pid, _ in found_all)
        background = [child for pid in pids for child in _children(pid)]
        yield Running(pids, url, tuple(background))


@contextmanager
def _coordinator(home: House, listen: str, *, tls: bool) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "coordinator", "run"]
    command += ["--data", str(home.place.directory.path), "--listen", listen]
    command += [] if tls else ["--behind-proxy"]
    command += ["--database", home.place.postgres] if home.server else []
    with _process(command, home.folder / "coordinator.log") as (pid, said):
        yield pid, said[1]


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[tuple[int, list[str]]]:
    """Run a program; gives its process and the words of its first line."""
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None, "it is a pipe"
        said = process.stdout.readline().split()
        assert said, log.read_text()[-2_000:]
        yield process.pid, said
    finally:
        process.terminate()
        process.communicate(timeout=_END_S)


def _children(pid: int) -> list[int]:
    deadline = time.monotonic() + 10
    path = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found_all := path.read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [int(one) for one in found_all]


def core(which: int) -> int:
    """Return the number of one of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))[which]


def _pin(pid: int, which: int) -> None:
    """Keep every thread of a process on one core, and what it starts later."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core(which)})


def play(
    roster: Path, url: str, *, seconds: float, rate: float = 0.0, once: bool = False
) -> dict[str, Any]:
    """Let the simulated fleet of a roster call; return what it says of it.

    Its processor time is that of the calls: starting, and making the keys of all, are left out.
    """
    command = [sys.executable, "-m", "firmware_sim", "fleet", str(roster), "--json"]
    command += ["--url", url, "--seconds", str(seconds)]
    command += ["--once"] if once else ["--rate", str(rate)]
    command += ["--in-flight", str(AT_ONCE)]
    command = ["taskset", "-c", str(core(OTHER)), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found_all: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found_all


async def caught_up(place: Place) -> tuple[float, float]:
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
