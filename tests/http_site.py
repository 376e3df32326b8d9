"""The simulated relay on a real port, behind a real bus and the agent's driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings, Driver
from agent.drivers.registry import make_driver
from firmware_sim.bench import Bench
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.http_json.ports import HttpPort, serve_http
from firmware_sim.http_json.relay import Relay
from firmware_sim.ledger import Ledger
from firmware_sim.models import find_model
from shared.ids import DeviceId
from shared.model.profile import Profile
from tests.driver_rigs import shipped


@dataclass
class HttpSite:
    """A relay, its bus and the driver under test."""

    relay: Relay
    port: HttpPort
    bus: Bus
    driver: Driver
    ledger: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def http_site(
    *,
    faults: tuple[str, ...] = (),
    timeout_ms: int = 2_000,
    retries: int = 0,
    password: str = "",
    options: str = "",
    chunked: bool = False,
    keeps: bool = True,
    profile: Profile | None = None,
) -> AsyncIterator[HttpSite]:
    lines: list[bytes] = []
    time = SimTime()
    ledger = Ledger(lines.append, time.ticks)
    device_there = Device(find_model("relay"))
    bench = Bench(device_there, can=TEXT_FAULTS, faults=faults, ledger=ledger, time=time)
    relay = Relay(bench, password=password)
    async with serve_http(relay, chunked=chunked, keeps=keeps) as port:
        url = f"http://{port.address}{options}"
        settings = BusSettings(name="b", url=url, response_timeout_ms=timeout_ms, retries=retries)
        bus = open_bus(settings)
        device = DeviceSettings(
            id=DeviceId("relay-1"),
            bus="b",
            address=0,
            profile=profile or shipped("shelly-relay"),
        )
        try:
            yield HttpSite(relay, port, bus, make_driver(device, bus), lines)
        finally:
            await bus.close()
