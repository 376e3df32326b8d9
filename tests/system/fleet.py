"""A small real fleet for system tests: coordinator, gateways, devices and links on free ports.

Owns what stands together, what an admin asks of it, and that all of it is stopped. Leaves out what
happens to the fleet: that is a test.
"""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from firmware_sim.address import Address
from firmware_sim.demo import processes
from firmware_sim.demo.account import Record
from firmware_sim.demo.admin import Admin
from firmware_sim.demo.layout import Place, Site, write_agent_config
from firmware_sim.demo.processes import Child, Outcome
from firmware_sim.link import LinkProxy
from tests.system import warm
from tests.system.fleet_parts import ASK_S, Coordinator, Gateway, free_port, until

_LOG_LINES = 30


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
        fault: str = "",
    ) -> Gateway:
        """Start a site's devices and its link; enrol its agent and start it, if so wanted.

        `fault` is what all its devices suffer from, in the grammar of `outstation-sim`.
        """
        folder = self.folder / name
        folder.mkdir()
        site = Site(name, places, hostile=False)
        target = Address("127.0.0.1", self.coordinator.port)
        link = await self.stack.enter_async_context(LinkProxy(target=target))
        records, devices, urls = [], {}, {}
        for place in places:
            ledger = folder / f"{place.id}.ledger"
            child, urls[place.id] = await self._start_device(folder, place, ledger, fault)
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

    async def _start_device(
        self, folder: Path, place: Place, ledger: Path, fault: str
    ) -> tuple[Child, str]:
        """Start a simulated device; return it and the URL of the bus it is on."""
        port = folder / f"{place.id}.tty"
        # One of the test's own ports, so that a device that is stopped may be back on it.
        tcp = ["--tcp", f"127.0.0.1:{free_port()}"]
        arguments = ["--serial", str(port)] if place.serial else tcp
        arguments += ["--ledger", str(ledger)] + (["--fault", fault] if fault else [])
        child = await warm.start(
            f"device-{folder.name}-{place.id}",
            processes.command("firmware_sim", "device", place.model, *arguments),
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
        return await warm.outcome(
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

        await until(f"{at_least} readings of {gateway.site.name} to arrive", there, look_s=ASK_S)

    async def caught_up(self, gateway: Gateway) -> None:
        """Wait until a gateway's link is up and its backlog gone but for the last few polls.

        An agent that has just started has no failures and met nobody: its first answer counts.
        """
        few = 25 * sum(len(place.polled) for place in gateway.site.devices)

        async def little_waits() -> bool | None:
            gateway.check()
            stored = (await self.agent_view(gateway))["tally"]["stored"]
            status = gateway.live()
            if status is None or status["link"]["failures"] or not status["link"]["contacts"]:
                return None
            return True if max(stored, status["tally"]["stored"]) <= few else None

        await until(f"{gateway.site.name} to send its backlog", little_waits, look_s=ASK_S)

    async def submit(self, job: dict[str, object]) -> str:
        """Submit a job exactly once, however often the coordinator dies meanwhile."""
        key = secrets.token_hex(16)

        async def accepted() -> str | None:
            try:
                return await self.admin.submit(job, key=key)
            except (aiohttp.ClientError, ConnectionError):
                return None

        return await until("the coordinator to accept a job", accepted, look_s=ASK_S)

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
