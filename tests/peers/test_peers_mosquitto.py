"""Our driver with Eclipse's mosquitto, and its commands with our simulated broker."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from coordinator.keys.certificates import create_authority, issue_server
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.reading import Quality
from shared.runtime.clock import SystemClock
from tests.driver_rigs import shipped
from tests.sim_parts import HANG_S, sim_process

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_passwd"))),
    reason="mosquitto is not installed (apt-get install mosquitto mosquitto-clients)",
)
WHO = ("-u", "gateway", "-P", "opens")
SENSOR = '{"ENERGY":{"Total":3.125,"Power":41,"Voltage":229}}'


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(HANG_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@asynccontextmanager
async def running(*command: str, until: bytes = b"") -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_S):
            while until not in (line := await process.stdout.readline()):
                assert line, f"{command[0]} ended"
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


@asynccontextmanager
async def mosquitto(folder: Path, port: int, *, tls: str = "") -> AsyncIterator[None]:
    secrets = folder / "passwords"
    if not secrets.exists():
        await run("mosquitto_passwd", "-b", "-c", str(secrets), "gateway", "opens")
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {secrets}\n"
        f"{tls}log_dest stderr\nuser root\n"
    )
    async with running("mosquitto", "-v", "-c", str(config), until=b" running"):
        yield


async def say(port: int, topic: str, payload: str) -> None:
    """Publish so that the broker keeps it, and wait until it has it."""
    where = ("-h", "127.0.0.1", "-p", str(port), *WHO)
    await run("mosquitto_pub", *where, "-q", "1", "-r", "-t", topic, "-m", payload)


@asynccontextmanager
async def driver_of(
    folder: Path, where: str, *, secret: str = "gateway:opens", ca: str = ""
) -> AsyncIterator[Driver]:
    file = folder / "secret"
    file.write_text(secret)
    file.chmod(0o600)
    url = f"{'mqtts' if ca else 'mqtt'}://{where}/shed?secret={file}{ca}"
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=10_000, retries=0))
    settings = DeviceSettings(
        id=DeviceId("plug"), bus="b", address=0, profile=shipped("tasmota-plug")
    )
    try:
        yield make_driver(settings, bus)
    finally:
        await bus.close()


async def values(driver: Driver, *points: str) -> list[object]:
    readings = await driver.read(points, urgency=Urgency.COMMAND)
    return [one.value if one.quality is Quality.GOOD else one.reason for one in readings]


async def test_a_device_behind_a_real_broker_is_read_switched_and_missed(tmp_path: Path):
    """The device is mosquitto_sub, with a last will; it is killed in the end."""
    port = free_port()
    device = (
        *("stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), *WHO, "-d"),
        *("-t", "cmnd/shed/POWER", "--will-topic", "tele/shed/LWT", "--will-payload", "Offline"),
        *("--will-retain", "--will-qos", "1"),
    )
    async with (
        mosquitto(tmp_path, port),
        driver_of(tmp_path, f"127.0.0.1:{port}") as driver,
        running(*device, until=b"SUBACK") as process,
    ):
        assert process.stdout is not None
        await say(port, "tele/shed/LWT", "Online")
        await say(port, "tele/shed/SENSOR", SENSOR)
        await say(port, "stat/shed/POWER", "OFF")
        told = await values(driver, "output", "power", "voltage", "energy")
        assert told == [0, 41, 229, 3.125]
        await driver.write({"output": 1})
        async with asyncio.timeout(HANG_S):
            while await process.stdout.readline() != b"ON\n":
                pass
        await say(port, "stat/shed/POWER", "ON")
        assert await values(driver, "output") == [1]
        process.kill()
        await process.wait()
        async with asyncio.timeout(HANG_S):
            while await values(driver, "output") != [Reason.DEVICE_SILENT]:
                pass
        with pytest.raises(WorldError, match="not there, says its broker"):
            await driver.write({"output": 0})


async def test_a_broker_that_restarts_is_asked_for_everything_anew(tmp_path: Path):
    port = free_port()
    async with driver_of(tmp_path, f"127.0.0.1:{port}") as driver:
        for total in ("1.5", "2.5"):
            async with mosquitto(tmp_path, port):
                await say(port, "tele/shed/LWT", "Online")
                await say(port, "tele/shed/SENSOR", f'{{"ENERGY":{{"Total":{total}}}}}')
                assert await values(driver, "energy") == [float(total)]
            assert await values(driver, "energy") == [Reason.BUS_DOWN]


async def test_a_real_broker_that_refuses_the_password_is_quoted(tmp_path: Path):
    port = free_port()
    async with (
        mosquitto(tmp_path, port),
        driver_of(tmp_path, f"127.0.0.1:{port}", secret="gateway:shut") as driver,
    ):
        assert await values(driver, "power") == [Reason.BUS_DOWN]
        with pytest.raises(WorldError, match=r"does not (let this client in|accept name)"):
            await driver.write({"output": 1})


async def test_a_broker_with_tls_is_believed_if_the_named_authority_vouches_for_it(tmp_path: Path):
    port, now_ms = free_port(), SystemClock().wall_ms()
    ours, other = (
        create_authority(
            tmp_path / f"{name}.pem", tmp_path / f"{name}.key", name=name, now_ms=now_ms
        )
        for name in ("ours", "other")
    )
    assert other.certificate != ours.certificate
    server = tmp_path / "server.pem"
    issue_server(ours, server, hosts=["127.0.0.1"], now_ms=now_ms)
    where = f"127.0.0.1:{port}"
    async with mosquitto(tmp_path, port, tls=f"certfile {server}\nkeyfile {server}\n"):
        async with driver_of(tmp_path, where, ca=f"&ca={tmp_path / 'ours.pem'}") as driver:
            await driver.write({"output": 1})
            assert await values(driver, "output") == [Reason.DEVICE_SILENT], "no such device"
        async with driver_of(tmp_path, where, ca=f"&ca={tmp_path / 'other.pem'}") as driver:
            with pytest.raises(WorldError, match="does not prove who it is") as caught:
                await driver.write({"output": 1})
            assert caught.value.reason is Reason.BUS_DOWN


# --- their commands, our broker -------------------------------------------------------------------
async def test_their_commands_watch_and_switch_our_plug():
    ours = ("device", "relay", "--mqtt", "127.0.0.1:0", "--password", "opens")
    async with sim_process(*ours) as (_, where):
        host, _, port = where.rpartition(":")
        to = ("-h", host, "-p", port, "-u", "admin", "-P", "opens")
        watch = ("mosquitto_sub", *to, "-v", "-t", "stat/+/POWER")
        async with running(*watch, until=b"stat/plug/POWER OFF") as process:
            assert process.stdout is not None
            await run("mosquitto_pub", *to, "-q", "1", "-t", "cmnd/plug/POWER", "-m", "TOGGLE")
            async with asyncio.timeout(HANG_S):
                assert await process.stdout.readline() == b"stat/plug/POWER ON\n"
            told = await run("mosquitto_sub", *to, "-C", "1", "-t", "tele/plug/LWT")
            assert told == "Online\n"
