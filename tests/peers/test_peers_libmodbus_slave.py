"""Our driver as the master of libmodbus' slave: TCP, and RTU on a serial line."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ctypes.util import find_library
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from tests.peers.test_peers_pymodbus_server import KNOWN, PROFILE, UNIT, cable
from tests.sim_parts import HANG_S

SLAVE = Path(__file__).with_name("libmodbus_slave.py")
pytestmark = pytest.mark.skipif(
    find_library("modbus") is None, reason="no libmodbus (apt-get install libmodbus5)"
)


@asynccontextmanager
async def slave(where: str) -> AsyncIterator[str]:
    """A slave's process; where it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SLAVE), where, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_S):
            said = (await process.stdout.readline()).decode().split()
        assert said[:1] == ["ready"], "the slave ended before it was there"
        yield said[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipe leaks


@asynccontextmanager
async def driven(url: str) -> AsyncIterator[Driver]:
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=10_000))
    profile = parse_profile(PROFILE, source="peer.toml")
    settings = DeviceSettings(id=DeviceId("peer"), bus="b", address=UNIT, profile=profile)
    try:
        yield make_driver(settings, bus)
    finally:
        await bus.close()


@pytest.fixture(params=["tcp", "serial"])
async def driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    if request.param == "tcp":
        async with slave("tcp") as url, driven(url) as found:
            yield found
        return
    with cable() as (here, there):
        async with slave(there), driven(f"serial://{here}?baud=115200") as found:
            yield found


async def read(driver: Driver, *names: str) -> list[int | float | None]:
    return [one.value for one in await driver.read(names, urgency=Urgency.POLL)]


async def test_every_type_reads_as_libmodbus_holds_it(driver: Driver):
    assert dict(zip(KNOWN, await read(driver, *KNOWN), strict=True)) == KNOWN
    assert await read(driver, "relay", "door", "setpoint", "ratio") == [0, 1, 30.0, 0.25]


async def test_what_is_written_reads_back_as_expected(driver: Driver):
    written = {"setpoint": 12.3, "ratio": 42.1, "relay": True}
    await driver.write(written)
    assert await read(driver, *written) == list(driver.expected(written).values())


async def test_registers_that_libmodbus_does_not_have_are_refused_by_name(driver: Driver):
    [absent, there] = await driver.read(["absent", "setpoint"], urgency=Urgency.POLL)
    assert (absent.value, absent.reason) == (None, Reason.DEVICE_EXCEPTION)
    assert there.value == 30.0
    with pytest.raises(WorldError, match=r"absent: illegal data address \(2\)"):
        await driver.write({"absent": 1})
