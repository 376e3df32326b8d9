"""How the bytes of a stick pass between a running agent and whoever typed the command.

The command's process opens the file, with its own rights and in its own view of the disks; the
agent never does. Frames are ``kind(1) size(4) bytes``, one at a time in turn: who gives a piece
waits until it was taken, so neither side ever holds more than one parcel.
"""

import asyncio
from enum import Enum
from typing import Final

import msgspec

from agent.services.carrier import Carrier, Imported
from shared import limits
from shared.errors import OutstationError
from shared.sync.stick import HEADER_BYTES, read_header

SIZE_BYTES: Final = 4
FRAME_BYTES: Final = limits.PARCEL_BYTES + SIZE_BYTES
_PATIENCE_S = 120
"""A stick that is written at 10 kB/s takes a parcel in this time; a stopped process does not."""


class FrameKind(Enum):
    """What a frame is."""

    PIECE = b"P"
    """Bytes of the stick."""
    TOLD = b"T"
    """JSON: what was done so far."""
    DONE = b"D"
    """JSON: what was done in all; empty from who gives: that was all."""
    FAILED = b"F"
    """A sentence; nothing follows."""


def frame(kind: FrameKind, data: bytes) -> bytes:
    """Return a frame's bytes."""
    return kind.value + len(data).to_bytes(SIZE_BYTES) + data


class StickDoor:
    """The agent's side: ``export ROOM`` and ``import`` on its socket."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def export(
        self, room: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Give a stick, piece by piece; each is asked for by what was told of the one before."""
        told = b""
        try:
            async for piece, so_far in self._carrier.export(_room(room)):
                told = msgspec.json.encode(so_far)
                await _put(writer, frame(FrameKind.PIECE, piece) + frame(FrameKind.TOLD, told))
                await _take(reader)
        except OutstationError as error:
            await _put(writer, frame(FrameKind.FAILED, str(error).encode()))
            return
        await _put(writer, frame(FrameKind.DONE, told))

    async def take(
        self, _rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take a stick: its header, then parcels; each is answered."""
        told = Imported()
        try:
            _, data = await _take(reader)
            header = read_header(data[:HEADER_BYTES])
            kind, data = await _take(reader)
            while kind is FrameKind.PIECE:
                told = await self._carrier.take(header, data, told)
                await _put(writer, frame(FrameKind.TOLD, msgspec.json.encode(told)))
                kind, data = await _take(reader)
        except OutstationError as error:
            await _put(writer, frame(FrameKind.FAILED, str(error).encode()))
            return
        await _put(writer, frame(FrameKind.DONE, msgspec.json.encode(told)))


def _room(text: str) -> int:
    return min(int(text), limits.STICK_BYTES) if text.isascii() and text.isdigit() else 0


async def _put(writer: asyncio.StreamWriter, data: bytes) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        writer.write(data)
        await writer.drain()


async def _take(reader: asyncio.StreamReader) -> tuple[FrameKind, bytes]:
    """Return the next frame; whoever is gone or sends anything else ends the talk."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            head = await reader.readexactly(1 + SIZE_BYTES)
            size = int.from_bytes(head[1:])
            if size > FRAME_BYTES:
                raise ValueError("a frame over its bound")
            return FrameKind(head[:1]), await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise OSError("the other end is gone") from error
