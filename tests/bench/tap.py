"""A TCP proxy that counts what an agent's connections cost on a real wire.

Owns bytes per direction, and packets as the kernel counts them. The agent's half has the segment
size of Ethernet, so that loopback cuts the stream into as many packets as a real path would.
Leaves out the meaning of the bytes: TLS passes unchanged.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

SEGMENT_BYTES = 1_460
"""Of an IPv4 packet of 1500 bytes; 12 of them are TCP's time stamps."""
HEADER_BYTES = 40
"""IPv4 and TCP without options: what every packet is charged with."""
UNSEEN_PACKETS = 3
"""Of each connection the counters miss the SYN-ACK, our FIN and its ACK."""
_TCP_INFO_BYTES = 256
_SEGMENTS_OUT, _SEGMENTS_IN = 136, 140
"""tcpi_segs_out and tcpi_segs_in in `struct tcp_info` (linux/tcp.h, Linux 4.2)."""
_CHUNK_BYTES = 65_536
_TCP = socket.AF_INET, socket.SOCK_STREAM


@dataclass(slots=True)
class Count:
    """What passed."""

    connections: int = 0
    up: int = 0
    """Bytes towards the coordinator: TLS records, without TCP and IP."""
    down: int = 0
    packets: int = 0
    """Both ways, with those that only open, acknowledge or close."""

    @property
    def stream_bytes(self) -> int:
        return self.up + self.down

    @property
    def wire_bytes(self) -> int:
        return self.stream_bytes + HEADER_BYTES * self.packets

    def since(self, before: "Count") -> "Count":
        return Count(
            self.connections - before.connections,
            self.up - before.up,
            self.down - before.down,
            self.packets - before.packets,
        )


class Tap:
    """The proxy: ``async with Tap(8443) as tap: tap.port``; both ends are on this machine."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        """Where connections made from now on go."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._total = Count()

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def count(self) -> Count:
        """Return what passed since the start, once every connection has ended."""
        await self._quiet.wait()
        return replace(self._total)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._quiet.clear()
        self._total.connections += 1
        # Its own descriptor: a transport that was reset has closed the other one.
        wire = socket.fromfd(writer.get_extra_info("socket").fileno(), *_TCP)
        try:
            await self._pass(reader, writer)
        finally:
            writer.close()
            with wire:
                self._total.packets += _packets(wire) + UNSEEN_PACKETS
            self._open.discard(task)
            if not self._open:
                self._quiet.set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, far_writer, up=True))
                group.create_task(self._carry(far_reader, writer, up=False))
        finally:
            far_writer.close()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, up: bool
    ) -> None:
        # Who has said everything hangs up without waiting for the other's last word.
        with suppress(OSError):
            while data := await source.read(_CHUNK_BYTES):
                if up:
                    self._total.up += len(data)
                else:
                    self._total.down += len(data)
                sink.write(data)
                await sink.drain()
            sink.write_eof()


def _packets(sock: socket.socket) -> int:
    """Return how many packets the kernel sent and received on a connection."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    (sent,) = struct.unpack_from("=I", info, _SEGMENTS_OUT)
    (received,) = struct.unpack_from("=I", info, _SEGMENTS_IN)
    return int(sent + received)
