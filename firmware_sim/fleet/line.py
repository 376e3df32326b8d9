"""One HTTP exchange as a gateway makes it, as cheaply as a load generator needs it.

A connection of its own for each contact, or some that are kept and taken in turn. Owns bytes on
sockets; TLS sessions are not resumed, so each new TLS connection is a full handshake. Leaves out
what the bodies say.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared import limits
from shared.errors import MistakeError
from shared.sync.body import CONTENT_TYPE

_HEAD_END = b"\r\n\r\n"
_HEAD_BYTES = 8_192
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    again_s: int = 0
    """After how many seconds it wants to be asked again."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a coordinator listens."""

    host: str
    port: int
    socket: str = ""
    """Path of a Unix socket, in the place of both."""
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str, *, ca_pem: str) -> "Address":
        """Return the address in ``https://HOST:PORT``, ``http://HOST:PORT`` or ``unix:PATH``.

        Raises:
            MistakeError: it is none.
        """
        if text.startswith("unix:"):
            return cls("localhost", 0, text.removeprefix("unix:"))
        try:
            parts = urlsplit(text)
            usual = _PORTS[parts.scheme]
            host, port = parts.hostname, parts.port or usual
        except (KeyError, ValueError):
            host, port = None, 0
        if not host:
            raise MistakeError(f"{text!r} is not https://HOST:PORT, http://HOST:PORT or unix:PATH")
        secure = text.startswith("https:")
        return cls(host, port, tls=ssl.create_default_context(cadata=ca_pem) if secure else None)


class Line:
    """Posts bodies; any number at once."""

    def __init__(self, address: Address, *, keep: bool, wait_s: float) -> None:
        """Keep connections for the next exchange, or not; give up after `wait_s` of silence."""
        self._address, self._keep, self._wait_s = address, keep, wait_s
        self._idle: deque[_Connection] = deque()
        host = f"{address.host}:{address.port}" if address.port else address.host
        close = "" if keep else "Connection: close\r\n"
        self._tail = f"Host: {host}\r\nContent-Type: {CONTENT_TYPE}\r\n{close}Content-Length: "

    async def post(self, path: str, body: bytes) -> Answer:
        """Return the answer to one request.

        Raises:
            ConnectionError: there is no line, or it broke.
        """
        request = f"POST {path} HTTP/1.1\r\n{self._tail}{len(body)}\r\n\r\n".encode() + body
        try:
            async with asyncio.timeout(self._wait_s):
                connection = await self._connection()
                try:
                    answer = await connection.exchange(request)
                except BaseException:
                    connection.close()
                    raise
        except (OSError, TimeoutError) as error:
            text = str(error) or type(error).__name__
            raise ConnectionError(text) from error
        if self._keep and connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Let go of every kept connection."""
        while self._idle:
            self._idle.popleft().close()

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                return connection
        loop, address = asyncio.get_running_loop(), self._address
        if address.socket:
            made = await loop.create_unix_connection(_Connection, address.socket)
        else:
            made = await loop.create_connection(
                _Connection, address.host, address.port, ssl=address.tls
            )
        return made[1]


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one exchange at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.BaseTransport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[Answer] | None = None

    async def exchange(self, request: bytes) -> Answer:
        assert isinstance(self._transport, asyncio.Transport), "made by the loop"
        self._buffer.clear()
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiter is None or self._waiter.done():
            return
        try:
            answer = _parsed(self._buffer)
        except ValueError as error:
            self._waiter.set_exception(OSError(f"not HTTP: {error}"))
            return
        if answer is not None:
            self._waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(OSError(str(exc or "closed before its answer")))


def _parsed(buffer: bytearray) -> Answer | None:
    """Return the answer once all of it is there.

    Raises:
        ValueError: it is no HTTP, or too long.
    """
    end = buffer.find(_HEAD_END)
    if end < 0:
        if len(buffer) > _HEAD_BYTES:
            raise ValueError("its head does not end")
        return None
    lines = bytes(buffer[:end]).split(b"\r\n")
    size, again_s = 0, 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        match name.lower():
            case b"content-length":
                size = int(value)
            case b"retry-after":
                again_s = int(value)
            case _:
                pass
    if not 0 <= size <= limits.BODY_BYTES_DOWN:
        raise ValueError(f"a body of {size} bytes")
    start = end + len(_HEAD_END)
    if len(buffer) < start + size:
        return None
    status = int(lines[0].split(b" ", 2)[1])
    return Answer(status, bytes(buffer[start : start + size]), again_s)
