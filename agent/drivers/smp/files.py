"""Moves files to and from an SMP device: Zephyr's "File management", group 8, command 0.

A device keeps what it has of a file; what that is, its length and sum tell. So an upload that was
cut, by the link or the gateway, goes on behind what is there. One piece is on its way at a time:
files are small. Leaves out the packets (`packet`, `client`).
"""

import asyncio
import zlib
from contextlib import suppress

from agent.core.files import FileSeen
from agent.core.ports import Urgency
from agent.drivers.smp import packet
from agent.drivers.smp.client import FILES, Client
from agent.drivers.smp.packet import READ, WRITE, Refusal, Reply, Request
from shared import limits
from shared.errors import Reason, WorldError

_PIECE, _CLOSE = 0, 4
_DATA_HEAD = 3
"""CBOR's head of a byte string of up to 64 kB; an empty one has 1."""
_MISSING = {Refusal(3, FILES), Refusal(5)}
"""What the two versions of the protocol say where there is no such file."""
_EMPTY = Refusal(15, FILES)
_WRONG_OFFSET = {Refusal(11, FILES), Refusal(12, FILES)}
"""The device is elsewhere than we are: a piece came, and its answer did not."""
_RESUMED = frozenset({Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME, Reason.BUS_DOWN})


class SmpFiles:
    """The files of one device; see `agent.core.files.FilePort`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def look(self, name: str) -> FileSeen | None:
        """Return what the device tells of a file, None where it has none of that name."""
        await self._close()
        told = await self._client.file(name, Urgency.COMMAND, checked=True)
        if isinstance(told, Refusal) and told not in {*_MISSING, _EMPTY}:
            # No sums, or not this one: its length is told all the same.
            told = await self._client.file(name, Urgency.COMMAND, checked=False)
        if told == _EMPTY:
            return FileSeen(0, 0)
        if isinstance(told, Refusal):
            if told in _MISSING:
                return None
            raise _refused(told)
        size, crc32 = told.get("size"), told.get("crc32")
        if isinstance(size, bool) or not isinstance(size, int):
            raise WorldError(Reason.DEVICE_EXCEPTION, "the device does not say how long it is")
        return FileSeen(size, crc32 if isinstance(crc32, int) else None)

    async def put(self, name: str, content: bytes) -> int:
        """Make a file have this content; see `agent.core.files.FilePort`."""
        piece = await self._piece_bytes(name, len(content))
        offset, sent, stalls = await self._held(name, content), 0, _Stalls()
        while offset is None or offset < len(content):
            at = offset or 0
            data = content[at : at + piece]
            values: dict[str, object] = {"name": name, "off": at, "data": data}
            if not at:
                values["len"] = len(content)
            try:
                reply = await self._client.ask(
                    Request(WRITE, FILES, _PIECE, values), least_wait_ms=limits.SMP_PIECE_MS
                )
                sent += len(data)
                wanted = _offset(reply)
                if wanted is not None and at < wanted <= len(content):
                    offset = wanted
                    stalls.moved()
                    continue
                await stalls.wait(WorldError(Reason.DEVICE_SILENT, "it takes no more of it"))
                offset = await self._held(name, content)
            except WorldError as error:
                if error.reason not in _RESUMED:
                    raise
                await stalls.wait(error)
                piece = max(piece // 2, limits.FILE_PIECE_LEAST_BYTES)
                offset = await self._held_again(name, content, offset)
        return sent

    async def get(self, name: str, most: int) -> bytes:
        """Return a file's content; see `agent.core.files.FilePort`."""
        content, size, stalls = bytearray(), -1, _Stalls()
        while len(content) != size:
            request = Request(READ, FILES, _PIECE, {"name": name, "off": len(content)})
            try:
                reply = await self._client.ask(request, answer_bytes=limits.SMP_DATAGRAM_BYTES)
            except WorldError as error:
                if error.reason not in _RESUMED:
                    raise
                await stalls.wait(error)
                continue
            if reply == _EMPTY:
                return b""
            data = _data(reply, len(content))
            size = _length(reply, most) if not content else size
            if not data and size:
                raise WorldError(Reason.DEVICE_EXCEPTION, "the file ends before its length")
            content += data
            stalls.moved()
            if len(content) > size:
                raise WorldError(Reason.DEVICE_EXCEPTION, "the file is longer than it says")
        seen = await self.look(name)
        if seen is not None and seen.crc32 not in {None, zlib.crc32(content)}:
            raise WorldError(Reason.VERIFY_MISMATCH, "the file changed while it was read")
        return bytes(content)

    async def _close(self) -> None:
        """Have an open file closed: while it is written it is told of as it was before.

        Devices that know no such command keep none open. A lost answer shows in what follows.
        """
        with suppress(WorldError):
            await self._client.ask(Request(WRITE, FILES, _CLOSE, {}))

    async def _held(self, name: str, content: bytes) -> int | None:
        """Return how much of the content the device has; None: nothing, it begins anew."""
        seen = await self.look(name)
        if seen is None or not seen.is_beginning_of(content):
            return None
        # An empty file is all of an empty content, and no beginning of another one.
        return seen.size if seen.size or not content else None

    async def _held_again(self, name: str, content: bytes, before: int | None) -> int | None:
        """Return how much the device has after a halt; one that stays silent is asked again."""
        try:
            return await self._held(name, content)
        except WorldError as error:
            if error.reason not in _RESUMED:
                raise
            return before

    async def _piece_bytes(self, name: str, size: int) -> int:
        """Return how much of a file fits into a packet beside everything else."""
        buffer, _ = await self._client.buffers()
        values = {"name": name, "off": 0, "data": b"", "len": size}
        empty = packet.encode(Request(WRITE, FILES, _PIECE, values), sequence=0, version=0)
        room = self._client.dialect.framing.packet_bytes(buffer) - len(empty) - _DATA_HEAD
        # An offset behind 64 kB takes four bytes more than 0 does.
        return max(room - 4, limits.FILE_PIECE_LEAST_BYTES)


class _Stalls:
    """Halts in a row, each waited for a little longer."""

    def __init__(self) -> None:
        self._count = 0

    def moved(self) -> None:
        self._count = 0

    async def wait(self, error: WorldError) -> None:
        self._count += 1
        if self._count > limits.UPLOAD_STALLS:
            raise error
        await asyncio.sleep(limits.FIRMWARE_LOOK_MS / 1000 * (1 << self._count - 1))


def _refused(refusal: Refusal) -> WorldError:
    return WorldError(Reason.DEVICE_EXCEPTION, f"the device says: {refusal.text}")


def _offset(reply: Reply) -> int | None:
    """Return what the device wants next, None where it has to be looked at."""
    if isinstance(reply, Refusal):
        if reply in _WRONG_OFFSET:
            return None
        raise _refused(reply)
    offset = reply.get("off")
    return None if isinstance(offset, bool) or not isinstance(offset, int) else offset


def _data(reply: Reply, offset: int) -> bytes:
    if isinstance(reply, Refusal):
        raise _refused(reply)
    data = reply.get("data")
    if reply.get("off") != offset or not isinstance(data, bytes):
        raise WorldError(Reason.DEVICE_EXCEPTION, "the device gives another part of the file")
    return data


def _length(reply: Reply, most: int) -> int:
    assert not isinstance(reply, Refusal), "see `_data`"
    size = reply.get("len")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise WorldError(Reason.DEVICE_EXCEPTION, "the device does not say how long the file is")
    if size > most:
        what = f"the file has {size} bytes, at most {most} are taken"
        raise WorldError(Reason.DEVICE_EXCEPTION, what)
    return size
