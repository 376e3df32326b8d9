"""HOST:PORT as a person writes it, and listening on one with a clear sentence when that fails."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from shared.errors import MistakeError, OutstationError, Reason, WorldError


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return HOST:PORT; an IPv6 host stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that a person wrote.

    Raises:
        MistakeError: it is not HOST:PORT.

    >>> parse_address("[::1]:502")
    Address(host='::1', port=502)
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise MistakeError(f"{text!r} is not HOST:PORT", mend="write it like 127.0.0.1:1502")
    return Address(host, int(port))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


async def listen(serve: Serve, address: Address, *, limit: int = 2**16) -> asyncio.Server:
    """Return a listening server; port 0 takes a free one.

    Raises:
        MistakeError: the host is none of this machine, or the port needs root.
        WorldError: the port is taken.
    """
    try:
        return await asyncio.start_server(serve, address.host, address.port, limit=limit)
    except OSError as error:
        raise _explained(address, error) from None


async def listen_datagrams(
    protocol: Callable[[], asyncio.DatagramProtocol], address: Address
) -> asyncio.DatagramTransport:
    """Return a bound UDP socket; port 0 takes a free one. Raises as `listen` does."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            protocol, local_addr=(address.host, address.port)
        )
    except OSError as error:
        raise _explained(address, error) from None
    return transport


def _explained(address: Address, error: OSError) -> OutstationError:
    if isinstance(error, socket.gaierror):
        return MistakeError(f"there is no host {address.host!r}")
    match error.errno:
        case errno.EADDRINUSE:
            return WorldError(
                Reason.BUS_DOWN, f"port {address} is already taken; choose another, or 0 for any"
            )
        case errno.EACCES:
            return MistakeError(f"may not listen on {address}", mend="ports below 1024 need root")
        case errno.EADDRNOTAVAIL:
            return MistakeError(f"{address.host} is no address of this machine")
        case _:
            return WorldError(Reason.BUS_DOWN, f"cannot listen on {address}: {error.strerror}")


def bound_address(server: asyncio.Server) -> Address:
    """Return where a server really listens."""
    name = server.sockets[0].getsockname()
    return Address(name[0], name[1])
