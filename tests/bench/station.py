"""A site of real processes for the benches: coordinator, simulated devices, link, one agent.

Owns the devices and the agent's configuration. The parts are those of the system tests. Leaves out
what is measured.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from firmware_sim.address import Address
from firmware_sim.demo import processes
from firmware_sim.demo.account import Record
from firmware_sim.demo.layout import Place, Site
from firmware_sim.link import LinkProxy
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_parts import Gateway

NAME = "bench"
MODEL = Path(__file__).with_name("station.model.toml")
PROFILE = Path(__file__).with_name("station.profile.toml")
POINTS = 8
PREFIX = "outstation-bench-"
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What differs from the defaults."""

    devices: int = 5
    poll_interval_s: float = 1.0
    uplink: str = ""
    """Lines of `[uplink]`."""
    telemetry: str = ""
    """Lines of `[telemetry]`."""
    sharing: str = ""
    """Lines of `[sharing]`."""


@dataclass(slots=True)
class Station(Gateway):
    """A site whose journal is in memory, as on a gateway with `/run`."""

    memory: Path = MEMORY

    @property
    def runtime(self) -> Path:
        return self.memory

    async def begin(self) -> None:
        """Start the agent and wait for its first contact."""
        await self.start()
        await self.says("its first contact", lambda status: status["link"]["contacts"] or None)


@asynccontextmanager
async def open_station(folder: Path, setup: Setup) -> AsyncIterator[tuple[Fleet, Station]]:
    """Start everything but the agent, which is enrolled; stop everything at the end."""
    async with open_fleet(folder) as fleet:
        memory = fleet.stack.enter_context(TemporaryDirectory(prefix=PREFIX, dir=MEMORY))
        await fleet.start_coordinator()
        target = Address("127.0.0.1", fleet.coordinator.port)
        link = await fleet.stack.enter_async_context(LinkProxy(target=target))
        places = [Place(f"station-{n}", "station", serial=False) for n in range(setup.devices)]
        gateway = Station(
            site=Site(NAME, tuple(places), hostile=False),
            folder=folder / NAME,
            link=link,
            config=folder / NAME / "agent.toml",
            records=[],
            devices={},
            memory=Path(memory),
        )
        gateway.folder.mkdir()
        urls = [await _start_device(fleet, gateway, place) for place in places]
        gateway.config.write_text(_configuration(gateway, urls, setup))
        fleet.gateways[NAME] = gateway
        fleet.stack.push_async_callback(gateway.stop)
        await gateway.enrol(await fleet.claim(gateway.folder / "claim.json", site=NAME))
        yield fleet, gateway


async def _start_device(fleet: Fleet, gateway: Station, place: Place) -> str:
    ledger = gateway.folder / f"{place.id}.ledger"
    where = ("--tcp", "127.0.0.1:0", "--ledger", str(ledger))
    command = processes.command("firmware_sim", "device", str(MODEL), *where)
    child = await processes.start(place.id, command, fleet.folder)
    fleet.stack.push_async_callback(child.stop)
    gateway.devices[place.id] = child
    gateway.records.append(Record(NAME, place, ledger))
    return f"tcp://{child.ready.split()[-1]}"


def _configuration(gateway: Station, urls: list[str], setup: Setup) -> str:
    lines = [
        "[agent]",
        f'data_dir = "{gateway.data}"',
        f'runtime_dir = "{gateway.runtime}"',
        "[uplink]",
        setup.uplink,
        "[telemetry]",
        setup.telemetry,
        "[sharing]",
        setup.sharing,
    ]
    for place, url in zip(gateway.site.devices, urls, strict=True):
        lines += [
            "[[bus]]",
            f'name = "bus-{place.id}"',
            f'url = "{url}"',
            # What a device served on a busy machine must arrive: learned patience may be too short.
            "response_timeout_ms = 5000",
            "[[device]]",
            f'id = "{place.id}"',
            f'bus = "bus-{place.id}"',
            "address = 1",
            f'profile = "{PROFILE}"',
            f"poll_interval_s = {setup.poll_interval_s}",
        ]
    return "\n".join([*lines, ""])
