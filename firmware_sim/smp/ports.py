"""The two ports a simulated sensor node has: a UDP socket, and a console on a pseudo-terminal.

Owns waiting: for bytes, for the flash, for what a line of that speed takes, for resets that are
due. Leaves out every decision: packets go to the node, answers back. A node has as many request
buffers as it tells; what comes while all are taken is lost, as on a real one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from firmware_sim.address import Address
from firmware_sim.crew import Crew
from firmware_sim.datagrams import DatagramPort
from firmware_sim.smp import console
from firmware_sim.smp.node import Answer, Medium, Node
from firmware_sim.smp.packet import Malformed
from firmware_sim.terminal import named_terminal

_READ_BYTES = 4096
_BITS_PER_CHARACTER = 10
"""Start, eight data, stop."""
_SLICE_S = 0.002
"""A paced line moves bytes in slices this long."""
_CHATTER = b"[00:00:00.000,000] <inf> sensor: sample taken\r\n"
_DAMAGE = 0x5A5A

_Send = Callable[[Answer], Awaitable[None]]


class Worker:
    """Serves a node's requests one by one, in the order of their arrival."""

    def __init__(self, node: Node, crew: Crew) -> None:
        self.node = node
        self._waiting: asyncio.Queue[tuple[bytes, _Send]] = asyncio.Queue()
        self._held = 0
        self._stirred = asyncio.Event()
        crew.start(self._serve())
        crew.start(self._keep_time())

    def take(self, packet: bytes, send: _Send) -> None:
        """Put a request into a buffer, if one is free."""
        if self._held >= self.node.buffers.count:
            self.node.hear_overrun(len(packet))
            return
        self._held += 1
        self._waiting.put_nowait((packet, send))

    def stir(self) -> None:
        """Look again when something is due: a command changed it."""
        self._stirred.set()

    async def _serve(self) -> None:
        while True:
            packet, send = await self._waiting.get()
            exchange = self.node.hear(packet)
            if exchange is not None:
                await asyncio.sleep(exchange.verdict.delay_ms / 1000.0)
                answer = self.node.finish(exchange)
                self.stir()
                await asyncio.sleep(answer.busy_ms / 1000.0)
                await send(answer)
            self._held -= 1

    async def _keep_time(self) -> None:
        """Let resets happen when they are due, whether or not anybody asks."""
        while True:
            self.node.advance()
            due_ms = self.node.board.due_ms
            now_ms = self.node.time.ticks.mono_ms()
            wait_s = None if due_ms is None else max(0.001, (due_ms - now_ms) / 1000.0)
            self._stirred.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._stirred.wait()
            except TimeoutError:
                continue


# --- UDP ----------------------------------------------------------------------------------------
class UdpPort(DatagramPort):
    """A node on one UDP port: a packet is a datagram."""

    def __init__(self, node: Node) -> None:
        assert node.medium is Medium.UDP, "a node is made for one kind of line"
        super().__init__()
        self.worker = Worker(node, self.crew)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a packet."""
        self.worker.node.heard_bytes += len(data)
        if len(data) > self.worker.node.buffers.size:
            self.worker.node.hear_malformed(len(data))
            return

        async def send(answer: Answer) -> None:
            packet = answer.packet if answer.noise is None else answer.noise
            if packet is not None:
                self.send(packet, addr)

        self.worker.take(data, send)


@asynccontextmanager
async def serve_udp(node: Node, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[UdpPort]:
    """Serve a node over UDP; `UdpPort.address` says where when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    udp = UdpPort(node)
    try:
        await udp.open(Address(host, port))
        yield udp
    finally:
        await udp.close()


# --- serial console -----------------------------------------------------------------------------
class ConsolePort:
    """A node's console on a pseudo-terminal with a stable name."""

    def __init__(self, node: Node, fd: int, baud: int | None) -> None:
        assert node.medium is Medium.SERIAL, "a node is made for one kind of line"
        self.lost = 0
        """Bytes of answers that nobody read, so that they were lost as on a real line."""
        self.crew = Crew()
        self.worker = Worker(node, self.crew)
        self._fd = fd
        self._character_s = _BITS_PER_CHARACTER / baud if baud is not None else 0.0
        self._decoder = console.Decoder(node.buffers.size)
        self._readable = asyncio.Event()
        self._heard_until_s = 0.0
        self.crew.start(self._listen())

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self.crew.failed

    async def _listen(self) -> None:
        while True:
            data = await self._receive()
            self.worker.node.heard_bytes += len(data)
            for item in self._decoder.feed(data):
                if isinstance(item, Malformed):
                    self.worker.node.hear_malformed(item.size)
                else:
                    self.worker.take(item, self._send)

    async def _receive(self) -> bytes:
        """Return the next bytes, when they would have arrived on a line of that speed."""
        loop = asyncio.get_running_loop()
        slice_bytes = max(1, int(_SLICE_S / self._character_s)) if self._character_s else 0
        begun_s = self._heard_until_s
        while not (data := self._read(slice_bytes or _READ_BYTES)):
            self._readable.clear()
            loop.add_reader(self._fd, self._readable.set)
            try:
                await self._readable.wait()
            finally:
                # Level-triggered readiness would wake the loop all through a slow line.
                loop.remove_reader(self._fd)
            # The line was silent until now; otherwise bytes follow each other.
            begun_s = max(begun_s, loop.time())
        if slice_bytes:
            self._heard_until_s = begun_s + len(data) * self._character_s
            await asyncio.sleep(self._heard_until_s - loop.time())
        return data

    def _read(self, size: int) -> bytes:
        try:
            return os.read(self._fd, size)
        except BlockingIOError:
            return b""

    async def _send(self, answer: Answer) -> None:
        if answer.noise is not None:
            await self._put(answer.noise)
        if answer.packet is None:
            return
        lines = console.encode_lines(answer.packet, damage=_DAMAGE if answer.damaged else 0)
        if answer.noisy:
            lines = _CHATTER + lines.replace(b"\n", b"\n" + _CHATTER)
        await self._put(lines)

    async def _put(self, data: bytes) -> None:
        size = max(1, int(_SLICE_S / self._character_s)) if self._character_s else len(data)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self._character_s:
                arrived_s = begun_s + (start + len(piece)) * self._character_s
                await asyncio.sleep(arrived_s - loop.time())
            try:
                self.lost += len(piece) - os.write(self._fd, piece)
            except BlockingIOError:
                self.lost += len(piece)


@asynccontextmanager
async def serve_console(
    node: Node, path: Path | str, *, baud: int | None = None
) -> AsyncIterator[ConsolePort]:
    """Serve a node's console on a new pseudo-terminal that `path` names.

    With `baud` bytes take the time that they would take on a line of that speed, both ways.

    Raises:
        MistakeError: `path` is something else, or cannot be created.
        WorldError: another simulated device serves it.
    """
    with named_terminal(Path(path)) as fd:
        port = ConsolePort(node, fd, baud)
        try:
            yield port
        finally:
            await port.crew.dismiss()
