"""The demo's world: a coordinator, three sites with devices, gateways and links, all real.

Starts and stops processes and proxies and knows where everything is. What happens in this world
stands in `story`.
"""

import asyncio
import json
import os
import ssl
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_sim.address import Address
from firmware_sim.demo import firmware, processes
from firmware_sim.demo.account import Record
from firmware_sim.demo.admin import Admin
from firmware_sim.demo.layout import SITES, Site, write_agent_config
from firmware_sim.demo.middle import Middle
from firmware_sim.demo.processes import Child
from firmware_sim.demo.stolen import stolen_certificate
from firmware_sim.link import LinkProxy


@dataclass(slots=True)
class Gateway:
    """One site as it stands: its devices' records, its link, its agent."""

    site: Site
    folder: Path
    link: LinkProxy
    records: list[Record]
    middle: Middle | None
    config: Path
    agent: Child | None = None

    async def status(self) -> dict[str, Any]:
        """Return what `outstation-agent status --json` says."""
        text = await processes.run(
            processes.command("agent", "status", "--config", str(self.config), "--json")
        )
        return dict(json.loads(text))


@dataclass(slots=True)
class World:
    """Everything that runs, and the order in which it must be stopped."""

    folder: Path
    stack: AsyncExitStack
    gateways: dict[str, Gateway] = field(default_factory=dict)
    nodes: list[firmware.Node] = field(default_factory=list)
    """Sensor nodes whose firmware is updated; they are in no account of readings."""
    admin: Admin | None = None
    coordinator_url: str = ""

    @property
    def access(self) -> Path:
        """Return the file that lets the admin's command line in."""
        return self.folder / "coordinator" / "admin.toml"

    @property
    def records(self) -> list[Record]:
        """Return every device's record, freshly read."""
        found = [record for gateway in self.gateways.values() for record in gateway.records]
        for record in found:
            record.update()
        return found

    def check(self) -> None:
        """Raise when a gateway's agent has ended by itself, with the end of its log."""
        for gateway in self.gateways.values():
            if gateway.agent is not None:
                gateway.agent.check()

    async def start_coordinator(self) -> None:
        """Create the fleet's keys and start the coordinator on a free port."""
        data = self.folder / "coordinator"
        await processes.run(
            processes.command("coordinator", "init", str(data), "--host", "127.0.0.1")
        )
        child = await processes.start(
            "coordinator",
            processes.command("coordinator", "run", "--data", str(data), "--listen", "127.0.0.1:0"),
            self.folder,
        )
        self.stack.push_async_callback(child.stop)
        self.coordinator_url = child.ready.split()[0]
        access_file = self.access
        access = tomllib.loads(access_file.read_text())
        # The port is free for the taking only once the coordinator has taken it.
        access_file.write_text(
            access_file.read_text().replace(access["url"], self.coordinator_url, 1)
        )
        tls = ssl.create_default_context(cafile=str(data / "ca.pem"))
        self.admin = await self.stack.enter_async_context(
            Admin(self.coordinator_url, access["token"], tls)
        )

    async def start_site(self, site: Site) -> None:
        """Start a site's devices and link, enrol its gateway with a claim, and start it."""
        folder = self.folder / site.name
        folder.mkdir()
        records, urls = [], {}
        for place in site.devices:
            record = Record(site.name, place, folder / f"{place.id}.ledger")
            urls[place.id] = await self._start_device(site, folder, record)
            records.append(record)
        middle = await self._start_middle(site) if site.hostile else None
        target = middle.port if middle else int(self.coordinator_url.rsplit(":", 1)[1])
        link = await self.stack.enter_async_context(LinkProxy(target=Address("127.0.0.1", target)))
        config = write_agent_config(folder, site, urls)
        if site.name == firmware.SITE:
            self.nodes = await firmware.start_nodes(folder, config, self.stack)
        gateway = Gateway(site, folder, link, records, middle, config)
        await self._enrol(gateway)
        await self.start_agent(gateway)
        self.gateways[site.name] = gateway

    async def start_agent(self, gateway: Gateway) -> None:
        """Start a site's agent, for the first time or again."""
        gateway.agent = await processes.start(
            f"agent-{gateway.site.name}",
            processes.command("agent", "run", "--config", str(gateway.config)),
            self.folder,
            ready=False,
        )
        self.stack.push_async_callback(gateway.agent.stop)

    async def _start_device(self, site: Site, folder: Path, record: Record) -> str:
        place = record.place
        port = folder / f"{place.id}.tty"
        where = ["--serial", str(port)] if place.serial else ["--tcp", "127.0.0.1:0"]
        child = await processes.start(
            f"device-{site.name}-{place.id}",
            processes.command(
                "firmware_sim", "device", place.model, *where, "--ledger", str(record.path)
            ),
            self.folder,
        )
        self.stack.push_async_callback(child.stop)
        if place.serial:
            return f"serial://{port}?baud=115200&parity=N"
        return f"tcp://{child.ready.split()[-1]}"

    async def _start_middle(self, site: Site) -> Middle:
        server = await asyncio.to_thread(stolen_certificate, self.folder / "coordinator")
        client = ssl.create_default_context(cafile=str(self.folder / "coordinator" / "ca.pem"))
        middle = Middle(
            site.name, self.coordinator_url, server=server, client=client, seed=os.urandom(32)
        )
        await middle.start()
        self.stack.push_async_callback(middle.stop)
        return middle

    async def _enrol(self, gateway: Gateway) -> None:
        name = gateway.site.name
        claim = gateway.folder / "claim.json"
        data = str(self.folder / "coordinator")
        await processes.run(
            processes.command(
                *("coordinator", "claim", "create", "--data", data, "--site", name),
                *("--count", "1", "--expires", "1d", str(claim)),
            )
        )
        url = f"https://127.0.0.1:{gateway.link.port}"
        await processes.run(
            processes.command(
                *("agent", "enroll", "--coordinator", url, "--claim", str(claim)),
                *("--data", str(gateway.folder / "data"), "--name", name),
            )
        )


async def build(folder: Path, stack: AsyncExitStack) -> World:
    """Start everything and return it; `stack` stops it in reverse order."""
    world = World(folder, stack)
    await world.start_coordinator()
    await asyncio.gather(*(world.start_site(site) for site in SITES))
    return world
