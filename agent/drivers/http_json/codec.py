"""HTTP/1.1 requests to bytes and bytes to answers, with bounds on everything a device may send.

Owns framing (RFC 9112: status line, fields, length, chunks, end by closing is refused) as a
feedable decoder. Leaves out who may ask (`auth`), what JSON says (`document`) and the connection
(`agent.buses.http`). No library: a bus owns the port, and a driver never sees one.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from shared import limits
from shared.errors import Reason, RefusedError

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [ -~\x80-\xff\t]*)?")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[ -~\t]*)?")
_NO_BODY: Final = {204, 304}
"""RFC 9112, 6.3."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer, whole."""

    status: int
    fields: tuple[tuple[str, str], ...]
    """Names in lower case, in their order; one that comes twice stands there twice."""
    body: bytes

    def texts(self, name: str) -> tuple[str, ...]:
        """Return what the fields of a name say."""
        return tuple(text for known, text in self.fields if known == name)


def encode(
    method: str, target: str, *, authority: str, body: str = "", authorization: str = ""
) -> bytes:
    """Return the bytes of a request."""
    data = body.encode()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {authority}", "Accept: application/json"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, "", ""]).encode() + data


def _bad(detail: str) -> RefusedError:
    return RefusedError(Reason.DEVICE_BAD_FRAME, detail)


@dataclass(slots=True)
class _Body:
    """How the rest of an answer is cut."""

    left: int | None = None
    """Bytes of a known length; None: chunks."""
    data: bytearray = field(default_factory=bytearray)
    trailer: bool = False
    """The last chunk was there; fields may follow it."""


class HttpDecoder:
    """A `FrameDecoder` for the answer to one request, and the bus' `Farewell`."""

    peer = None
    unit = 0

    def __init__(self, *, repeatable: bool) -> None:
        self.repeatable = repeatable
        self.answer_bytes = 0
        self.is_last = False
        self.reset()

    def reset(self) -> None:
        """Forget what was fed."""
        self._buffer = bytearray()
        self._head: tuple[int, tuple[tuple[str, str], ...]] | None = None
        self._body = _Body()
        self._interim = 0

    def feed(self, data: bytes) -> HttpAnswer | None:
        """Return the answer once it is whole.

        Raises:
            RefusedError: it is no HTTP, or larger than it may be.
        """
        self._buffer += data
        while self._head is None:
            if not self._take_head():
                return None
        if self._body.left is not None:
            if len(self._buffer) < self._body.left:
                return None
            self._body.data += self._buffer[: self._body.left]
            del self._buffer[: self._body.left]
        elif not self._take_chunks():
            return None
        # Bytes behind an answer belong to nothing that was asked.
        self.is_last = self.is_last or bool(self._buffer)
        return HttpAnswer(*self._head, bytes(self._body.data))

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if (end if end >= 0 else len(self._buffer)) > limits.HTTP_HEAD_BYTES:
            raise _bad(f"an answer's head is longer than {limits.HTTP_HEAD_BYTES} bytes")
        if end < 0:
            # Whoever speaks something else is not waited for.
            begun = bytes(self._buffer[:5])
            if not b"HTTP/".startswith(begun):
                raise _bad("what answers speaks no HTTP")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        found = _STATUS.fullmatch(lines[0])
        if found is None:
            raise _bad("what answers speaks no HTTP/1.1")
        status = int(found[2])
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > limits.HTTP_INTERIM:
                raise _bad(f"it answers {status} without end")
            return True
        fields = tuple(_field(line) for line in lines[1:])
        self._head = (status, fields)
        self._measure(status, dict(fields), old=found[1] == b"0")
        return True

    def _measure(self, status: int, fields: dict[str, str], *, old: bool) -> None:
        """Find out how the body ends (RFC 9112, 6.3)."""
        connection = fields.get("connection", "").lower()
        self.is_last = "close" in connection or (old and "keep-alive" not in connection)
        coding, length = fields.get("transfer-encoding"), fields.get("content-length")
        if status in _NO_BODY:
            self._body = _Body(left=0)
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise _bad(f"the answer's transfer encoding is {coding[:40]!r}")
        elif length is not None and length.isascii() and length.isdecimal() and len(length) < 10:
            self._body = _Body(left=int(length))
        else:
            # A body that ends with the connection ends where it breaks, too.
            raise _bad("the answer does not tell its length")
        if (self._body.left or 0) > limits.HTTP_BODY_BYTES:
            raise _bad(f"an answer is longer than {limits.HTTP_BODY_BYTES} bytes")

    def _take_chunks(self) -> bool:
        """Take what there is of a chunked body (RFC 9112, 7.1); tell whether that was all."""
        while True:
            end = self._buffer.find(b"\r\n")
            if (end if end >= 0 else len(self._buffer)) > limits.HTTP_HEAD_BYTES:
                raise _bad("a chunk has no head")
            if end < 0:
                return False
            line = bytes(self._buffer[:end])
            if self._body.trailer:
                del self._buffer[: end + 2]
                if not line:
                    return True
                continue
            found = _CHUNK.fullmatch(line)
            size = int(found[1], 16) if found else -1
            if size < 0 or len(self._body.data) + size > limits.HTTP_BODY_BYTES:
                raise _bad("a chunk is too long, or none")
            if size and len(self._buffer) < end + 2 + size + 2:
                return False
            data = self._buffer[end + 2 : end + 2 + size]
            if size and self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise _bad("a chunk does not end where it says")
            self._body.data += data
            self._body.trailer = not size
            del self._buffer[: end + 2 + (size + 2 if size else 0)]


def _field(line: bytes) -> tuple[str, str]:
    name, colon, text = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise _bad("a field of the answer has no name")
    return name.decode("ascii").lower(), text.strip(b" \t").decode("latin-1")
