"""The ports of devices that speak lines: a TCP socket, and a real pseudo-terminal.

Owns waiting, cutting what comes in, and speaking by itself. Leaves out every decision (the devices)
and the terminal (`firmware_sim.terminal`).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from firmware_sim.address import Address, bound_address, listen
from firmware_sim.crew import Crew
from firmware_sim.line.device import TextDevice
from firmware_sim.terminal import named_terminal
from shared import limits

_READ_BYTES = 4096
_BITS_PER_CHARACTER = 10
"""Start, seven with parity or eight data bits, stop."""
Send = Callable[[bytes], None]


class Talking:
    """Devices on one line, whatever carries it: bytes in, bytes out."""

    def __init__(self, devices: Sequence[TextDevice], *, baud: int | None = None) -> None:
        assert devices, "a line without devices is no line"
        self.devices = tuple(devices)
        self.crew = Crew()
        self._character_s = _BITS_PER_CHARACTER / baud if baud else 0.0
        self._ends = {device.end for device in devices}
        self._buffers = dict.fromkeys(self._ends, b"")

    def feed(self, data: bytes, send: Send) -> None:
        """Take bytes off the line."""
        for end in self._ends:
            *lines, rest = (self._buffers[end] + data).split(end)
            self._buffers[end] = rest[-limits.LINE_BYTES :]
            for line in lines:
                for device in self.devices:
                    if device.end == end:
                        self._answer(device, line, send)

    def _answer(self, device: TextDevice, line: bytes, send: Send) -> None:
        carried_s = (len(line) + 1) * self._character_s
        for spoken in device.hear(line[-limits.LINE_BYTES :]):
            late_s = carried_s + spoken.after_ms / 1000 + len(spoken.data) * self._character_s
            if late_s:
                self.crew.start(_later(late_s, spoken.data, send))
            else:
                send(spoken.data)

    def start_speaking(self, send: Send) -> list["asyncio.Task[None]"]:
        """Let those speak that do so by themselves; whoever hangs up cancels the tasks."""
        talkers = [device for device in self.devices if device.period_ms]
        return [self.crew.start(_speak(device, send)) for device in talkers]


async def _later(late_s: float, data: bytes, send: Send) -> None:
    await asyncio.sleep(late_s)
    send(data)


async def _speak(device: TextDevice, send: Send) -> None:
    while True:
        if data := device.speak():
            send(data)
        await asyncio.sleep(device.period_ms / 1000)


class LinePort:
    """An open port; `where` names it, `failed` gets what stops it."""

    def __init__(self, talking: Talking, where: Address | Path) -> None:
        self.talking = talking
        self.where = where
        self.connections = 0
        self.lost = 0
        """Bytes that nobody read, so that they were lost as on a real line."""

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self.talking.crew.failed

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one TCP connection until it ends."""

        def send(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        speaking = self.talking.start_speaking(send)
        try:
            while data := await reader.read(_READ_BYTES):
                self.talking.feed(data, send)
        except ConnectionError:
            return
        finally:
            for task in speaking:
                task.cancel()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.connections += 1
        if len(self.talking.crew) >= limits.SIM_CONNECTIONS:
            writer.transport.abort()
        else:
            self.talking.crew.start(self.talk(reader, writer), after=writer.close)

    def put(self, fd: int, data: bytes) -> None:
        """Write to the terminal what it takes."""
        try:
            self.lost += len(data) - os.write(fd, data)
        except BlockingIOError:
            self.lost += len(data)

    def take(self, fd: int) -> None:
        """Read what came off the terminal."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        self.talking.feed(data, lambda answer: self.put(fd, answer))


@asynccontextmanager
async def serve_line_tcp(
    devices: Sequence[TextDevice], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[LinePort]:
    """Serve devices on a TCP port; `where` says which when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    served = LinePort(Talking(devices), Address(host, port))
    server = await listen(served.connected, Address(host, port))
    served.where = bound_address(server)
    try:
        yield served
    finally:
        server.close()
        await served.talking.crew.dismiss()


@asynccontextmanager
async def serve_line_pty(
    devices: Sequence[TextDevice], path: Path | str, *, baud: int | None = None
) -> AsyncIterator[LinePort]:
    """Serve devices on a new pseudo-terminal that `path` names, paced at `baud`.

    Raises:
        MistakeError: `path` is something else, or cannot be created.
        WorldError: another simulated device serves it.
    """
    loop = asyncio.get_running_loop()
    with named_terminal(Path(path)) as fd:
        served = LinePort(Talking(devices, baud=baud), Path(path))
        loop.add_reader(fd, served.take, fd)
        served.talking.start_speaking(lambda data: served.put(fd, data))
        try:
            yield served
        finally:
            loop.remove_reader(fd)
            await served.talking.crew.dismiss()
