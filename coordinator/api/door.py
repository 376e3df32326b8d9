"""The door for contacts: a plain one is answered here, every other request by aiohttp behind it.

A gateway makes one request on a connection of its own; a general HTTP server spends as much on that
as the contact itself costs. So each connection begins here. What `head` recognises is read, handed
to intake and answered; at the first bytes of anything else the connection is given to aiohttp, with
what came, for good. Both answer the same bytes to the same contact. Leaves out what a contact means
(`coordinator.services.intake`) and how its refusals are told (`coordinator.api.server`).
"""

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from coordinator.api.context import Parts
from coordinator.api.head import Head, read_head
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.server import SAFE, answer_problem
from coordinator.api.sync import take_contact
from coordinator.core.roles import Role
from shared import limits
from shared.sync.body import CONTENT_TYPE

KEEPALIVE_S = 75
"""An idle connection is kept this long: longer than the wait of a contact, shorter than a NAT's
memory."""
_ROUTE = "/v1/sync"


class Door:
    """Every connection of one coordinator that is at the door; called, it makes the next one's."""

    def __init__(self, parts: Parts, server: web.Server, *, behind_proxy: bool = False) -> None:
        """Give to `server` what is no plain contact; a proxy in front tells who calls."""
        self.parts, self.server, self.behind_proxy = parts, server, behind_proxy
        self._guests: set[_Guest] = set()
        self._is_closed = False
        self._dated_s, self._date = 0, ""

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Guest(self)

    def enter(self, guest: "_Guest") -> None:
        """Remember a connection until it leaves."""
        self._guests.add(guest)

    def leave(self, guest: "_Guest") -> None:
        """Forget a connection that was lost or given away."""
        self._guests.discard(guest)

    @property
    def is_closed(self) -> bool:
        """Whether connections end after the answer that they wait for."""
        return self._is_closed

    @property
    def date(self) -> str:
        """Return the present as HTTP writes it."""
        now_s = self.parts.clock.wall_ms() // 1000
        if now_s != self._dated_s:
            self._dated_s, self._date = now_s, formatdate(now_s, usegmt=True)
        return self._date

    async def close(self) -> None:
        """Let idle connections go and wait for the answers of the others, for a while."""
        self._is_closed = True
        tasks = [task for guest in list(self._guests) if (task := guest.let_go()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limits.DRAIN_S)
        for guest in list(self._guests):
            guest.end()


class _Guest(asyncio.Protocol):
    """One connection, one contact at a time."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: Head | None = None
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_full = False
        """The other end does not read its answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a stream is listened on"
        self._transport = transport
        self._door.enter(self)
        self._wait(KEEPALIVE_S)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._work is None:
            self._go_on()
        elif len(self._buffer) > limits.QUICK_BODY_BYTES:
            self._line.pause_reading()  # who sends on while it is answered waits

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if self._work is not None:
            # A gateway that hangs up must not leave its wait behind.
            self._work.cancel()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._work is None and self._buffer:
            self._go_on()

    def let_go(self) -> asyncio.Task[None] | None:
        """Close when idle; return the work to wait for otherwise."""
        if self._work is None:
            self.end()
        return self._work

    def end(self) -> None:
        """Close, whatever is going on."""
        if self._work is not None:
            self._work.cancel()
        self._line.close()

    @property
    def _line(self) -> asyncio.Transport:
        assert self._transport is not None, "a connection was made"
        return self._transport

    def _leave(self) -> None:
        self._door.leave(self)
        self._wait(0)

    def _go_on(self) -> None:
        """Take the next contact as far as it is here."""
        if self._is_full or self._line.is_closing():
            return
        head = self._head = self._head or read_head(self._buffer)
        if head is None or Role.INGEST not in self._door.parts.roles:
            self._give_away()
        elif len(self._buffer) < head.size + head.length:
            self._wait(limits.CONTACT_IDLE_S)
        else:
            self._wait(0)
            self._head = None
            end = head.size + head.length
            body = bytes(memoryview(self._buffer)[head.size : end])
            del self._buffer[:end]
            self._work = asyncio.get_running_loop().create_task(self._answer(body, head))

    def _give_away(self) -> None:
        """Let aiohttp have the connection and what came on it."""
        self._leave()
        line, came = self._line, bytes(self._buffer)
        self._buffer.clear()
        behind = self._door.server()
        line.set_protocol(behind)
        behind.connection_made(line)
        behind.data_received(came)

    def _wait(self, seconds: float) -> None:
        """Give the other end so long to go on; 0: it has gone on."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._give_up) if seconds else None

    def _give_up(self) -> None:
        if self._head is not None:
            response = answer_problem(ProblemError(Kind.TIMED_OUT), _ROUTE)
            self._write(response, keep=False)
        self._line.close()

    async def _answer(self, body: bytes, head: Head) -> None:
        parts = self._door.parts
        try:
            address = self._address(head)
            answer = await take_contact(
                parts, body, wait_s=head.wait_s, line=self._line, address=address
            )
        # The border of the product: a defect of ours costs its request, not the coordinator.
        except Exception as error:  # noqa: BLE001
            response = answer_problem(error, _ROUTE)
            keep = head.keep and not self._door.is_closed
            self._write(response, keep=keep)
        else:
            keep = head.keep and not self._door.is_closed
            self._send(200, {"Content-Type": CONTENT_TYPE}, answer, keep=keep)
        self._work = None
        if not keep:
            self._line.close()
            return
        self._line.resume_reading()
        if self._buffer:
            self._go_on()
        else:
            self._wait(KEEPALIVE_S)

    def _address(self, head: Head) -> str:
        if self._door.behind_proxy and head.forwarded:
            return head.forwarded
        name = self._line.get_extra_info("peername")
        # Of a Unix socket it is a text, mostly empty.
        return str(name[0]) if isinstance(name, tuple) else ""

    def _write(self, response: web.Response, *, keep: bool) -> None:
        """Send a problem, with the headers of every other answer."""
        assert isinstance(response.body, bytes), "a problem is a text"
        headers = {**response.headers, **SAFE, "Server": "outstation"}
        self._send(response.status, headers, response.body, keep=keep)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, *, keep: bool) -> None:
        self._door.parts.metrics.requests.labels(_ROUTE, status).inc()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", f"Date: {self._door.date}"]
        if not keep:
            lines.append("Connection: close")
        self._line.write("\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body)
