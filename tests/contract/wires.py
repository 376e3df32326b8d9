"""The far ends of real ports, in a test's hand: a pseudo-terminal and a TCP server.

A wire hears whole chunks as they come, says what it is told to, can be pulled out and put back.
"""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

DATAGRAMS = ("udp", "snmp")
"""Schemes whose frames are datagrams: nobody notices when their far end is gone."""


class Wire(Protocol):
    """What a test does to the other end of a bus."""

    @property
    def url(self) -> str:
        """Return what the bus opens."""

    async def heard(self, size: int) -> bytes:
        """Return the next `size` bytes that the bus sent."""

    def say(self, data: bytes) -> None:
        """Send bytes to the bus."""

    def pull(self) -> None:
        """Break the link; until `put_back` the port is not there."""

    async def put_back(self) -> None:
        """Make the port usable again."""

    async def close(self) -> None:
        """Release everything."""


class PtyWire:
    """A serial cable: the test holds the master, the bus opens a link to the slave's name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"serial://{path}?baud=115200"
        self._inbox = asyncio.StreamReader()
        self._ends: tuple[int, int] | None = None

    async def heard(self, size: int) -> bytes:
        return await self._inbox.readexactly(size)

    def say(self, data: bytes) -> None:
        assert self._ends is not None
        assert os.write(self._ends[0], data) == len(data)

    def pull(self) -> None:
        if self._ends is not None:
            master, slave = self._ends
            self._ends = None
            asyncio.get_running_loop().remove_reader(master)
            self.path.unlink()
            os.close(slave)
            os.close(master)

    async def put_back(self) -> None:
        master, slave = self._ends = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.path.symlink_to(os.ttyname(slave))
        asyncio.get_running_loop().add_reader(
            master, lambda: self._inbox.feed_data(os.read(master, 4096))
        )

    async def close(self) -> None:
        self.pull()


class TcpWire:
    """A server for one connection at a time."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._inbox = asyncio.StreamReader()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._port}"

    async def heard(self, size: int) -> bytes:
        return await self._inbox.readexactly(size)

    def say(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def pull(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.hang_up()

    def hang_up(self) -> None:
        """Drop the connection but keep listening."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def put_back(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self.pull()
        await asyncio.gather(*self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writer = writer
        task = asyncio.create_task(self._listen(reader, writer))
        self._tasks.add(task)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                self._inbox.feed_data(data)
        except ConnectionError:
            pass
        writer.close()


class UdpWire(asyncio.DatagramProtocol):
    """A socket that remembers who asked last."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._port = 0
        self._inbox = asyncio.StreamReader()
        self._transport: asyncio.DatagramTransport | None = None
        self._asker: tuple[str, int] | None = None

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._port}"

    async def heard(self, size: int) -> bytes:
        return await self._inbox.readexactly(size)

    def say(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(data, self._asker)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._asker = addr
        self._inbox.feed_data(data)

    def pull(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def put_back(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", self._port)
        )
        self._port = self._transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        self.pull()
        # The socket is closed by the loop's next turn.
        await asyncio.sleep(0)


@asynccontextmanager
async def plugged(kind: str, folder: Path) -> AsyncIterator[Wire]:
    """A wire of a kind: ``serial``, a scheme of `DATAGRAMS`, or another of one byte stream."""
    wire: Wire = UdpWire(kind) if kind in DATAGRAMS else TcpWire(kind)
    if kind == "serial":
        wire = PtyWire(folder / "port")
    await wire.put_back()
    try:
        yield wire
    finally:
        await wire.close()
