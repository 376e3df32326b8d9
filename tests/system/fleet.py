"""A small real fleet for system tests: coordinator, gateways, devices and links on free ports.

Owns starting, killing and restarting the product's own programs, and the account that every test
ends with. The parts are the demo's (`firmware_sim.demo`): children, the admin's REST client, device
ledgers, configuration files. Leaves out what happens to the fleet: that is a test.
"""

import asyncio
import json
import os
import random
import secrets
import shutil
import socket
import ssl
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from agent.services.control import ask, socket_path
from firmware_sim.address import Address
from firmware_sim.demo import admin as rest
from firmware_sim.demo import processes
from firmware_sim.demo.account import Record
from firmware_sim.demo.admin import Admin
from firmware_sim.demo.layout import Place, Site, write_agent_config
from firmware_sim.demo.processes import Child, Outcome
from firmware_sim.link import LinkProxy

T = TypeVar("T")

SEED = "OUTSTATION_SEED"
"""Set it to repeat a run's random choices; real processes still keep their own time."""
LOOK_S = 0.02
"""How often an onlooker looks: well below a poll interval, so that a kill can hit any moment."""
PATIENCE_S = 60
"""Nothing takes this long on a busy machine; only a failing test waits for it."""
_LOG_LINES = 30
_ENDS_S = 20
"""A program that should have refused by then has begun to work."""
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
    what: str, check: Callable[[], Awaitable[T | None]], patience_s: float = PATIENCE_S
) -> T:
    """Look until `check` returns something, and return that."""
    return await rest.until(what, check, patience_s, look_s=LOOK_S)


def free_port() -> int:
    """Return a port of the loopback interface that stays free while nobody asks for it by name."""
    for port in random.SystemRandom().sample(_BELOW_EPHEMERAL, 100):
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
            await processes.run(self.command("init", str(template), "--host", "127.0.0.1"))
        if template != self.data:
            shutil.copytree(template, self.data)

    async def start(self) -> None:
        """Start it at its port and wait until it serves."""
        self.child = await processes.start(
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
        await processes.run(
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
        await processes.run(
            self.command(
                *("enroll", "--coordinator", self.uplink, "--claim", str(claim)),
                *("--config", str(self.config)),
            )
        )

    async def start(self) -> None:
        """Start the agent; what it does then is seen in the ledgers."""
        self.agent = await processes.start(
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
        return dict(json.loads(await processes.run(self.command(*arguments))))

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

        return await until(what, said)

    def record(self, device: str) -> Record:
        """Return a device's ledger as it stands now."""
        (found,) = (record for record in self.records if record.place.id == device)
        found.update()
        return found

    def polls(self) -> int:
        """Return how often all devices were polled."""
        return sum(self.record(place.id).polls() for place in self.site.devices)

    async def polled(self, more: int = 1) -> None:
        """Wait until every device was polled `more` times from now on."""
        goals = {place.id: self.record(place.id).polls() + more for place in self.site.devices}

        async def reached() -> bool | None:
            self.check()
            done = all(self.record(name).polls() >= goal for name, goal in goals.items())
            return True if done else None

        await until(f"{more} more polls of {', '.join(goals)}", reached)


@dataclass(slots=True)
class Fleet:
    """Everything of one test, and the order in which it is stopped."""

    folder: Path
    stack: AsyncExitStack
    coordinator: Coordinator
    founded: Path | None = None
    """Where one fleet's keys and empty database are copied from; None: it makes its own."""
    gateways: dict[str, Gateway] = field(default_factory=dict)
    _admin: Admin | None = None

    @property
    def admin(self) -> Admin:
        assert self._admin is not None, "start_coordinator comes first"
        return self._admin

    async def start_coordinator(self) -> None:
        """Make the fleet's keys and start the coordinator."""
        await self.coordinator.init(self.founded)
        await self.coordinator.start()
        self.stack.push_async_callback(self._end_coordinator)
        self._admin = await self.stack.enter_async_context(
            Admin(self.coordinator.url, self.coordinator.token, self.coordinator.tls())
        )

    async def add_gateway(
        self,
        name: str,
        *places: Place,
        enrol: bool = True,
        start: bool = True,
        poll_interval_s: float = 0.1,
        sync_interval_s: float = 1,
    ) -> Gateway:
        """Start a site's devices and its link; enrol its agent and start it, if so wanted."""
        folder = self.folder / name
        folder.mkdir()
        site = Site(name, places, hostile=False)
        target = Address("127.0.0.1", self.coordinator.port)
        link = await self.stack.enter_async_context(LinkProxy(target=target))
        records, devices, urls = [], {}, {}
        for place in places:
            ledger = folder / f"{place.id}.ledger"
            child, urls[place.id] = await self.start_device(folder, place, ledger)
            devices[place.id] = child
            records.append(Record(name, place, ledger))
        config = write_agent_config(
            folder, site, urls, poll_interval_s=poll_interval_s, sync_interval_s=sync_interval_s
        )
        gateway = Gateway(site, folder, link, config, records, devices)
        self.stack.push_async_callback(self._end_agent, gateway)
        self.gateways[name] = gateway
        if enrol:
            await gateway.enrol(await self.claim(folder / "claim.json", site=name))
        if start:
            await gateway.start()
        return gateway

    async def claim(self, file: Path, *, site: str, count: int = 1) -> Path:
        """Make a claim file over REST, as a dashboard would."""
        wish = {"site": site, "count": count}
        file.write_text(json.dumps(await self.admin._call("POST", "/v1/claims", json=wish)))
        return file

    async def start_device(self, folder: Path, place: Place, ledger: Path) -> tuple[Child, str]:
        """Start a simulated device; return it and the URL of the bus it is on."""
        port = folder / f"{place.id}.tty"
        where = ["--serial", str(port)] if place.serial else ["--tcp", "127.0.0.1:0"]
        child = await processes.start(
            f"device-{folder.name}-{place.id}",
            processes.command(
                "firmware_sim", "device", place.model, *where, "--ledger", str(ledger)
            ),
            self.folder,
        )
        self.stack.push_async_callback(child.stop)
        if place.serial:
            return child, f"serial://{port}?baud=115200&parity=N"
        return child, f"tcp://{child.ready.split()[-1]}"

    async def outstation(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Outcome:
        """Run the fleet admin's command line."""
        config = str(self.coordinator.data / "admin.toml")
        return await processes.outcome(
            processes.command("coordinator.cli", "--config", config, *arguments),
            environment={"OUTSTATION_URL": self.coordinator.url, **(environment or {})},
        )

    async def agent_view(self, gateway: Gateway) -> dict[str, Any]:
        """Return the coordinator's view of an agent."""
        agents = await self.admin.agents()
        return dict(agents[gateway.site.name])

    async def series(
        self, gateway: Gateway, device: str, point: str = "poll_count"
    ) -> list[float | None]:
        """Return all values of one point in the order in which the coordinator shows them."""
        agent = (await self.agent_view(gateway))["id"]
        view = await self.admin.get(
            "/v1/readings", agent=agent, device=device, point=point, limit=100_000
        )
        assert not view["truncated"]
        assert view["undecoded_blocks"] == 0
        return [value for one in view["series"] for value in one["values"]]

    async def delivered(self, gateway: Gateway, at_least: int = 1) -> None:
        """Wait until the coordinator has committed so many readings of a gateway."""

        async def there() -> bool | None:
            gateway.check()
            agents = await self.admin.agents()
            agent = agents.get(gateway.site.name)
            return True if agent and agent["tally"]["delivered"] >= at_least else None

        await until(f"{at_least} readings of {gateway.site.name} to arrive", there)

    async def caught_up(self, gateway: Gateway) -> None:
        """Wait until a gateway's backlog is gone but for the last few polls."""
        few = 25 * sum(len(place.polled) for place in gateway.site.devices)

        async def little_waits() -> bool | None:
            gateway.check()
            stored = (await self.agent_view(gateway))["tally"]["stored"]
            status = gateway.live()
            there = status is not None and max(stored, status["tally"]["stored"]) <= few
            return True if there else None

        await until(f"{gateway.site.name} to send its backlog", little_waits)

    async def submit(self, job: dict[str, object]) -> str:
        """Submit a job exactly once, however often the coordinator dies meanwhile."""
        key = secrets.token_hex(16)

        async def accepted() -> str | None:
            try:
                return await self.admin.submit(job, key=key)
            except (aiohttp.ClientError, ConnectionError):
                return None

        return await until("the coordinator to accept a job", accepted)

    async def _end_coordinator(self) -> None:
        if self.coordinator.child is not None:
            await self.coordinator.child.stop()

    async def _end_agent(self, gateway: Gateway) -> None:
        if gateway.agent is not None:
            await gateway.agent.stop()


@asynccontextmanager
async def open_fleet(folder: Path, founded: Path | None = None) -> AsyncIterator[Fleet]:
    """Give a test an empty fleet; at the end stop all of it and show every program's log."""
    try:
        async with AsyncExitStack() as stack:
            yield Fleet(folder, stack, Coordinator(folder / "coordinator"), founded)
    finally:
        for log in sorted(folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            print(f"--- {log.name}", *lines, sep="\n")


def set_pumps(
    setpoint: int, *, selector: str, name: str = "set", **more: object
) -> dict[str, object]:
    """Return a job that writes the setpoint of every pump at the selected sites."""
    return {
        "name": name,
        "targets": {"selector": selector, "device_selector": "kind=pump"},
        "steps": [{"id": "apply", "action": "device.write", "params": {"setpoint": setpoint}}],
        **more,
    }


# --- what programs say to people ------------------------------------------------------------------
async def ends(argv: list[str]) -> Outcome:
    """Run a program that is expected to end by itself, soon."""
    async with asyncio.timeout(_ENDS_S):
        return await processes.outcome(argv)


def check_sentence(outcome: Outcome, status: int, *words: str) -> None:
    """Assert that a program ended with `status` and exactly one sentence, with these words."""
    assert outcome.status == status, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


# --- the account --------------------------------------------------------------------------------
async def settle(fleet: Fleet, gateway: Gateway) -> None:
    """Let a gateway send everything and stop it: nothing moves any more."""
    await fleet.caught_up(gateway)
    await gateway.stop()


async def check_account(fleet: Fleet, gateway: Gateway) -> None:
    """Assert of a settled gateway: nothing lost without a word, nothing twice.

    Each kill -9 may cost each device the one poll that was between its answer and the journal.
    """
    view = await fleet.agent_view(gateway)
    tally = view["tally"]
    parts = ("suppressed", "delivered", "stored", "lost")
    assert tally["sampled"] == sum(tally[part] for part in parts), tally
    assert view["balanced"], tally
    assert tally["stored"] == 0, tally
    assert tally["lost"] == 0, tally
    for place in gateway.site.devices:
        record = gateway.record(place.id)
        check_series(await fleet.series(gateway, place.id), record.polls(), gateway.kills)
    served = sum(gateway.record(place.id).sampled() for place in gateway.site.devices)
    in_flight = gateway.kills * sum(len(place.polled) for place in gateway.site.devices)
    assert tally["delivered"] >= served - in_flight, (tally, served)


def check_series(series: Sequence[float | None], polls: int, kills: int) -> None:
    """Assert that a device's poll counter arrived in order, without repeats, nearly complete."""
    counts = [value for value in series if value is not None]
    assert counts == sorted(set(counts)), "a poll arrived twice or out of order"
    missing = sorted(set(range(1, polls + 1)) - set(counts))
    assert len(missing) <= kills, f"{len(missing)} of {polls} polls are missing: {missing[:20]}"
    assert not counts or counts[-1] <= polls, "a poll that the device never answered"
