"""One Modbus device read by three clients in turn: ours, pymodbus', and one that polls its port.

Ours does what the product does: a driver on a bus, values decoded by the profile. The others send
the same requests and turn registers into the same values.
"""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from agent.buses.factory import open_bus
from agent.buses.timing import usual_silence_ms
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.modbus.plan import Block, plan
from agent.drivers.registry import make_driver
from firmware_sim.demo import processes
from shared.ids import DeviceId
from shared.model.profile import Profile, parse_profile
from tests.bench.station import MODEL, PROFILE

_TYPES = {
    "int16": AsyncModbusTcpClient.DATATYPE.INT16,
    "uint16": AsyncModbusTcpClient.DATATYPE.UINT16,
    "uint32": AsyncModbusTcpClient.DATATYPE.UINT32,
}
_POLL_S = 0.005
"""How often smpclient's serial transport looks whether something came."""
_READ_INPUT = 4
_WARM = 20
_SLOW_BAUD = 9_600
_LOOKS = 3

Read = Callable[[], Awaitable[object]]


async def clients(folder: Path, reads: int) -> dict[str, dict[str, float]]:
    """Return CPU and round trip in microseconds of one request, by client."""
    profile = _profile()
    blocks = plan(profile.polled, profile.limits)
    found: dict[str, dict[str, float]] = {}
    async with _device(folder, "--tcp", "127.0.0.1:0") as where:
        host, _, port = where.rpartition(":")
        async with _driver(f"tcp://{where}", profile) as driver:
            names = [point.name for point in profile.polled]
            look = lambda: driver.read(names, urgency=Urgency.POLL)  # noqa: E731
            found["ours"] = await _timed(look, reads, len(blocks))
        client = AsyncModbusTcpClient(host, port=int(port))
        assert await client.connect()
        try:
            found["pymodbus"] = await _timed(lambda: _pymodbus(client, blocks), reads, len(blocks))
        finally:
            client.close()
        with socket.create_connection((host, int(port))) as line:
            line.setblocking(False)
            found["polling_5_ms"] = await _timed(
                lambda: _polling(line, blocks), max(reads // 10, 20), len(blocks)
            )
    return found


async def merging(folder: Path) -> dict[str, float]:
    """Return the milliseconds of one look at all points at 9600 baud, merged and point by point."""
    profile = _profile()
    names = [point.name for point in profile.polled]
    port = folder / "slow"
    merged, apart = [], []
    async with (
        _device(folder, "--serial", str(port), "--baud", str(_SLOW_BAUD)),
        _driver(f"serial://{port}?baud={_SLOW_BAUD}", profile) as driver,
    ):
        for _ in range(_LOOKS):
            began_s = time.perf_counter()
            whole = await driver.read(names, urgency=Urgency.POLL)
            merged.append(time.perf_counter() - began_s)
            assert all(one.value is not None for one in whole)
            began_s = time.perf_counter()
            for name in names:
                await driver.read([name], urgency=Urgency.POLL)
            apart.append(time.perf_counter() - began_s)
    return {
        "points": len(names),
        "requests": len(plan(profile.polled, profile.limits)),
        "merged_ms": round(min(merged) * 1000, 1),
        "apart_ms": round(min(apart) * 1000, 1),
    }


async def _timed(read: Read, reads: int, requests: int) -> dict[str, float]:
    for _ in range(_WARM):
        await read()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(reads):
        await read()
    count = reads * requests
    return {
        "cpu_us": (time.process_time() - cpu_s) / count * 1e6,
        "round_trip_us": (time.perf_counter() - began_s) / count * 1e6,
    }


async def _pymodbus(client: AsyncModbusTcpClient, blocks: Sequence[Block]) -> list[float]:
    found: list[float] = []
    for block in blocks:
        answer = await client.read_input_registers(block.address, count=block.count, device_id=1)
        for point in block.points:
            words = block.words_of(point, list(answer.registers))
            number = client.convert_from_registers(words, _TYPES[point.register.type])
            assert isinstance(number, int), "the station's points are whole numbers"
            found.append(number * float(point.scale))
    return found


async def _polling(line: socket.socket, blocks: Sequence[Block]) -> list[float]:
    found: list[float] = []
    for block in blocks:
        line.send(struct.pack(">HHHBBHH", 1, 0, 6, 1, _READ_INPUT, block.address, block.count))
        wanted, got = 9 + 2 * block.count, b""
        while len(got) < wanted:
            await asyncio.sleep(_POLL_S)
            try:
                got += line.recv(wanted)
            except BlockingIOError:
                continue
        words = list(struct.unpack(f">{block.count}H", got[9:]))
        found += [
            point.register.decode(block.words_of(point, words)) * float(point.scale)
            for point in block.points
        ]
    return found


def _profile() -> Profile:
    return parse_profile(PROFILE.read_text(), source=str(PROFILE))


@asynccontextmanager
async def _driver(url: str, profile: Profile) -> AsyncIterator[Driver]:
    silence_ms = usual_silence_ms(url)
    bus = open_bus(
        BusSettings(name="b", url=url, response_timeout_ms=5_000, inter_frame_ms=silence_ms)
    )
    settings = DeviceSettings(id=DeviceId("station"), bus="b", address=1, profile=profile)
    try:
        yield make_driver(settings, bus)
    finally:
        await bus.close()


@asynccontextmanager
async def _device(folder: Path, *where: str) -> AsyncIterator[str]:
    child = await processes.start(
        "station", processes.command("firmware_sim", "device", str(MODEL), *where), folder
    )
    try:
        yield child.ready
    finally:
        await child.stop()
