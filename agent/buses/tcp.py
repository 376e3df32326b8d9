"""A port on the network: a device that speaks TCP, or a serial line behind a TCP converter.

Owns connecting within a bound. What the frames on it
look like is the driver's business: ``tcp`` and ``rtu+tcp`` are the same to this file.
"""

import asyncio
import errno
import socket
import ssl

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.buses.timing import converter_timing
from agent.buses.url import parse_url
from agent.core.ports import BusSettings
from shared import limits
from shared.errors import Reason, WorldError

_MODBUS_PORT = 502
"""Registered for Modbus (IANA: mbap)."""
_SENTENCES = {
    errno.ECONNREFUSED: "refuses connections; nothing listens on that port",
    errno.EHOSTUNREACH: "cannot be reached; no route to it",
    errno.ENETUNREACH: "cannot be reached; no network",
}


class TcpBus(Line):
    """``tcp://host:502``, or ``rtu+tcp://host:4001?baud=9600`` for a line behind a converter."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL; the first exchange connects.

        Raises:
            MistakeError: no host, no port, or an option that the scheme does not have.
        """
        line = settings.url.startswith("rtu+")
        url = parse_url(settings, ("baud",) if line else ())
        if not url.host or url.path not in {"", "/"}:
            raise url.mistake(f"{settings.url!r} names no host", f"write {url.scheme}://HOST:PORT")
        if url.port is None and line:
            raise url.mistake("the converter's port is missing", "write rtu+tcp://HOST:PORT")
        self._host, self._port = url.host, url.port or _MODBUS_PORT
        timing = converter_timing(url)
        super().__init__(
            settings,
            seconds_per_byte=timing.seconds_per_byte,
            silence_s=timing.silence_s,
            drops_after_noise=not line,
            drops_when_silent=True,
        )

    async def _open(self, connection: Connection) -> None:
        await open_tcp(connection, self._host, self._port)


async def open_tcp(
    connection: asyncio.Protocol, host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> None:
    """Connect `connection` to a listener within a bound, over TLS where a context is given.

    Raises:
        WorldError: BUS_DOWN with a sentence for people.
    """
    place = f"{host}:{port}"
    try:
        async with asyncio.timeout(limits.BUS_CONNECT_MS / 1000):
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(lambda: connection, host, port, ssl=tls)
    except TimeoutError:
        raise WorldError(Reason.BUS_DOWN, f"{place} does not answer") from None
    except ssl.SSLCertVerificationError as error:
        what = f"{place} does not prove who it is: {error.verify_message}"
        raise WorldError(Reason.BUS_DOWN, what) from None
    except socket.gaierror:
        raise WorldError(Reason.BUS_DOWN, f"the name {host} is unknown") from None
    except OSError as error:
        text = _SENTENCES.get(error.errno or 0) or f"cannot be reached: {error.strerror or error}"
        raise WorldError(Reason.BUS_DOWN, f"{place} {text}") from None
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
