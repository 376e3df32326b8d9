"""Our driver asks net-snmp's snmpd, and net-snmp's own commands ask our simulated power supply."""

import asyncio
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Urgency
from agent.drivers.registry import make_driver
from agent.drivers.snmp.driver import SnmpDriver
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.contract.patience import PATIENT_MS, waited_for
from tests.sim_parts import HANG_S, sim_process

HASTY_MS = 1_000
"""Where no answer will come."""

pytestmark = pytest.mark.skipif(
    shutil.which("snmpd") is None or shutil.which("snmpget") is None,
    reason="net-snmp is not installed (apt-get install snmpd snmp)",
)
PROFILE = """
profile = 1
name = "peer"
kind = "peer"
protocol = "snmp"
[snmp]
max_oids = 64
[[point]]
name = "up"
at = { oid = "1.3.6.1.2.1.1.3.0", type = "ticks" }
[[point]]
name = "services"
at = { oid = "1.3.6.1.2.1.1.7.0" }
[[point]]
name = "heard"
at = { oid = "1.3.6.1.2.1.11.1.0", type = "counter32" }
[[point]]
name = "one"
at = { oid = "1.3.6.1.4.1.8072.1.3.2.3.1.1.3.111.110.101", type = "text" }
[[point]]
name = "load"
at = { oid = "1.3.6.1.4.1.2021.10.1.6.1", type = "float" }
[[point]]
name = "traps"
at = { oid = "1.3.6.1.2.1.11.30.0" }
writable = true
min = 1
max = 2
[[point]]
name = "absent"
at = { oid = "1.3.6.1.2.1.33.1.2.4.0" }
"""
CONFIG = """
agentAddress udp:127.0.0.1:{port}
rocommunity readers 127.0.0.1
rwcommunity writers 127.0.0.1
sysServices 72
extend one /bin/echo 21.5
"""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def snmpd(folder: Path, port: int) -> AsyncIterator[None]:
    """A server with a folder of its own; it is up once it says so."""
    config = folder / "snmpd.conf"
    config.write_text(CONFIG.format(port=port))
    process = await asyncio.create_subprocess_exec(
        *("snmpd", "-f", "-Lo", "-C", "-c", str(config)),
        env={"PATH": "/usr/sbin:/usr/bin:/bin", "SNMP_PERSISTENT_DIR": str(folder), "MIBS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_S):
            while b"NET-SNMP version" not in (line := await process.stdout.readline()):
                assert line, "snmpd ended"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(HANG_S):
            await process.communicate()


@asynccontextmanager
async def driver_of(
    folder: Path, port: int, community: str, *, ms: int = PATIENT_MS
) -> AsyncIterator[SnmpDriver]:
    secret = folder / community
    secret.write_text(community)
    secret.chmod(0o600)
    url = f"snmp://127.0.0.1:{port}?secret={secret}"
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=ms, retries=0))
    profile = parse_profile(PROFILE, source="peer.toml")
    settings = DeviceSettings(id=DeviceId("peer"), bus="b", address=0, profile=profile)
    try:
        driver = make_driver(settings, bus)
        assert isinstance(driver, SnmpDriver)
        yield driver
    finally:
        await bus.close()


async def test_a_real_agent_is_read_written_and_says_what_it_is(tmp_path: Path):
    port = free_port()
    names = ["up", "services", "heard", "one", "load", "traps", "absent"]
    async with snmpd(tmp_path, port), driver_of(tmp_path, port, "writers") as driver:
        readings = {one.point: one for one in await driver.read(names, urgency=Urgency.POLL)}
        assert readings.pop("absent").reason is Reason.POINT_UNKNOWN
        assert {one.quality for one in readings.values()} == {Quality.GOOD}
        assert (readings["services"].value, readings["one"].value) == (72, 21.5)
        assert (readings["heard"].value or 0) > 0
        changed = 3 - int(readings["traps"].value or 0)
        await driver.write({"traps": changed})
        (after,) = await driver.read(["traps"], urgency=Urgency.COMMAND)
        assert after.value == changed
        identity = await driver.identify()
        assert identity is not None
        assert identity.model.startswith("Linux")
        assert identity.more["object"].startswith("1.3.6.1.4.1.8072.")


async def test_a_real_agent_refuses_who_may_only_read_and_is_silent_to_strangers(tmp_path: Path):
    port = free_port()
    async with snmpd(tmp_path, port):
        async with driver_of(tmp_path, port, "readers") as driver:
            with pytest.raises(WorldError, match="traps: the device says noAccess"):
                await driver.write({"traps": 1})
        async with driver_of(tmp_path, port, "strangers", ms=HASTY_MS) as driver:
            (reading,) = await driver.read(["services"], urgency=Urgency.POLL)
            assert reading.reason is Reason.DEVICE_SILENT


async def test_a_real_agent_that_restarts_is_read_again(tmp_path: Path):
    port = free_port()
    async with driver_of(tmp_path, port, "readers") as driver:
        async with snmpd(tmp_path, port):
            (reading,) = await driver.read(["services"], urgency=Urgency.COMMAND)
            assert reading.value == 72
        waited_for(driver._bus, 0, ms=HASTY_MS)
        (reading,) = await driver.read(["services"], urgency=Urgency.COMMAND)
        assert reading.reason in {Reason.BUS_DOWN, Reason.DEVICE_SILENT}
        waited_for(driver._bus, 0)
        async with snmpd(tmp_path, port):
            (reading,) = await driver.read(["services"], urgency=Urgency.COMMAND)
            assert reading.value == 72


# --- their commands, our device -------------------------------------------------------------------
async def net_snmp(program: str, where: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(program, "-v2c", "-c", "public", "-On", "-r0", "-t5", where, *arguments),
        env={"PATH": "/usr/bin:/bin", "MIBS": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(HANG_S):
        out, _ = await process.communicate()
    return out.decode()


async def test_their_commands_get_walk_and_set_our_power_supply():
    async with sim_process("device", "ups", "--snmp", "127.0.0.1:0") as (_, where):
        walked = await net_snmp("snmpwalk", where, ".1.3.6.1.2.1.33")
        bulk = await net_snmp("snmpbulkwalk", where, ".1.3.6.1.2.1.33")
        named = re.findall(r"^(\S+) = ", walked, re.MULTILINE)
        assert len(named) > 12
        assert set(named) == set(re.findall(r"^(\S+) = ", bulk, re.MULTILINE))
        timed = ".1.3.6.1.2.1.33.1.9.7.0"
        assert "INTEGER: 17" in await net_snmp("snmpset", where, timed, "i", "17")
        assert "INTEGER: 17" in await net_snmp("snmpget", where, timed)
        assert "wrongValue" in await net_snmp("snmpset", where, timed, "i", "61")
        assert "wrongType" in await net_snmp("snmpset", where, timed, "s", "x")
        assert "notWritable" in await net_snmp(
            "snmpset", where, ".1.3.6.1.2.1.33.1.2.4.0", "i", "1"
        )
        assert "No Such Object" in await net_snmp("snmpget", where, ".1.3.6.1.2.1.99.1.0")
