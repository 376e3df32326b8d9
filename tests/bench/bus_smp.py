"""Uploads of an image to a simulated node on a pseudo-terminal, ours and smpclient's."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings
from agent.drivers.smp.driver import SmpDriver
from firmware_sim.commands.image import factory_key
from firmware_sim.commands.tell import run_tell
from firmware_sim.demo import processes
from firmware_sim.mcuboot import Version, make_image
from shared.ids import DeviceId
from shared.model.mcuboot import read_image
from tests.smp_site import profile

BAUD = 115_200
_BITS_PER_BYTE = 10
_FASTEST = 4_000_000
"""What a URL may say: a pseudo-terminal that nobody paces carries more."""
SHELL = Path(__file__).parent.parent / "peers" / "smpclient_shell.py"
PEERS = Path(sys.prefix) / "peers" / "bin" / "python"


async def paced(folder: Path, kb: int) -> float:
    """Return the share of the line's time in which an upload's bytes were on it."""
    async with _node(folder, "--baud", str(BAUD)) as (path, control):
        before = await _heard(control)
        _, seconds = await _upload(path, BAUD, kb)
        sent = await _heard(control) - before
    return sent * _BITS_PER_BYTE / BAUD / seconds


async def unpaced(folder: Path, kb: int) -> float:
    """Return kB of an image a second."""
    async with _node(folder) as (path, _):
        size, seconds = await _upload(path, _FASTEST, kb)
    return size / 1000 / seconds


async def smpclient(folder: Path, kb: int) -> float | None:
    """Return the same for smpclient as it is; None where it is not installed."""
    if not PEERS.exists():
        return None
    image = folder / "image.bin"
    image.write_bytes(_image(kb))
    async with _node(folder) as (path, _):
        shell = await asyncio.create_subprocess_exec(
            *(PEERS, SHELL, path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert shell.stdin is not None
        assert shell.stdout is not None
        try:
            await shell.stdout.readline()
            began_s = time.perf_counter()
            shell.stdin.write(json.dumps({"do": "upload", "path": str(image)}).encode() + b"\n")
            answer = json.loads(await shell.stdout.readline())
            seconds = time.perf_counter() - began_s
        finally:
            shell.kill()
            await shell.wait()
        assert answer["offsets"][-1] == image.stat().st_size, answer
    return image.stat().st_size / 1000 / seconds


def _image(kb: int) -> bytes:
    body = sha256(b"bench").digest() * (kb * 1000 // 32)
    return make_image(body, Version(2), factory_key())


async def _upload(path: str, baud: int, kb: int) -> tuple[int, float]:
    """Send an image; its size and the seconds, the first request to the last answer."""
    content = _image(kb)
    bus = open_bus(BusSettings(name="b", url=f"serial://{path}?baud={baud}"))
    try:
        driver = SmpDriver(DeviceId("node"), bus, unit=0, profile=profile())
        await driver.firmware.slots()
        began_s = time.perf_counter()
        digest = read_image(content).digest
        sent = await driver.firmware.upload(content, image=0, digest=digest)
        seconds = time.perf_counter() - began_s
    finally:
        await bus.close()
    assert sent == len(content), "nothing was sent twice"
    return len(content), seconds


@asynccontextmanager
async def _node(folder: Path, *more: str) -> AsyncIterator[tuple[str, Path]]:
    path, control = folder / "node", folder / "node.ctl"
    where = ("--serial", str(path), "--slot-kb", "512", "--control", str(control))
    child = await processes.start(
        "node", processes.command("firmware_sim", "device", "sensor-node", *where, *more), folder
    )
    try:
        yield str(path), control
    finally:
        await child.stop()


async def _heard(control: Path) -> int:
    answer: dict[str, Any] = json.loads(await run_tell(control, ["stats"]))
    return int(answer["heard_bytes"])
