"""A Modbus device in a hundred lines, from the specification, that misbehaves exactly as told.

Reads and writes of clause 6 of the Modbus Application Protocol V1.1b3; frames of Modbus over Serial
Line V1.02, 2.5.1, and Messaging on TCP/IP V1.0b, 3.1.3. It shares no code with our codec.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.contract.wires import Wire

READS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


def crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


@dataclass
class Slave:
    """One device at the far end of a wire."""

    wire: Wire
    framing: str
    unit: int = 1
    cells: dict[tuple[str, int], int] = field(default_factory=dict)
    """Registers and bits that exist."""
    heard: list[bytes] = field(default_factory=list)
    """Every request's function code and data."""
    mute: bool = False
    spoil: Callable[[bytes], bytes] = lambda frame: frame
    """What goes out instead of an answer's frame, made from it."""
    exception: dict[int, int] = field(default_factory=dict)
    """Function code -> exception code it is always answered with."""
    says: dict[int, bytes] | None = None
    """Objects of what it says of itself (6.21); None: it does not have function 43."""
    knows: int = 3
    """Category up to which it does: 1 basic, 2 regular, 3 extended."""
    page: int = 240
    """Bytes of objects that fit into one answer."""
    strict: bool = False
    """It refuses a category that it does not know, where it should answer with what it has."""

    def count(self, *functions: int) -> int:
        return sum(pdu[0] in functions for pdu in self.heard)

    async def serve(self) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                address, pdu = await self._request()
                self.heard.append(pdu)
                if self.mute:
                    continue
                frame = self.frame(address, self._answer(pdu))
                self.wire.say(self.spoil(frame))

    def frame(self, head: bytes, pdu: bytes) -> bytes:
        """Frame an answer; `head` is the unit, on TCP with the transaction before it."""
        if self.framing == "rtu":
            return head + pdu + crc(head + pdu)
        return head[:2] + b"\0\0" + struct.pack(">H", len(pdu) + 1) + head[2:] + pdu

    async def _request(self) -> tuple[bytes, bytes]:
        if self.framing == "tcp":
            transaction, _, length = struct.unpack(">HHH", await self.wire.heard(6))
            rest = await self.wire.heard(length)
            return struct.pack(">H", transaction) + rest[:1], rest[1:]
        frame = await self.wire.heard(2)
        if frame[1] == 43:
            frame += await self.wire.heard(5)
        elif frame[1] in {15, 16}:
            frame += await self.wire.heard(5)
            frame += await self.wire.heard(frame[6] + 2)
        else:
            frame += await self.wire.heard(6)
        assert crc(frame[:-2]) == frame[-2:], "a master's checksum fits"
        assert frame[0] == self.unit
        return frame[:1], frame[1:-2]

    def _identification(self, code: int, first: int) -> bytes:
        """Answer function 43, type 14: a stream of objects, page by page."""
        if self.says is None:
            return bytes([0xAB, 1])
        if self.strict and code > self.knows:
            return bytes([0xAB, 3])
        highest = {1: 2, 2: 0x7F, 3: 0xFF}[min(code, self.knows)]
        wanted = [number for number in sorted(self.says) if first <= number <= highest]
        body, shown = b"", 0
        while shown < len(wanted):
            data = self.says[wanted[shown]]
            if len(body) + 2 + len(data) > self.page:
                break
            body += bytes([wanted[shown], len(data)]) + data
            shown += 1
        more = shown < len(wanted)
        following = bytes([0xFF, wanted[shown]]) if more else bytes(2)
        return bytes([43, 14, code, 0x80 | self.knows]) + following + bytes([shown]) + body

    def _answer(self, pdu: bytes) -> bytes:
        if pdu[0] in self.exception:
            return bytes([pdu[0] | 0x80, self.exception[pdu[0]]])
        if pdu[0] == 43:
            return self._identification(pdu[2], pdu[3])
        function, address, second = struct.unpack_from(">BHH", pdu)
        if function in READS:
            keys = [(READS[function], address + i) for i in range(second)]
            if not all(key in self.cells for key in keys):
                return bytes([function | 0x80, 2])
            words = [self.cells[key] for key in keys]
            if function > 2:
                data = struct.pack(f">{second}H", *words)
            else:
                data = sum(bit << i for i, bit in enumerate(words)).to_bytes(
                    -(-second // 8), "little"
                )
            return bytes([function, len(data)]) + data
        if function in {5, 6}:
            written = [("coil", address, second // 0xFF00)]
            if function == 6:
                written = [("holding", address, second)]
        else:
            assert function == 16
            values = struct.unpack_from(f">{second}H", pdu, 6)
            written = [("holding", address + i, value) for i, value in enumerate(values)]
        if any((table, at) not in self.cells for table, at, _ in written):
            return bytes([function | 0x80, 2])
        self.cells.update({(table, at): value for table, at, value in written})
        return pdu[:5]


@asynccontextmanager
async def serving(wire: Wire, framing: str) -> AsyncIterator[Slave]:
    slave = Slave(wire, framing)
    task = asyncio.create_task(slave.serve())
    try:
        yield slave
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
