"""HTTP/1.1 as a small device serves it (RFC 9112): bytes to requests, responses to bytes.

Owns framing. Leaves out the socket (`ports`) and what is asked (`relay`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from shared import limits

_REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: str
    target: str
    fields: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """Return the query's parts."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def keeps(self) -> bool:
        """Tell whether the connection stays open after it."""
        return "close" not in self.fields.get("connection", "").lower()


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no request; the connection has no further use."""

    size: int


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    document: object = None
    fields: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, chunked: bool = False, keeps: bool = True) -> bytes:
        """Return its bytes, with a length or in chunks."""
        body = json.dumps(self.document, separators=(",", ":")).encode()
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Status')}"]
        lines += ["Server: outstation-sim", "Content-Type: application/json"]
        lines += [f"{name}: {text}" for name, text in self.fields.items()]
        lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
        if not keeps:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode()
        return head + (_chunks(body) if chunked else body)


def _chunks(body: bytes, size: int = 32) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"


class Decoder:
    """Finds requests in a connection's bytes, however they are cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> Iterator[Request | Malformed]:
        """Take bytes; yield what they complete. Nothing comes after `Malformed`."""
        self._buffer += data
        while not self._lost:
            end = self._buffer.find(b"\r\n\r\n")
            most = limits.HTTP_HEAD_BYTES
            if (end if end >= 0 else len(self._buffer)) > most:
                yield self._give_up()
                return
            if end < 0:
                return
            found = _head(bytes(self._buffer[:end]))
            size = _length(found.fields) if found is not None else None
            if found is None or size is None:
                yield self._give_up()
                return
            if len(self._buffer) < end + 4 + size:
                return
            body = bytes(self._buffer[end + 4 : end + 4 + size])
            del self._buffer[: end + 4 + size]
            yield Request(found.method, found.target, found.fields, body)

    def _give_up(self) -> Malformed:
        self._lost = True
        size = len(self._buffer)
        self._buffer.clear()
        return Malformed(size)


def _head(head: bytes) -> Request | None:
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1" or not parts[1].startswith("/"):
        return None
    fields: dict[str, str] = {}
    for line in rest:
        name, colon, text = line.partition(":")
        if not colon or not name or name != name.strip():
            return None
        fields[name.lower()] = text.strip()
    return Request(parts[0], parts[1], fields) if "host" in fields else None


def _length(fields: Mapping[str, str]) -> int | None:
    text = fields.get("content-length", "0")
    if "transfer-encoding" in fields or not text.isascii() or not text.isdigit():
        return None
    return int(text) if len(text) < 6 and int(text) <= limits.HTTP_BODY_BYTES else None
