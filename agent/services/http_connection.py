"""One connection to the coordinator, used by one thread at a time: blocking, but never for long.

Owns TCP, TLS 1.3, the deadline of every socket operation, breaking off from another thread, and
the bytes that really crossed the wire. Leaves out when to connect (`agent.services.contact_http`),
where to (`agent.services.endpoint`), and what the bodies mean. Sources: RFC 9110, RFC 9112,
RFC 8446 section 2.2.
"""

import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.endpoint import Endpoint
from agent.services.http_answer import Head, HttpError, read_body, read_head
from shared import limits
from shared.errors import MistakeError

CONNECT_S: Final = 10
"""For a TCP and for a TLS handshake; a satellite's round trip is below one second."""
ANSWER_S: Final = 30
"""Silence in the middle of an exchange: beyond it packets vanish and nobody says so."""
SLOWEST_BYTES_PER_S: Final = 600
"""GPRS at the edge of its cell. Modems, proxies and our own kernel take a body at once and pass it
on at this pace, so the answer to a large one is waited for longer."""
_LOOKS_LEAK: Final = sys.version_info < (3, 12, 8) or sys.version_info[:3] == (3, 13, 0)
"""Each look at the session of an SSLSocket loses some 6 kB for ever (gh-116810)."""
_YOUNG: Final = 3 / 4
"""Of a session's life; servers end it after two hours as a rule."""
_TLSEXT_PADDING: Final = 0x10
"""SSL_OP_TLSEXT_PADDING (openssl/ssl.h), which `ssl` switches on: it fills up a ClientHello to 512
bytes for the sake of servers that are older than TLS 1.3 (RFC 7685)."""
_SEND_BYTES: Final = 16_384
"""Bytes per send, one TLS record: each has the whole deadline, so a slow link passes."""
_OK: Final = 200
_PARTIAL: Final = 206
"""A range of a file (RFC 9110 section 15.3.7)."""
_PROBLEM_BYTES: Final = 4_096
"""Of an error's body, what is read for its sentence."""
_TCP_INFO_BYTES: Final = 256
_RECEIVED_AT, _SENT_AT = 128, 200
"""tcpi_bytes_received and tcpi_bytes_sent in `struct tcp_info` (linux/tcp.h, Linux 4.19)."""

_FAULTS: Final = {
    401: Fault.DENIED,
    403: Fault.DENIED,
    409: Fault.CONFLICT,
    413: Fault.TOO_LARGE,
    429: Fault.BUSY,
    503: Fault.BUSY,
}


def tls_context(ca_pem: str, *, where: str) -> ssl.SSLContext:
    """Return a client context that trusts `ca_pem` alone, or with an empty one the system's CAs.

    Raises:
        MistakeError: `ca_pem` holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options &= ~_TLSEXT_PADDING
    if not ca_pem:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise MistakeError(f"ca_pem holds no certificate ({error})", where=where) from None
    return context


Take = Callable[[Head, BinaryIO], None]
"""Reads the body behind the head of a good answer as it comes, in the exchange's own thread.

Raises:
    HttpError: the answer is not what was asked for, or it broke off.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, or with `take` one GET."""

    path: str
    body: bytes
    content_type: str
    wait_s: int
    """The peer may hold its answer back this long."""
    keep: bool
    """Leave the connection open afterwards."""
    fields: str = ""
    """More header lines, each with its CRLF."""
    take: Take | None = None
    """Gets the answer's bytes as they come: what came before a cut is not lost."""


@dataclass(slots=True)
class Traffic:
    """Bytes on the wire of one connection, TLS and retransmissions included, IP headers not."""

    up: int = 0
    down: int = 0


class Connection:
    """HTTP/1.1 over one TCP connection, with or without TLS.

    Requests are put together here: `http.client` would add a header, a TLS record and a packet to
    each, and every byte of a contact is paid for. Answers stand in `agent.services.http_answer`.
    """

    def __init__(
        self, endpoint: Endpoint, context: ssl.SSLContext | None, session: ssl.SSLSession | None
    ) -> None:
        self._endpoint, self._context = endpoint, context
        self._sock: socket.socket | None = None
        self._guard = threading.Lock()
        self._wire: socket.socket | None = None
        """A second descriptor of the TCP connection: to break it off and to read its counters,
        whatever TLS has done with the first."""
        self._aborted = False
        self._counted = Traffic()
        self.session = session
        """The TLS session to resume; after an exchange, the one to resume next."""
        self.resumed = False
        """The peer agreed to `session`."""
        self._looked = False
        self.stale = False
        """It had been kept, and was found closed: nothing was answered, use a new one. One that was
        `aborted` looks the same."""

    @property
    def aborted(self) -> bool:
        """Tell whether it was broken off."""
        return self._aborted

    @property
    def usable(self) -> bool:
        """Tell whether it is open, so that another exchange can follow."""
        return self._sock is not None and not self._aborted

    def exchange(self, request: Request) -> Delivered | LinkFailed:
        """Do one exchange; raises nothing. Whatever went wrong, the connection is closed."""
        kept = self._sock is not None
        try:
            end = self._exchange(request)
        except (OSError, HttpError) as error:
            self.stale = kept and isinstance(error, (ConnectionError, ssl.SSLEOFError))
            end = self._failed(error)
        except BaseException:
            self.end()
            raise
        if isinstance(end, Delivered) and request.keep and not self._aborted:
            return end
        last = self.end()
        return replace(end, up=end.up + last.up, down=end.down + last.down)

    def abort(self) -> None:
        """Break off from another thread: its socket operation ends at once."""
        with self._guard:
            self._aborted = True
            if self._wire is not None:
                with contextlib.suppress(OSError):
                    self._wire.shutdown(socket.SHUT_RDWR)

    def end(self) -> Traffic:
        """Close everything; harmless when repeated.

        Returns what crossed the wire since it was counted last: both sides say goodbye.
        """
        sock, self._sock = self._sock, None
        if sock is not None:
            _say_goodbye(sock)
        last = self._traffic()
        if sock is not None:
            sock.close()
        with self._guard:
            wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
        return last

    def _exchange(self, request: Request) -> Delivered | LinkFailed:
        sock = self._sock = self._sock or self._connect()
        self._check_aborted()
        sock.settimeout(ANSWER_S)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # Whoever refuses a body closes before its end; the answer may still say why.
            self._send(sock, request)
        sock.settimeout(patience_s(request))
        with sock.makefile("rb") as stream:
            head = read_head(stream)
            # A TLS 1.3 server sends its tickets after the handshake: before its answer.
            self._keep_session(sock)
            sock.settimeout(ANSWER_S)
            end = self._read(stream, head, request.take)
            if head.is_last:
                self.end()
            return end

    def _connect(self) -> socket.socket:
        """Open TCP and TLS."""
        sock = self._tcp()
        if self._context is None:
            return sock
        # Bytes: a text would load the tables of international names, for one that is ASCII.
        name = self._endpoint.host.encode("ascii")
        tls = self._context.wrap_socket(sock, server_hostname=name, session=self.session)
        self.resumed = bool(tls.session_reused)
        return tls

    def _keep_session(self, sock: socket.socket) -> None:
        """Keep what the next connection is to resume: what the peer gave last.

        Where a look loses memory, it is the session in hand until that is refused or grows old.
        One that is used again shows who calls, which is no secret here: a gateway calls from one
        place (RFC 8446, C.4); a peer that takes each but once gets a whole handshake every second
        time.
        """
        if self._looked or not isinstance(sock, ssl.SSLSocket):
            return
        self._looked = True
        if _LOOKS_LEAK and self.resumed and _is_young(self.session):
            return
        session = sock.session
        if session is not None and session.has_ticket:
            self.session = session

    def _send(self, sock: socket.socket, request: Request) -> None:
        if request.take is None:
            method, own = "POST", f"Content-Type: {request.content_type}\r\n"
            own += f"Content-Length: {len(request.body)}\r\n"
        else:
            method, own = "GET", ""
        head = (
            f"{method} {request.path} HTTP/1.1\r\n"
            f"Host: {self._endpoint.authority}\r\n{own}{request.fields}\r\n"
        )
        # The first record is the only one that is copied: a body may be a megabyte.
        body = memoryview(request.body)
        first = _SEND_BYTES - len(head)
        sock.sendall(head.encode("ascii") + body[:first])
        for start in range(first, len(body), _SEND_BYTES):
            sock.sendall(body[start : start + _SEND_BYTES])

    def _read(self, stream: BinaryIO, head: Head, take: Take | None) -> Delivered | LinkFailed:
        if take is not None and head.status in {_OK, _PARTIAL}:
            take(head, stream)
            traffic = self._traffic()
            return Delivered(body=b"", up=traffic.up, down=traffic.down)
        if head.status != _OK:
            problem = _problem(read_body(stream, head, _PROBLEM_BYTES))
            traffic = self._traffic()
            return LinkFailed(
                fault=_FAULTS.get(head.status, Fault.REFUSED),
                detail=f"{head.status} {problem or head.reason}",
                retry_after_s=_retry_after_s(head),
                up=traffic.up,
                down=traffic.down,
            )
        body = read_body(stream, head, limits.BODY_BYTES_DOWN)
        traffic = self._traffic()
        if len(body) > limits.BODY_BYTES_DOWN:
            return LinkFailed(
                fault=Fault.BAD_ANSWER,
                detail="the answer is too long",
                up=traffic.up,
                down=traffic.down,
            )
        return Delivered(body=body, up=traffic.up, down=traffic.down)

    def _failed(self, error: Exception) -> LinkFailed:
        traffic = self._traffic()
        fault, where = Fault.UNREACHABLE, self._endpoint.name
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        detail = f"{where}: {said}"
        if self._aborted:
            fault, detail = Fault.ABORTED, ""
        elif isinstance(error, TimeoutError):
            fault, detail = Fault.SILENT, f"{where} does not answer"
        elif isinstance(error, ssl.SSLCertVerificationError):
            fault = Fault.UNTRUSTED
            detail = f"{where} does not prove to be the coordinator: {error.verify_message}"
        return LinkFailed(fault=fault, detail=detail, up=traffic.up, down=traffic.down)

    def _tcp(self) -> socket.socket:
        failure: OSError = OSError("the name has no address")
        where = self._endpoint
        name = (where.at or where.host).encode("ascii")
        found = socket.getaddrinfo(name, where.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            one = socket.socket(family, kind, protocol)
            try:
                with self._guard:
                    self._wire = one.dup()
                self._check_aborted()
                one.settimeout(CONNECT_S)
                one.connect(address)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._check_aborted()
                return one
            except OSError as error:
                one.close()
                self.end()
                failure = error
                if self._aborted:
                    break
        raise failure

    def _check_aborted(self) -> None:
        if self._aborted:
            raise ConnectionAbortedError

    def _traffic(self) -> Traffic:
        """Return what crossed the wire since the last call, as the kernel counted it."""
        before = self._counted
        with self._guard:
            if self._wire is None:
                return Traffic()
            try:
                info = self._wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                (down,) = struct.unpack_from("=Q", info, _RECEIVED_AT)
                (up,) = struct.unpack_from("=Q", info, _SENT_AT)
            except (OSError, struct.error):
                return Traffic()  # never connected, or a kernel that does not count
        self._counted = Traffic(up, down)
        return Traffic(up - before.up, down - before.down)


def patience_s(request: Request) -> float:
    """Return how long the answer to a request may take once it was given to the kernel."""
    return ANSWER_S + request.wait_s + len(request.body) / SLOWEST_BYTES_PER_S


def _is_young(session: ssl.SSLSession | None) -> bool:
    """Tell whether a session will do for long; one from a clock that was set since will not."""
    return session is not None and 0 <= time.time() - session.time < session.timeout * _YOUNG


def _say_goodbye(sock: socket.socket) -> None:
    """Send TLS's close_notify and wait for nothing; harmless after an error.

    OpenSSL forgets the session of a peer that leaves without it, and the next contact would cost a
    whole handshake.
    """
    if isinstance(sock, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            sock.settimeout(0)
            sock.unwrap()


def _problem(body: bytes) -> str:
    """Return the sentence of an RFC 9457 problem document, or nothing."""
    try:
        document = json.loads(body)
        text = document.get("detail") or document.get("title")
    except (ValueError, AttributeError):
        return ""
    return text[:200] if isinstance(text, str) else ""


def _retry_after_s(head: Head) -> int | None:
    """Return the seconds a Retry-After asks for: a number, or a date against the peer's own."""
    text = head.fields.get("retry-after", "")
    if text.isdecimal():
        return int(text[:9])
    if not text:
        return None
    # Only proxies answer with a date, and reading one takes the whole package of mails.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        now = parsedate_to_datetime(head.fields.get("date", ""))
        return max(0, int((parsedate_to_datetime(text) - now).total_seconds()))
    except (ValueError, TypeError):
        return None
