"""A serial port: pyserial sets the line up, an asyncio transport of our own moves the bytes.

Owns opening with an exclusive lock, and noticing that the adapter was pulled.
No thread and no polling: the loop says when there is something to read (docs/adr/0005).
"""

import asyncio
import contextlib
import errno
import os
import termios
from typing import Any

import serial

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.buses.timing import BAUD_RANGE, SERIAL_OPTIONS, serial_timing
from agent.buses.url import parse_url
from agent.core.ports import BusSettings
from shared.errors import Reason, WorldError

_READ_BYTES = 4_096
"""The kernel's own buffer of a terminal."""

_SENTENCES = {
    errno.ENOENT: "does not exist; is the adapter plugged in?",
    errno.ENXIO: "has no device behind it",
    errno.ENODEV: "has no device behind it",
    errno.EACCES: "may not be opened by this user; add it to the port's group, mostly dialout",
    errno.EPERM: "may not be opened by this user; add it to the port's group, mostly dialout",
    errno.EBUSY: "is in use by another program",
    errno.EWOULDBLOCK: "is in use by another program",
    errno.ENOTTY: "is not a serial port",
    errno.EISDIR: "is not a serial port",
    errno.EIO: "was unplugged",
}


class SerialBus(Line):
    """``serial:///dev/ttyUSB0?baud=9600&parity=E&stop=1&bits=8``."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL; the port is opened by the first exchange.

        Raises:
            MistakeError: no path, no speed, or an option that serial lines do not have.
        """
        url = parse_url(settings, SERIAL_OPTIONS)
        if url.host or url.port or not url.path.startswith("/"):
            raise url.mistake(
                "a serial port is a path that begins with a slash",
                "write serial:///dev/ttyUSB0?baud=9600",
            )
        timing = serial_timing(url)
        self._path = url.path
        self._baud = url.number("baud", *BAUD_RANGE)
        self._parity = url.choice("parity", ("N", "E", "O"), "N")
        self._stop = int(url.choice("stop", ("1", "2"), "1"))
        self._bits = int(url.choice("bits", ("8", "7"), "8"))
        super().__init__(
            settings, seconds_per_byte=timing.seconds_per_byte, silence_s=timing.silence_s
        )

    async def _open(self, connection: Connection) -> None:
        try:
            port = serial.Serial(
                self._path,
                self._baud,
                bytesize=self._bits,
                parity=self._parity,
                stopbits=self._stop,
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError) as error:
            raise WorldError(Reason.BUS_DOWN, _sentence(self._path, error)) from None
        SerialTransport(asyncio.get_running_loop(), port, connection)


class SerialTransport(asyncio.Transport):
    """An open port as asyncio sees it: callbacks on readiness, no thread, no polling."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        port: Any,  # noqa: ANN401 - pyserial ships no types
        protocol: asyncio.Protocol,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._port = port
        self._descriptor: int = port.fileno()
        self._protocol = protocol
        self._unsent = bytearray()
        self._closing = False
        os.set_blocking(self._descriptor, False)
        loop.add_reader(self._descriptor, self._read)
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        """Tell whether the port is closed or about to be."""
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`, in the background as far as the kernel does not take it at once."""
        if self._closing:
            return
        waiting = bool(self._unsent)
        self._unsent += data
        if not waiting:
            self._send()

    def close(self) -> None:
        """Close the port; what is unsent is lost."""
        self._lose(None)

    def abort(self) -> None:
        """Close the port; what is unsent is lost."""
        self._lose(None)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lose(OSError(errno.EIO, os.strerror(errno.EIO)))

    def _send(self) -> None:
        try:
            sent = os.write(self._descriptor, self._unsent)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lose(error)
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._send)
        else:
            self._loop.remove_writer(self._descriptor)

    def _lose(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        with contextlib.suppress(OSError, termios.error):
            # Otherwise close() waits up to half a minute for a line that takes nothing.
            self._port.reset_output_buffer()
        self._port.close()
        lost = (
            None if error is None else ConnectionError(_SENTENCES.get(error.errno or 0, str(error)))
        )
        self._loop.call_soon(self._protocol.connection_lost, lost)


def _sentence(path: str, error: Exception) -> str:
    """Return why a port did not open; pyserial wraps the number it knows in its own text."""
    number = getattr(error, "errno", None)
    if number is None and "Inappropriate ioctl" in str(error):
        number = errno.ENOTTY
    return f"{path} {_SENTENCES.get(number or 0, f'could not be opened: {error}')}"
