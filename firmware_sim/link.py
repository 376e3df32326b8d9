"""A bad link between two TCP programs: slow, thin, cut off, or gone without a word.

Owns a TCP proxy whose behaviour is changed while it runs, and what it counted. Leaves out the
meaning of the bytes: TLS and any protocol pass unchanged.

A black hole is a link whose packets vanish. Nothing is handed over, what is on its way included,
and nothing is closed on either side; who connects meanwhile is accepted by the listening kernel
and hears nothing. When the link returns, the connections that were caught in it are reset, as by a
NAT that forgot them, or go on where they were, as TCP's own retransmission would
(`reset_stale=False`).
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from firmware_sim.address import Address, bound_address
from firmware_sim.address import listen as listen_on
from firmware_sim.crew import Crew
from shared import limits

_THIN_CHUNK_BYTES = 1_460
"""Chunk on a link with a rate: one Ethernet segment, so that connections share it fairly."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST (POSIX; socket(7))."""


@dataclass(slots=True)
class LinkStats:
    """What passed, counted when it leaves the link."""

    connections: int = 0
    """Accepted since the start."""
    open: int = 0
    """Alive now, those in the black hole included."""
    resets: int = 0
    """Connections the link itself reset."""
    unreachable: int = 0
    """Connections for which the target did not answer."""
    bytes_up: int = 0
    """Towards the target."""
    bytes_down: int = 0
    """Towards who connected."""

    @property
    def total_bytes(self) -> int:
        """Return what passed in both directions."""
        return self.bytes_up + self.bytes_down


@dataclass(slots=True)
class _Way:
    """One direction of the link, shared by all connections."""

    free_at_s: float = 0.0

    def arrival_s(self, size: int, now_s: float, rate_bps: int | None, delay_ms: int) -> float:
        """Take the line for `size` bytes; return when the last of them arrives."""
        sent_s = max(now_s, self.free_at_s) + (size * 8 / rate_bps if rate_bps else 0.0)
        self.free_at_s = sent_s
        return sent_s + delay_ms / 1000.0


_Chunks = asyncio.Queue[tuple[float, bytes]]
"""Arrival on the loop's clock, and the bytes; none of them is the end of the stream."""


@dataclass(eq=False, slots=True)
class _Passage:
    """One connection across the link."""

    client: asyncio.StreamWriter
    target: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None
    stale: bool = False
    """It was there while packets vanished."""
    carried: int = 0
    cut: bool = False
    """It ends with a reset, whatever else happens to it."""

    @property
    def writers(self) -> tuple[asyncio.StreamWriter, ...]:
        return (self.client,) if self.target is None else (self.client, self.target)

    def reset(self) -> None:
        """End both halves at once, with RST."""
        self.cut = True
        for writer in self.writers:
            if not writer.transport.is_closing():
                sock = writer.get_extra_info("socket")
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()
        if self.task is not None:
            self.task.cancel()


class LinkProxy:
    """The link itself: ``async with LinkProxy(target=("127.0.0.1", 80)) as link: link.port``."""

    def __init__(
        self,
        *,
        target: tuple[str, int],
        listen: tuple[str, int] = ("127.0.0.1", 0),
        delay_ms: int = 0,
        rate_bps: int | None = None,
        reset_after_bytes: int | None = None,
        reset_stale: bool = True,
    ) -> None:
        self.target = Address(*target)
        """Where connections made from now on go."""
        self.address = Address(*listen)
        """Where it listens; the real port once it is started."""
        self.delay_ms = delay_ms
        """One way, for what is sent from now on; a round trip takes twice that."""
        self.rate_bps = rate_bps
        """Bits per second in each direction, shared by all connections; None: no limit."""
        self.reset_after_bytes = reset_after_bytes
        """Each connection is reset when both directions together have carried this much."""
        self.reset_stale = reset_stale
        """Connections caught in a black hole are reset when the link returns."""
        self.stats = LinkStats()
        self._up, self._down = _Way(), _Way()
        self._passages: set[_Passage] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._crew: Crew | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            MistakeError, WorldError: it cannot listen there; see `firmware_sim.address.listen`.
        """
        if self._server is None:
            self._server = await listen_on(
                self._accept, self.address, limit=limits.LINK_CHUNK_BYTES
            )
            self._crew = Crew()
            self.address = bound_address(self._server)

    async def stop(self) -> None:
        """Stop listening and drop every connection; raise what went wrong inside, if anything."""
        if self._server is None or self._crew is None:
            return
        server, crew, self._server, self._crew = self._server, self._crew, None, None
        server.close()
        for passage in tuple(self._passages):
            passage.reset()
        await crew.dismiss()

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self.address.port

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this link, if any."""
        assert self._crew is not None, "the link is not started"
        return self._crew.failed

    @property
    def is_black_hole(self) -> bool:
        """Tell whether packets vanish."""
        return not self._flows.is_set()

    def black_hole(self, on: bool) -> None:  # noqa: FBT001 - it is a switch
        """Let all packets vanish, or none any more."""
        if on == self.is_black_hole:
            return
        if on:
            self._flows.clear()
            for passage in self._passages:
                passage.stale = True
            return
        for passage in tuple(self._passages):
            if passage.stale and self.reset_stale:
                self._reset(passage)
            passage.stale = False
        self._flows.set()

    def reset_all(self) -> int:
        """Reset every connection; return how many there were."""
        passages = tuple(self._passages)
        for passage in passages:
            self._reset(passage)
        return len(passages)

    def set_target(self, target: tuple[str, int]) -> None:
        """Send connections made from now on elsewhere."""
        self.target = Address(*target)

    # --- a connection -------------------------------------------------------------------------
    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._crew is not None, "only a started link accepts"
        self.stats.connections += 1
        if self.stats.open >= limits.LINK_CONNECTIONS:
            writer.transport.abort()
            return
        passage = _Passage(writer, stale=self.is_black_hole)
        self._passages.add(passage)
        self.stats.open += 1
        passage.task = self._crew.start(
            self._pass(passage, reader), after=lambda: self._ended(passage)
        )

    def _reset(self, passage: _Passage) -> None:
        if not passage.cut:
            self.stats.resets += 1
            passage.reset()

    def _ended(self, passage: _Passage) -> None:
        self._passages.discard(passage)
        self.stats.open -= 1
        for writer in passage.writers:
            writer.close()

    async def _pass(self, passage: _Passage, reader: asyncio.StreamReader) -> None:
        await self._flows.wait()
        try:
            target_reader, passage.target = await asyncio.open_connection(
                *self.target, limit=limits.LINK_CHUNK_BYTES
            )
        except OSError:
            await self._flows.wait()
            self.stats.unreachable += 1
            passage.reset()
            return
        for writer in passage.writers:
            writer.transport.set_write_buffer_limits(high=0)
        broken = False
        try:
            async with asyncio.TaskGroup() as group:
                for source, sink, way in (
                    (reader, passage.target, self._up),
                    (target_reader, passage.client, self._down),
                ):
                    chunks: _Chunks = asyncio.Queue(limits.LINK_BUFFER_CHUNKS)
                    group.create_task(self._take_in(source, chunks, way))
                    group.create_task(self._give_out(passage, chunks, sink, way))
        except* ConnectionError:
            broken = True  # what is raised in here, a cancellation too, would be raised as a group
        if broken:
            # One side broke off; the other learns of it as soon as packets pass.
            await self._flows.wait()
            passage.reset()

    async def _take_in(self, source: asyncio.StreamReader, chunks: _Chunks, way: _Way) -> None:
        """Read one side; put each chunk on the line with the time of its arrival."""
        now_s = asyncio.get_running_loop().time
        data = b"-"
        while data:
            await self._flows.wait()
            thin = self.rate_bps is not None
            data = await source.read(_THIN_CHUNK_BYTES if thin else limits.LINK_CHUNK_BYTES)
            arrival_s = way.arrival_s(len(data), now_s(), self.rate_bps, self.delay_ms)
            await chunks.put((arrival_s, data))

    async def _give_out(
        self, passage: _Passage, chunks: _Chunks, sink: asyncio.StreamWriter, way: _Way
    ) -> None:
        """Hand each chunk over when it has arrived, unless packets vanish."""
        now_s = asyncio.get_running_loop().time
        while True:
            arrival_s, data = await chunks.get()
            if (wait_s := arrival_s - now_s()) > 0.0:
                await asyncio.sleep(wait_s)
            await self._flows.wait()
            if not data:
                with suppress(OSError):  # the other side is gone already
                    sink.write_eof()
                return
            data = self._count(passage, data, way)
            sink.write(data)
            await sink.drain()
            limit = self.reset_after_bytes
            if limit is not None and passage.carried >= limit:
                self._reset(passage)

    def _count(self, passage: _Passage, data: bytes, way: _Way) -> bytes:
        """Return as much of the chunk as the connection may still carry, and count it."""
        if (limit := self.reset_after_bytes) is not None:
            data = data[: max(0, limit - passage.carried)]
        passage.carried += len(data)
        if way is self._up:
            self.stats.bytes_up += len(data)
        else:
            self.stats.bytes_down += len(data)
        return data
