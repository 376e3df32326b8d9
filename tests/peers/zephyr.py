"""Zephyr's own SMP servers, as smpclient's sources carry them: programs of this machine, and QEMU.

Owns starting and ending one, and the agent's driver on its port. `make peers` unpacks them
(`constraints/zephyr.py`).
"""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.ports import Bus, BusSettings
from agent.drivers.smp.driver import SmpDriver
from shared.ids import DeviceId
from tests.sim_parts import HANG_S
from tests.smp_site import PROFILE, profile

SERVERS = Path(sys.prefix) / "peers" / "smp-server"
_LOADER = Path("/lib/ld-linux.so.2")
_QEMU = "qemu-system-arm"
_BOARD = "*_mps2_an385_serial_recovery_buf2048"

UNPACKED = pytest.mark.skipif(
    not SERVERS.exists(), reason="no Zephyr servers in peers/smp-server (make peers)"
)
NATIVE = pytest.mark.skipif(
    not _LOADER.exists(), reason="no 32-bit libc (apt-get install libc6-i386 lib32gcc-s1)"
)
EMULATED = pytest.mark.skipif(
    shutil.which(_QEMU) is None, reason=f"no {_QEMU} (apt-get install {_QEMU})"
)


@asynccontextmanager
async def native(kind: str, folder: Path, *, text: str = PROFILE) -> AsyncIterator[SmpDriver]:
    """A server of a kind, and the agent's driver on its pseudo-terminal."""
    (program,) = SERVERS.glob(f"*native_sim_{kind}.exe")
    async with (
        _running([str(program)], folder, r"pseudotty: (\S+)") as path,
        _driver(path, text) as (driver, _),
    ):
        yield driver


def recovery_image() -> bytes:
    """The application's image that the emulated board starts with."""
    (path,) = SERVERS.glob(f"{_BOARD}.signed.bin")
    return path.read_bytes()


@asynccontextmanager
async def board(folder: Path) -> AsyncIterator[tuple[SmpDriver, Bus]]:
    """An emulated board whose MCUboot waits for images on its console, and the bus to it."""
    (loader,) = SERVERS.glob(f"{_BOARD}.hex")
    image = loader.with_suffix(".signed.bin")
    argv = [_QEMU, "-cpu", "cortex-m3", "-machine", "mps2-an385", "-nographic", "-monitor", "none"]
    argv += ["-chardev", "pty,id=console", "-serial", "chardev:console", "-serial", "null"]
    argv += ["-device", f"loader,file={loader}"]
    argv += ["-device", f"loader,file={image},addr=0x20050000"]
    async with _running(argv, folder, r"redirected to (\S+)") as path, _driver(path) as found:
        yield found


@asynccontextmanager
async def _running(argv: list[str], folder: Path, where: str) -> AsyncIterator[str]:
    """A program; what the pattern finds in its output is its port."""
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(HANG_S):
            found = None
            while found is None:
                line = (await process.stdout.readline()).decode(errors="replace")
                assert line, "the server ended before it was there"
                found = re.search(where, line)
        yield found[1]
    finally:
        process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipe leaks


@asynccontextmanager
async def _driver(path: str, text: str = PROFILE) -> AsyncIterator[tuple[SmpDriver, Bus]]:
    url = f"serial://{path}?baud=115200"
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=3_000))
    try:
        yield SmpDriver(DeviceId("zephyr"), bus, unit=0, profile=profile(text)), bus
    finally:
        await bus.close()
