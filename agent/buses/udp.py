"""A port on the network whose frames are datagrams.

Owns the socket, and the sentence when nothing listens there. What the datagrams hold is the
driver's business; each frame that is written leaves as one.
"""

import asyncio
import errno
import socket
from typing import cast

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.buses.url import parse_url
from agent.core.ports import BusSettings
from shared.errors import Reason, WorldError

SMP_PORT = 1337
"""Where Zephyr's MCUmgr listens unless it was told otherwise."""
_SENTENCES = {
    errno.ECONNREFUSED: "refuses datagrams; nothing listens on that port",
    errno.EHOSTUNREACH: "cannot be reached; no route to it",
    errno.ENETUNREACH: "cannot be reached; no network",
    errno.EMSGSIZE: "is behind a network that carries no datagrams of that size",
}


class UdpBus(Line):
    """``udp://host:1337``."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL; the first exchange makes the socket.

        Raises:
            MistakeError: no host, or an option: this scheme has none.
        """
        url = parse_url(settings, ())
        if not url.host or url.path not in {"", "/"}:
            raise url.mistake(f"{settings.url!r} names no host", "write udp://HOST:PORT")
        self._host, self._port = url.host, url.port or SMP_PORT
        super().__init__(settings, seconds_per_byte=0.0, silence_s=0.0, drops_when_silent=True)

    async def _open(self, connection: Connection) -> None:
        await open_udp(connection, self._host, self._port)


async def open_udp(connection: Connection, host: str, port: int) -> None:
    """Connect `connection` to whoever answers datagrams there.

    Raises:
        WorldError: BUS_DOWN with a sentence for people.
    """
    try:
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(connection), remote_addr=(host, port)
        )
    except socket.gaierror:
        raise WorldError(Reason.BUS_DOWN, f"the name {host} is unknown") from None
    except OSError as error:
        raise WorldError(Reason.BUS_DOWN, f"{host}:{port} {_sentence(error)}") from None


class _Datagrams(asyncio.DatagramProtocol):
    """Datagrams in, a connection's bytes out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: DatagramLink | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio promises this type to datagram protocols.
        self._transport = DatagramLink(cast("asyncio.DatagramTransport", transport))
        self._connection.connection_made(self._transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._connection.data_received(data)

    def error_received(self, exc: Exception) -> None:
        """Give the link up: what the network refuses now, it refuses to whoever waits."""
        assert self._transport is not None, "errors come after the socket was made"
        self._transport.fault = ConnectionError(_sentence(exc))
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        fault = self._transport.fault if self._transport is not None else None
        self._connection.connection_lost(fault or exc)


class DatagramLink(asyncio.WriteTransport):
    """A socket as a connection sees it: each write is one datagram."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        super().__init__()
        self._transport = transport
        self.fault: ConnectionError | None = None
        """Why it is given up."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send one datagram."""
        if not self._transport.is_closing():
            self._transport.sendto(data)

    def is_closing(self) -> bool:
        """Tell whether the socket is closed or about to be."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Close the socket."""
        self._transport.abort()

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()


def _sentence(error: Exception) -> str:
    number = getattr(error, "errno", None) or 0
    return _SENTENCES.get(number) or f"cannot be reached: {error}"
