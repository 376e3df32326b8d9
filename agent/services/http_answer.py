"""An answer of HTTP/1.1 as it comes from a stream: its head, then its body. RFC 9112.

Owns framing within bounds: what follows from Content-Length, chunks, or the end of the stream.
Leaves out the connection and what a status means (`agent.services.http_connection`). `http.client`
does the same and more, with a parser of mails for the headers: 1.1 MB that a gateway would carry.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: ([^\r\n]*))?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_LINE_BYTES: Final = 8_192
"""Of one line of a head; longer ones are no answer of ours, nor of a proxy that works."""
_FIELDS: Final = 100
_INTERIM: Final = 10
"""1xx answers that may come before the real one."""
_BODILESS: Final = (204, 304)


class HttpError(Exception):
    """What came is no answer of HTTP/1.1, or it broke off in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Everything before the body."""

    status: int
    reason: str
    fields: Mapping[str, str]
    """Names in lower case; of a repeated one, all values with commas between."""
    version: int
    """The minor one of HTTP/1."""

    @property
    def is_last(self) -> bool:
        """Tell whether the peer will close the connection behind this answer."""
        options = self.fields.get("connection", "").lower()
        return "close" in options if self.version else "keep-alive" not in options


def read_head(stream: BinaryIO) -> Head:
    """Return the head of the next answer; interim ones are skipped.

    Raises:
        ConnectionResetError: the stream ended before it.
        HttpError: it is malformed.
        OSError: the connection failed.
    """
    for _ in range(_INTERIM):
        head = _read_head(stream)
        if head.status >= 200:
            return head
    raise HttpError("only interim answers came")


def read_body(stream: BinaryIO, head: Head, bound: int) -> bytes:
    """Return the body behind `head`, or the first `bound` + 1 bytes of one that is longer.

    Raises:
        HttpError: it is malformed, or it broke off.
        OSError: the connection failed.
    """
    if head.status in _BODILESS:
        return b""
    if "transfer-encoding" in head.fields:
        return _read_chunks(stream, head, bound + 1)
    if "content-length" not in head.fields:
        return stream.read(bound + 1)
    length = head.fields["content-length"]
    if not length.isascii() or not length.isdecimal():
        raise HttpError(f"a body of {length[:40]!r} bytes")
    return _read_exactly(stream, min(int(length[:19]), bound + 1))


def _read_head(stream: BinaryIO) -> Head:
    line = _read_line(stream, at_start=True)
    found = _STATUS.fullmatch(line)
    if not found:
        raise HttpError(f"{line[:40]!r} is no status of HTTP/1")
    fields: dict[str, str] = {}
    while line := _read_line(stream):
        parts = _FIELD.fullmatch(line)
        if not parts or len(fields) == _FIELDS:
            raise HttpError(f"{line[:40]!r} is no header, or one too many")
        name, value = parts[1].decode("ascii").lower(), parts[2].decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    reason = (found[3] or b"").decode("latin-1")
    return Head(status=int(found[2]), reason=reason, fields=fields, version=int(found[1]))


def _read_chunks(stream: BinaryIO, head: Head, most: int) -> bytes:
    """Return at most `most` bytes of a body in chunks (RFC 9112 section 7.1)."""
    if head.fields["transfer-encoding"].lower() != "chunked":
        raise HttpError("a transfer coding nobody asked for")
    body = bytearray()
    while size := _chunk_size(_read_line(stream)):
        body += _read_exactly(stream, min(size, most - len(body)))
        if len(body) >= most:
            return bytes(body)
        if _read_exactly(stream, 2) != b"\r\n":
            raise HttpError("a chunk is longer than it says")
    for _ in range(_FIELDS):
        if not _read_line(stream):
            return bytes(body)
    raise HttpError("too many trailers")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
        raise HttpError(f"{line[:40]!r} is no chunk's size")
    return int(digits, 16)


def _read_line(stream: BinaryIO, *, at_start: bool = False) -> bytes:
    """Return a line without its end; RFC 9112 section 2.2 lets a bare LF end it too."""
    line = stream.readline(_LINE_BYTES)
    if not line and at_start:
        raise ConnectionResetError("the connection was closed without an answer")
    if not line.endswith(b"\n"):
        raise HttpError("the answer broke off" if len(line) < _LINE_BYTES else "a line too long")
    return line[:-1].removesuffix(b"\r")


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise HttpError("the answer broke off")
    return data
