"""A serial line behind a converter that others wrote: our driver through ser2net and socat."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from firmware_sim.demo.layout import profile_text
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from tests.sim_parts import HANG_S, sim_process
from tests.system.fleet_parts import free_port

CONVERTERS = ("ser2net", "socat")


def command(name: str, port: int, path: Path, folder: Path) -> list[str]:
    """What makes a converter of one line out of a program."""
    if name == "socat":
        listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
        return [name, listen, f"FILE:{path},raw,echo=0"]
    lines = ["connection: &line", f"  accepter: tcp,127.0.0.1,{port}"]
    lines += [
        f"  connector: serialdev,{path},115200n81,local",
        "  options:",
        "    kickolduser: true",
    ]
    file = folder / "ser2net.yaml"
    file.write_text("\n".join([*lines, ""]))
    return [name, "-n", "-u", "-c", str(file)]


async def listening(port: int) -> None:
    """Wait until somebody listens there, without calling: socat would fork for the caller, and for
    half a second after that call both of its processes would read the line.
    """
    listens = f" 0100007F:{port:04X} 00000000:0000 0A "
    async with asyncio.timeout(HANG_S):
        while listens not in Path("/proc/net/tcp").read_text():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def converter(name: str, path: Path, folder: Path) -> AsyncIterator[int]:
    """The port of a converter's process."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(*command(name, port, path, folder))
    try:
        await listening(port)
        yield port
    finally:
        # ser2net does not end by itself while its line is stuck.
        process.kill()
        await process.wait()


@pytest.fixture(params=CONVERTERS)
async def pump(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Driver, list[str]]]:
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"no {name} (apt-get install {name})")
    line = tmp_path / "line"
    async with (
        sim_process("device", "pump", "--serial", str(line)),
        converter(name, line, tmp_path) as port,
    ):
        url = f"rtu+tcp://127.0.0.1:{port}?baud=115200"
        bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=5_000))
        profile = parse_profile(profile_text("pump"), source="pump.toml")
        settings = DeviceSettings(id=DeviceId("pump"), bus="b", address=1, profile=profile)
        try:
            yield make_driver(settings, bus), [point.name for point in profile.polled]
        finally:
            await bus.close()


async def test_a_device_behind_a_converter_is_read_and_written(pump: tuple[Driver, list[str]]):
    driver, names = pump
    readings = await driver.read(names, urgency=Urgency.POLL)
    assert all(one.value is not None for one in readings), readings
    await driver.write({"setpoint": 4_200})
    (setpoint,) = await driver.read(["setpoint"], urgency=Urgency.COMMAND)
    assert setpoint.value == 4_200
