"""One device of each family behind a real port, for the suite that all drivers pass.

A new driver is one rig here: a function that serves a simulated device, and a line in `RIGS`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings, Driver
from agent.drivers.registry import make_driver
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.http_json.ports import serve_http
from firmware_sim.http_json.relay import Relay
from firmware_sim.line.device import FAULTS, TextDevice
from firmware_sim.line.gauge import Gauge
from firmware_sim.line.ports import serve_line_pty, serve_line_tcp
from firmware_sim.line.sdi12 import Probe
from firmware_sim.line.weather import Weather
from firmware_sim.models import find_model
from firmware_sim.mqtt.plug import Plug
from firmware_sim.mqtt.ports import serve_mqtt
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.ports import serve_console, serve_udp
from firmware_sim.snmp.agent import Agent
from firmware_sim.snmp.ports import serve_snmp
from firmware_sim.station import Line, Station
from shared.ids import DeviceId
from shared.model.profile import Profile, parse_profile
from tests.smp_parts import loader

SHIPPED = Path(__file__).parents[1] / "agent" / "profiles"
Serve = Callable[[int], AbstractAsyncContextManager[Any]]
"""Serves the device; at the port that is given, 0 takes a free one."""


def shipped(name: str) -> Profile:
    path = SHIPPED / f"{name}.toml"
    return parse_profile(path.read_text(), source=path.name)


@dataclass
class Rig:
    """A device, the way to it, and what it can be asked."""

    profile: Profile
    told: Any
    """What takes `add_faults`, `clear_faults` and counts `requests`."""
    serve: Serve
    url: Callable[[Any], str]
    """Of the port that `serve` yields."""
    address: int = 0
    write: Mapping[str, int | float | bool] = field(default_factory=dict)
    """What can be written; empty: nothing."""
    identifies: bool = True
    timeout_ms: int = 2_000


@dataclass
class Plugged:
    """A rig whose port can be pulled out and put back."""

    rig: Rig
    bus: Bus
    driver: Driver
    _stack: AsyncExitStack
    _port: int

    async def pull(self) -> None:
        await self._stack.aclose()

    async def put_back(self) -> None:
        await self._stack.enter_async_context(self.rig.serve(self._port))


@asynccontextmanager
async def plugged_in(rig: Rig, *, timeout_ms: int | None = None) -> AsyncIterator[Plugged]:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(rig.serve(0))
        url = rig.url(served)
        patience_ms = timeout_ms or rig.timeout_ms
        bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=patience_ms, retries=0))
        settings = DeviceSettings(
            id=DeviceId("device-1"), bus="b", address=rig.address, profile=rig.profile
        )
        port = urlsplit(url).port or 0
        try:
            yield Plugged(rig, bus, make_driver(settings, bus), stack, port)
        finally:
            await bus.close()


# --- families -----------------------------------------------------------------------------------
def modbus_tcp(folder: Path) -> Rig:
    station = Station(Line.TCP, [Device(find_model("pump"))])
    return Rig(
        profile=shipped("pump-controller"),
        told=station,
        serve=lambda port: serve_tcp(station, port=port),
        url=lambda served: f"tcp://127.0.0.1:{served.port}",
        address=1,
        write={"setpoint": 4200},
    )


def sunspec(folder: Path) -> Rig:
    station = Station(Line.TCP, [Device(find_model("inverter"))])
    return Rig(
        profile=shipped("sunspec-inverter"),
        told=station,
        serve=lambda port: serve_tcp(station, port=port),
        url=lambda served: f"tcp://127.0.0.1:{served.port}",
        address=1,
    )


def modbus_serial(folder: Path) -> Rig:
    station = Station(Line.SERIAL, [Device(find_model("meter"), unit=7)])
    return Rig(
        profile=shipped("generic-meter"),
        told=station,
        serve=lambda _: serve_pty(station, folder / "meter"),
        url=lambda _: f"serial://{folder / 'meter'}?baud=115200",
        address=7,
        write={"demand_minutes": 30},
    )


def smp(kind: str) -> Callable[[Path], Rig]:
    def make(folder: Path) -> Rig:
        node = Node(loader(sectors=16), Device(find_model("soil")), medium=Medium(kind))
        path = folder / "console"
        udp = kind == "udp"
        return Rig(
            profile=shipped("smp-sensor-node"),
            told=node,
            serve=lambda port: serve_udp(node, port=port) if udp else serve_console(node, path),
            url=lambda served: (
                f"udp://127.0.0.1:{served.address.port}" if udp else f"serial://{path}?baud=115200"
            ),
        )

    return make


def http(folder: Path) -> Rig:
    relay = Relay(Bench(Device(find_model("relay")), can=TEXT_FAULTS))
    return Rig(
        profile=shipped("shelly-relay"),
        told=relay.bench,
        serve=lambda port: serve_http(relay, port=port),
        url=lambda served: f"http://{served.address}",
        write={"output": True, "auto_off": 60},
    )


def snmp(folder: Path) -> Rig:
    agent = Agent(Bench(Device(find_model("ups")), can=TEXT_FAULTS))
    return Rig(
        profile=shipped("generic-ups"),
        told=agent.bench,
        serve=lambda port: serve_snmp(agent, port=port),
        url=lambda served: f"snmp://{served.address}",
        write={"low_battery_time": 12, "auto_restart": False},
    )


def mqtt(folder: Path) -> Rig:
    plug = Plug(Bench(Device(find_model("relay")), can=TEXT_FAULTS), name="shed")
    return Rig(
        profile=shipped("tasmota-plug"),
        told=plug.bench,
        serve=lambda port: serve_mqtt(plug, port=port),
        url=lambda served: f"mqtt://{served.address}/shed",
        write={"output": 1},
        identifies=False,
    )


def _line(
    name: str, profile: str, make: Callable[[Bench], TextDevice], **more: Any
) -> dict[str, Callable[[Path], Rig]]:
    def rig(folder: Path, *, serial: bool) -> Rig:
        bench = Bench(Device(find_model(name)), can=FAULTS)
        devices = [make(bench)]
        path = folder / name
        return Rig(
            profile=shipped(profile),
            told=bench,
            serve=lambda port: (
                serve_line_pty(devices, path) if serial else serve_line_tcp(devices, port=port)
            ),
            url=lambda served: (
                f"serial://{path}?baud=115200" if serial else f"tcp://{served.where}"
            ),
            **more,
        )

    return {
        f"{profile}-serial": lambda folder: rig(folder, serial=True),
        f"{profile}-tcp": lambda folder: rig(folder, serial=False),
    }


RIGS: dict[str, Callable[[Path], Rig]] = {
    "modbus-tcp": modbus_tcp,
    "modbus-serial": modbus_serial,
    "modbus-sunspec": sunspec,
    "smp-udp": smp("udp"),
    "smp-serial": smp("serial"),
    "http_json": http,
    "snmp": snmp,
    "mqtt": mqtt,
    **_line("tank", "tank-gauge", Gauge, address=1, write={"alarm_level": 250}),
    **_line(
        "weather", "nmea-weather", lambda bench: Weather(bench, period_ms=20), identifies=False
    ),
    **_line("soil", "soil-probe", lambda bench: Probe(bench, ready_s=0)),
}
"""Every driver on every kind of port that it knows."""
