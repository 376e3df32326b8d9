"""The agent's SMP client against Zephyr's own servers, as smpclient's sources carry them."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings
from agent.drivers.smp.driver import SmpDriver
from shared import limits
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from tests.sim_parts import HANG_S
from tests.smp_site import profile

SERVERS = Path(sys.prefix) / "peers" / "smp-server"
LOADER = Path("/lib/ld-linux.so.2")
pytestmark = [
    pytest.mark.skipif(not SERVERS.exists(), reason="no Zephyr servers in peers/smp-server"),
    pytest.mark.skipif(not LOADER.exists(), reason="no 32-bit libc (libc6-i386, lib32gcc-s1)"),
]


@asynccontextmanager
async def zephyr(kind: str, folder: Path) -> AsyncIterator[SmpDriver]:
    """A server of a kind, and the agent's driver on its pseudo-terminal."""
    (program,) = SERVERS.glob(f"*native_sim_{kind}.exe")
    process = await asyncio.create_subprocess_exec(
        program, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_S):
            path = None
            while path is None:
                line = await process.stdout.readline()
                assert line, "the server ended before it was there"
                path = re.search(rb"pseudotty: (\S+)", line)
        url = f"serial://{path[1].decode()}?baud=115200"
        bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=2_000))
        try:
            yield SmpDriver(DeviceId("zephyr"), bus, unit=0, profile=profile())
        finally:
            await bus.close()
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipe leaks


@pytest.mark.parametrize(
    ("kind", "size"), [("serial", None), ("serial_buf256", 256), ("serial_buf2048", 2_048)]
)
async def test_zephyr_echoes_and_tells_its_buffers(kind: str, size: int | None, tmp_path: Path):
    async with zephyr(kind, tmp_path) as driver:
        assert await driver.client.echo("outstation") == "outstation"
        found, count = await driver.client.buffers()
        assert count >= 1
        assert found >= limits.SMP_BUFFER_LEAST_BYTES
        assert size in {None, found}
        # A text that takes two lines of the console there and back: what its default has room for.
        text = "x" * 120
        assert await driver.client.echo(text) == text


async def test_zephyr_without_images_says_so_in_words(tmp_path: Path):
    async with zephyr("serial", tmp_path) as driver:
        with pytest.raises(WorldError, match="the device says: not supported") as refused:
            await driver.firmware.slots()
        assert refused.value.reason is Reason.DEVICE_EXCEPTION
        identity = await driver.identify()
        assert identity is not None
        assert identity.firmware == ""
