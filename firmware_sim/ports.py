"""The two ports a simulated Modbus device has: a TCP socket, and a real pseudo-terminal.

Owns waiting and byte pacing. Leaves out the terminal itself (`terminal`) and every decision: bytes
go to a decoder, requests to the station, answers back.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from firmware_sim.address import Address, bound_address, listen
from firmware_sim.crew import Crew
from firmware_sim.modbus import rtu, tcp
from firmware_sim.station import Exchange, Line, Reply, Station
from firmware_sim.terminal import named_terminal
from shared import limits

_READ_BYTES = 4096
_BITS_PER_CHARACTER = 11
"""Start, eight data, parity or a second stop, stop (Modbus over Serial Line V1.02, 2.5.1)."""
_SILENCE_CHARACTERS = 3.5
_SILENCE_FLOOR_S = 0.02
"""A pseudo-terminal has no line clock, and the sender may lose the processor inside of a frame: a
shorter pause than this says nothing."""
_SLICE_S = 0.001
"""Paced answers leave in slices this long, below the silence that ends a frame at any speed."""


async def _carried_out(station: Station, exchange: Exchange) -> Reply | None:
    if exchange.delay_ms:
        await asyncio.sleep(exchange.delay_ms / 1000.0)
    return station.finish(exchange)


# --- Modbus TCP ---------------------------------------------------------------------------------
class TcpPort:
    """A Modbus TCP server on one port."""

    def __init__(self, station: Station) -> None:
        assert station.line is Line.TCP, "a station is made for one kind of line"
        self.station = station
        self.address = Address("", 0)
        """Where it listens."""
        self._crew = Crew()

    @property
    def port(self) -> int:
        """Return the TCP port it listens on."""
        return self.address.port

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self._crew.failed

    async def open(self, address: Address) -> asyncio.Server:
        """Start to listen; see `firmware_sim.address.listen` for what can go wrong."""
        server = await listen(self._connected, address)
        self.address = bound_address(server)
        return server

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening and drop every master."""
        server.close()
        await self._crew.dismiss()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._crew) >= limits.SIM_CONNECTIONS:
            writer.transport.abort()
        else:
            self._crew.start(self._talk(reader, writer), after=writer.close)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one master's requests in their order until it hangs up or sends nonsense."""
        decoder = tcp.Decoder()
        try:
            while data := await reader.read(_READ_BYTES):
                for item in decoder.feed(data):
                    if isinstance(item, tcp.Malformed):
                        self.station.hear_malformed(item.size)
                        if item.fatal:
                            return
                    else:
                        await self._answer(item, writer)
        except ConnectionError:
            return

    async def _answer(self, frame: tcp.Frame, writer: asyncio.StreamWriter) -> None:
        exchange = self.station.hear(frame.unit, frame.pdu)
        reply = await _carried_out(self.station, exchange)
        if reply is None:
            return
        if reply.noise is not None:
            writer.write(reply.noise)
        else:
            writer.write(tcp.encode_frame(frame.transaction, frame.unit, reply.pdu))
        await writer.drain()


@asynccontextmanager
async def serve_tcp(
    station: Station, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[TcpPort]:
    """Serve a station over Modbus TCP; `TcpPort.port` says where when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    tcp_port = TcpPort(station)
    server = await tcp_port.open(Address(host, port))
    try:
        yield tcp_port
    finally:
        await tcp_port.close(server)


# --- Modbus RTU on a pseudo-terminal ------------------------------------------------------------
class PtyPort:
    """A Modbus RTU line on a pseudo-terminal with a stable name."""

    def __init__(self, station: Station, path: Path, baud: int | None) -> None:
        assert station.line is Line.SERIAL, "a station is made for one kind of line"
        assert baud is None or baud > 0, "a line speed is positive"
        self.station = station
        self.path = path
        """What masters open."""
        self.overrun = 0
        """Bytes of answers that nobody read, so that they were lost as on a real line."""
        self._crew = Crew()
        self._readable = asyncio.Event()
        self._character_s = _BITS_PER_CHARACTER / baud if baud is not None else 0.0
        self._silence_s = max(_SILENCE_FLOOR_S, _SILENCE_CHARACTERS * self._character_s)

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self._crew.failed

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["PtyPort"]:
        """Create the terminal and its name, answer until the block is left, remove both."""
        with named_terminal(self.path) as fd:
            async with self._listening(fd):
                yield self

    @asynccontextmanager
    async def _listening(self, fd: int) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_reader(fd, self._readable.set)
        self._crew.start(self._talk(fd))
        try:
            yield
        finally:
            loop.remove_reader(fd)
            await self._crew.dismiss()

    async def _talk(self, fd: int) -> None:
        decoder = rtu.Decoder()
        while True:
            data = await self._receive(fd, decoder)
            for item in decoder.feed(data) if data else decoder.idle():
                if isinstance(item, rtu.Malformed):
                    self.station.hear_malformed(item.size)
                else:
                    await self._answer(fd, item)

    async def _receive(self, fd: int, decoder: rtu.Decoder) -> bytes:
        """Return the next bytes; none when the line fell silent inside of something."""
        while True:
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                self._readable.clear()
                asyncio.get_running_loop().add_reader(fd, self._readable.set)
            else:
                # Level-triggered readiness would wake the loop all through a slow answer.
                asyncio.get_running_loop().remove_reader(fd)
                return data
            try:
                async with asyncio.timeout(self._silence_s if decoder.waits_for_silence else None):
                    await self._readable.wait()
            except TimeoutError:
                return b""

    async def _answer(self, fd: int, frame: rtu.Frame) -> None:
        exchange = self.station.hear(frame.unit, frame.pdu)
        if self._character_s:
            # The request came at once; on the wire it would have taken its length and a silence.
            length = len(frame.pdu) + 3 + _SILENCE_CHARACTERS
            await asyncio.sleep(length * self._character_s)
        reply = await _carried_out(self.station, exchange)
        if reply is None:
            return
        if reply.noise is not None:
            await self._send(fd, reply.noise)
            return
        data = rtu.encode_frame(frame.unit, reply.pdu)
        if reply.damaged:
            data = data[:-1] + bytes((data[-1] ^ 0x5A,))
        await self._send(fd, data)

    async def _send(self, fd: int, data: bytes) -> None:
        if not self._character_s:
            self._put(fd, data)
            return
        size = max(1, int(_SLICE_S / self._character_s))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            arrived = begun + (start + len(piece)) * self._character_s
            await asyncio.sleep(arrived - loop.time())
            self._put(fd, piece)

    def _put(self, fd: int, data: bytes) -> None:
        try:
            self.overrun += len(data) - os.write(fd, data)
        except BlockingIOError:
            self.overrun += len(data)


@asynccontextmanager
async def serve_pty(
    station: Station, path: Path | str, *, baud: int | None = None
) -> AsyncIterator[PtyPort]:
    """Serve a station over Modbus RTU on a new pseudo-terminal that `path` names.

    With `baud` its bytes take the time that they would take on a line of that speed.

    Raises:
        MistakeError: `path` is something else, or cannot be created.
        WorldError: another simulated device serves it.
    """
    async with PtyPort(station, Path(path), baud).opened() as port:
        yield port
