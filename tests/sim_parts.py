"""Parts for tests of the simulator: clocks set by hand, and masters that share no code with it.

The masters are the smallest that can read and write: their CRC is computed bit by bit, their
requests are packed here, and they only trust what stands in the bytes they get.
"""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from firmware_sim.device import Device
from firmware_sim.models import find_model
from shared.clock import MonoMs, WallMs

ROOT = Path(__file__).parents[1]
HANG_S = 30.0
"""Bounds a test that waits for bytes that never come; no test depends on it."""


class HandTicks:
    """Clocks that only move when told to."""

    def __init__(self, wall_ms: int = 1_760_000_000_000, mono_ms: int = 1_000_000) -> None:
        self.wall, self.mono = wall_ms, mono_ms

    def wall_ms(self) -> WallMs:
        return WallMs(self.wall)

    def mono_ms(self) -> MonoMs:
        return MonoMs(self.mono)

    def advance(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms


def pump(unit: int = 1, **options) -> Device:
    return Device(find_model("pump"), unit=unit, **options)


def slow_crc(data: bytes) -> bytes:
    """The CRC as the specification's flow chart draws it (6.2.2), low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            carry = value & 1
            value >>= 1
            if carry:
                value ^= 0xA001
    return struct.pack("<H", value)


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + slow_crc(body)


def mbap(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


def read_pdu(address: int, count: int, function: int = 4) -> bytes:
    return struct.pack(">BHH", function, address, count)


def write_pdu(address: int, value: int) -> bytes:
    return struct.pack(">BHH", 6, address, value)


class TcpMaster:
    """One connection; answers are taken in the order they arrive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._transaction = 0

    def send(self, pdu: bytes, unit: int = 1) -> int:
        self._transaction += 1
        self.writer.write(mbap(self._transaction, unit, pdu))
        return self._transaction

    async def receive(self) -> tuple[int, int, bytes]:
        """Transaction, unit and PDU of the next answer."""
        async with asyncio.timeout(HANG_S):
            head = await self.reader.readexactly(7)
            transaction, protocol, length, unit = struct.unpack(">HHHB", head)
            assert protocol == 0
            return transaction, unit, await self.reader.readexactly(length - 1)

    async def ask(self, pdu: bytes, unit: int = 1) -> bytes:
        sent = self.send(pdu, unit)
        transaction, answered_by, answer = await self.receive()
        assert (transaction, answered_by) == (sent, unit)
        return answer

    async def registers(self, address: int, count: int, function: int = 4, unit: int = 1):
        answer = await self.ask(read_pdu(address, count, function), unit)
        assert answer[:2] == bytes([function, 2 * count]), answer.hex()
        return struct.unpack(f">{count}H", answer[2:])


@asynccontextmanager
async def tcp_master(port: int) -> AsyncIterator[TcpMaster]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield TcpMaster(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


class RtuMaster:
    """An open terminal; waits for bytes by readiness."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._got = bytearray()
        self._more = asyncio.Event()

    def take(self) -> None:
        self._got += os.read(self.fd, 4096)
        self._more.set()

    def send(self, data: bytes) -> None:
        assert os.write(self.fd, data) == len(data)

    async def receive(self, size: int) -> bytes:
        async with asyncio.timeout(HANG_S):
            while len(self._got) < size:
                self._more.clear()
                await self._more.wait()
        data = bytes(self._got[:size])
        del self._got[:size]
        return data

    async def registers(self, address: int, count: int, function: int = 4, unit: int = 1):
        self.send(rtu(unit, read_pdu(address, count, function)))
        return await self.answered_registers(count, function, unit)

    async def answered_registers(self, count: int, function: int = 4, unit: int = 1):
        answer = await self.receive(5 + 2 * count)
        assert answer[-2:] == slow_crc(answer[:-2]), answer.hex()
        assert answer[:3] == bytes([unit, function, 2 * count]), answer.hex()
        return struct.unpack(f">{count}H", answer[3:-2])


@asynccontextmanager
async def rtu_master(path: Path | str) -> AsyncIterator[RtuMaster]:
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    master = RtuMaster(fd)
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, master.take)
    try:
        yield master
    finally:
        loop.remove_reader(fd)
        os.close(fd)


@asynccontextmanager
async def sim_process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`outstation-sim` as a real process, and where it said that it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "firmware_sim", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(HANG_S):
            line = (await process.stdout.readline()).decode()
        if not line.startswith("ready "):
            said = (await process.stderr.read()).decode()
            raise AssertionError(f"not ready: {line!r} {said}")
        yield process, line.removeprefix("ready ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
