"""Our driver as the master of pymodbus' servers: TCP, RTU over TCP, RTU on a serial line."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

import pytest

pytest.importorskip("pymodbus.server", reason="pymodbus' server is not installed")

from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile

UNIT = 3
PROFILE = """
profile = 1
name = "peer"
kind = "peer"
protocol = "modbus"
[[point]]
name = "int16"
at = { table = "input", address = 0, type = "int16" }
[[point]]
name = "uint32"
at = { table = "input", address = 1, type = "uint32" }
[[point]]
name = "int64"
at = { table = "input", address = 3, type = "int64" }
[[point]]
name = "float32"
at = { table = "input", address = 7, type = "float32" }
[[point]]
name = "float64"
at = { table = "input", address = 12, type = "float64" }
[[point]]
name = "setpoint"
at = { table = "holding", address = 10, type = "uint16" }
scale = 0.1
writable = true
[[point]]
name = "ratio"
at = { table = "holding", address = 11, type = "float32" }
writable = true
[[point]]
name = "relay"
at = { table = "coil", address = 2 }
writable = true
[[point]]
name = "door"
at = { table = "discrete", address = 5 }
[[point]]
name = "absent"
at = { table = "holding", address = 500, type = "uint16" }
writable = true
"""
KNOWN = {
    "int16": -7,
    "uint32": 4_000_000_000,
    "int64": -(1 << 40),
    "float32": 0.5,
    "float64": 0.1,
}


def device() -> SimDevice:
    """The register map that the profile describes; 9 to 11 of the input table do not exist."""
    coils = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    doors = [SimData(0, values=[True] * 16, datatype=DataType.BITS)]
    holding = [
        SimData(10, values=300, datatype=DataType.UINT16),
        SimData(11, values=0.25, datatype=DataType.FLOAT32),
    ]
    inputs = [
        SimData(0, values=KNOWN["int16"], datatype=DataType.INT16),
        SimData(1, values=KNOWN["uint32"], datatype=DataType.UINT32),
        SimData(3, values=KNOWN["int64"], datatype=DataType.INT64),
        SimData(7, values=KNOWN["float32"], datatype=DataType.FLOAT32),
        SimData(12, values=KNOWN["float64"], datatype=DataType.FLOAT64),
    ]
    return SimDevice(UNIT, simdata=(coils, doors, holding, inputs))


def carry(ours: int, others: int) -> None:
    os.write(others, os.read(ours, 4096))


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two pseudo-terminals whose masters are wired to each other: a null-modem cable."""
    loop = asyncio.get_running_loop()
    masters, slaves = zip(os.openpty(), os.openpty(), strict=True)
    for fd in slaves:
        tty.setraw(fd)
    for ours, others in (masters, masters[::-1]):
        loop.add_reader(ours, carry, ours, others)
    try:
        yield os.ttyname(slaves[0]), os.ttyname(slaves[1])
    finally:
        for fd in masters:
            loop.remove_reader(fd)
        for fd in masters + slaves:
            os.close(fd)


@asynccontextmanager
async def tcp_server(framer: FramerType) -> AsyncIterator[str]:
    server = ModbusTcpServer(device(), framer=framer, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        listener = cast("asyncio.Server", server.transport)
        port = listener.sockets[0].getsockname()[1]
        yield f"{'tcp' if framer is FramerType.SOCKET else 'rtu+tcp'}://127.0.0.1:{port}"
    finally:
        await server.shutdown()


@asynccontextmanager
async def serial_server() -> AsyncIterator[str]:
    with cable() as (here, there):
        server = ModbusSerialServer(device(), framer=FramerType.RTU, port=there, baudrate=115_200)
        await server.serve_forever(background=True)
        try:
            yield f"serial://{here}?baud=115200"
        finally:
            await server.shutdown()


SERVERS = {
    "tcp": lambda: tcp_server(FramerType.SOCKET),
    "rtu+tcp": lambda: tcp_server(FramerType.RTU),
    "serial": serial_server,
}


@pytest.fixture(params=list(SERVERS))
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    async with SERVERS[request.param]() as url:
        bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=10_000))
        profile = parse_profile(PROFILE, source="peer.toml")
        settings = DeviceSettings(id=DeviceId("peer"), bus="b", address=UNIT, profile=profile)
        yield make_driver(settings, bus)
        await bus.close()


async def read(driver: Driver, *names: str) -> list[int | float | None]:
    readings = await driver.read(names, urgency=Urgency.POLL)
    return [reading.value for reading in readings]


async def test_every_type_reads_as_the_server_holds_it(driver: Driver):
    assert dict(zip(KNOWN, await read(driver, *KNOWN), strict=True)) == KNOWN
    assert await read(driver, "relay", "door", "setpoint", "ratio") == [0, 1, 30.0, 0.25]


async def test_what_is_written_reads_back_as_expected(driver: Driver):
    written = {"setpoint": 12.3, "ratio": 42.1, "relay": True}
    await driver.write(written)
    assert await read(driver, *written) == list(driver.expected(written).values())


async def test_registers_the_server_does_not_have_are_refused_by_name(driver: Driver):
    [absent, there] = await driver.read(["absent", "setpoint"], urgency=Urgency.POLL)
    assert (absent.value, absent.reason) == (None, Reason.DEVICE_EXCEPTION)
    assert there.value == 30.0
    with pytest.raises(WorldError, match=r"absent: illegal data address \(2\)"):
        await driver.write({"absent": 1})


async def test_a_value_that_cannot_be_written_never_reaches_the_server(driver: Driver):
    with pytest.raises(MistakeError):
        await driver.write({"relay": True, "setpoint": 1.05})
    assert await read(driver, "relay") == [0]
