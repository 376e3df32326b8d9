"""The parts of a small real fleet: a coordinator and gateways, as processes that can be killed.

Owns starting, stopping and asking one of each, the places of devices, and how an onlooker waits.
The programs are the product's; children, ledgers and configuration files come from the demo
(`firmware_sim.demo`). How the parts stand together is `fleet`'s.
"""

import json
import os
import random
import secrets
import shutil
import socket
import ssl
import tomllib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

from agent.services.ask import ask, socket_path
from firmware_sim.demo import admin as rest
from firmware_sim.demo import processes
from firmware_sim.demo.account import Record
from firmware_sim.demo.layout import Place, Site
from firmware_sim.demo.processes import Child
from firmware_sim.link import LinkProxy
from tests.system import warm

T = TypeVar("T")

SEED = "OUTSTATION_SEED"
"""Set it to repeat a run's random choices; real processes still keep their own time."""
LOOK_S = 0.02
"""How often an onlooker looks: well below a poll interval, so that a kill can hit any moment."""
ASK_S = 0.15
"""How often a program is asked: each answer costs it and us a few milliseconds."""
PATIENCE_S = 60
"""Nothing takes this long on a busy machine; only a failing test waits for it."""
_BELOW_EPHEMERAL = range(18_000, 32_000)
"""Ports that no outgoing connection of this machine takes while its owner is being restarted."""

RTU_PUMP = Place("pump-1", "pump", serial=True)
TCP_PUMP = Place("pump-2", "pump", serial=False)
TCP_METER = Place("meter-1", "meter", serial=False)


def seeded(what: str) -> random.Random:
    """Return a source of random choices whose seed a failing test shows."""
    seed = int(os.environ.get(SEED, secrets.randbelow(1 << 32)))
    print(f"{what}: repeat these choices with {SEED}={seed}")
    return random.Random(seed)


async def until(
    what: str, check: Callable[[], Awaitable[T | None]], *, look_s: float = LOOK_S
) -> T:
    """Look until `check` returns something, and return that."""
    return await rest.until(what, check, PATIENCE_S, look_s=look_s)


def _own_ports() -> Iterator[int]:
    """Yield ports that no test process beside this one takes, none twice before all were said."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = _BELOW_EPHEMERAL[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    return cycle(random.SystemRandom().sample(own, len(own)))


_PORTS = _own_ports()


def free_port() -> int:
    """Return a port of the loopback interface that stays free while nobody asks for it by name."""
    for port in islice(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports in a row are taken")


@dataclass(slots=True)
class Coordinator:
    """One coordinator: its data directory, and its process while it runs."""

    data: Path
    port: int = field(default_factory=free_port)
    child: Child | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return str(tomllib.loads((self.data / "admin.toml").read_text())["token"])

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.data / "ca.pem"))

    def command(self, *arguments: str) -> list[str]:
        return processes.command("coordinator", *arguments)

    async def init(self, founded: Path | None = None) -> None:
        """Found a fleet; with `founded`, keys are made once and every later fleet has the same."""
        template = founded or self.data
        if not template.exists():
            await warm.run(self.command("init", str(template), "--host", "127.0.0.1"))
        if template != self.data:
            shutil.copytree(template, self.data)

    async def start(self) -> None:
        """Start it at its port and wait until it serves."""
        self.child = await warm.start(
            "coordinator",
            self.command("run", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"),
            self.data.parent,
        )
        assert self.child.ready.split()[0] == self.url

    async def kill(self) -> None:
        if self.child is not None:
            await self.child.kill()

    async def stop(self) -> None:
        """Stop it as a service manager does."""
        if self.child is not None and self.child.process.returncode is None:
            assert await self.child.stop() == 0, self.child.tail()

    async def claim(self, file: Path, *, site: str, count: int = 1, expires: str = "1d") -> Path:
        """Make a claim file as an admin does at the coordinator's terminal."""
        await warm.run(
            self.command(
                *("claim", "create", "--data", str(self.data), "--site", site),
                *("--count", str(count), "--expires", expires, str(file)),
            )
        )
        return file


@dataclass(slots=True)
class Gateway:
    """One site: devices with their ledgers, the link, and the agent while it runs."""

    site: Site
    folder: Path
    link: LinkProxy
    config: Path
    records: list[Record]
    devices: dict[str, Child]
    agent: Child | None = None
    kills: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def runtime(self) -> Path:
        return self.folder / "run"

    @property
    def uplink(self) -> str:
        """Where the agent calls: the near end of its link."""
        return f"https://127.0.0.1:{self.link.port}"

    def command(self, *arguments: str) -> list[str]:
        return processes.command("agent", *arguments)

    async def enrol(self, claim: Path) -> None:
        await warm.run(
            self.command(
                *("enroll", "--coordinator", self.uplink, "--claim", str(claim)),
                *("--config", str(self.config)),
            )
        )

    async def start(self) -> None:
        """Start the agent; what it does then is seen in the ledgers."""
        self.agent = await warm.start(
            f"agent-{self.site.name}",
            self.command("run", "--config", str(self.config)),
            self.folder.parent,
            ready=False,
        )

    def check(self) -> None:
        """Raise when an agent that was started is no longer there: no use to wait for it."""
        if self.agent is not None:
            self.agent.check()

    async def kill(self) -> None:
        """SIGKILL; counted, because each may cost the poll that is in flight."""
        self.check()
        assert self.agent is not None
        await self.agent.kill()
        self.kills += 1

    async def stop(self) -> None:
        """Stop it as a service manager does: it takes its leave of the coordinator."""
        if self.agent is not None:
            assert await self.agent.stop() == 0, self.agent.tail()
            self.agent = None

    async def status(self) -> dict[str, Any]:
        """Return what `outstation-agent status --json` says, with the agent running or not."""
        arguments = ("status", "--config", str(self.config), "--json")
        return dict(json.loads(await warm.run(self.command(*arguments))))

    def live(self) -> dict[str, Any] | None:
        """Return what the running agent says of itself on its socket; None while it starts."""
        answer = ask(socket_path(self.runtime, self.data), "status")
        return None if answer is None else dict(json.loads(answer))

    async def says(self, what: str, member: Callable[[dict[str, Any]], T | None]) -> T:
        """Wait until a member of the running agent's status is there, and return it."""

        async def said() -> T | None:
            self.check()
            status = self.live()
            return None if status is None else member(status)

        return await until(what, said, look_s=ASK_S)

    def record(self, device: str) -> Record:
        """Return a device's ledger as it stands now."""
        (found,) = (record for record in self.records if record.place.id == device)
        found.update()
        return found

    def polls(self) -> int:
        """Return how often all devices were polled."""
        return sum(self.record(place.id).polls() for place in self.site.devices)

    def writes(self) -> int:
        """Return how many writes of setpoints all devices have seen."""
        return sum(len(self.record(place.id).setpoints()) for place in self.site.devices)

    async def polled(self, more: int = 1, *devices: str) -> None:
        """Wait until each of these devices, or of all, was polled `more` times from now on."""
        names = devices or [place.id for place in self.site.devices]
        goals = {name: self.record(name).polls() + more for name in names}

        async def reached() -> bool | None:
            self.check()
            done = all(self.record(name).polls() >= goal for name, goal in goals.items())
            return True if done else None

        await until(f"{more} more polls of {', '.join(goals)}", reached)
