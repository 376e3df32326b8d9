"""Framing of one contact: the same parts travel over HTTP and in a file.

``"OS" 0x01`` then parts of ``kind(1) length(LEB128) bytes``. The decoder is fed bytes in any
pieces and never sees a socket. Owns lengths and kinds; what the parts mean stands elsewhere.
"""

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError

_MAGIC = b"OS\x01"
_LENGTH_BYTES = 4
"""LEB128 bytes of a length: 28 bits cover every bound of a body."""

CONTENT_TYPE = "application/vnd.outstation.contact"


class PartKind(IntEnum):
    """What a part of a contact is."""

    REPORT = 1
    BLOCK = 2
    SCHEMA = 3
    CARRIED = 4
    """A report on a stick, in the place of the report."""
    REPLY = 16
    BUNDLE = 17
    ROOT = 18
    """Roots come before the reply, in the order of their versions: its key may be a new one."""
    CATALOG = 19
    POLICY = 20
    RETURN = 21
    """What a stick brings back, in the place of the reply."""
    FILE = 22
    """A piece of a file that work on the same stick names, alone in its parcel."""


_KINDS = {int(kind): kind for kind in PartKind}


class Part(msgspec.Struct, frozen=True):
    """One framed piece of a contact."""

    kind: PartKind
    data: bytes


def encode_body(parts: Iterable[Part]) -> bytes:
    """Return the bytes of a contact made of `parts`, in their order."""
    body = bytearray(_MAGIC)
    for part in parts:
        body.append(part.kind)
        length = len(part.data)
        while length > 0x7F:
            body.append(length & 0x7F | 0x80)
            length >>= 7
        body.append(length)
        body += part.data
    return bytes(body)


def part_bytes(size: int) -> int:
    """Return how many bytes of a body a part with `size` bytes of data takes."""
    return size + 1 + max(1, (size.bit_length() + 6) // 7)


class BodyDecoder:
    """Turns bytes that arrive in any pieces into parts, within bounds."""

    __slots__ = ("_begun", "_buffer", "_count", "_left")

    def __init__(self, bound: int) -> None:
        """Accept at most `bound` bytes in all."""
        self._buffer = bytearray()
        self._begun = False
        self._count = 0
        self._left = bound

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that `data` completes.

        Raises:
            RefusedError: too many bytes or parts, or not the framing of a contact.
        """
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(Reason.TOO_LONG, "the body is over its bound")
        self._buffer += data
        if not self._begun:
            if len(self._buffer) < len(_MAGIC):
                return []
            if not self._buffer.startswith(_MAGIC):
                raise RefusedError(Reason.BODY_MALFORMED, "it does not begin as a contact")
            del self._buffer[: len(_MAGIC)]
            self._begun = True
        parts: list[Part] = []
        while (part := self._next()) is not None:
            parts.append(part)
        return parts

    def finish(self) -> None:
        """Check that nothing is left half received.

        Raises:
            RefusedError: the body ended within a part, or before it began.
        """
        if self._buffer or not self._begun:
            raise RefusedError(Reason.BODY_MALFORMED, "it ends within a part")

    def _next(self) -> Part | None:
        header = self._header()
        if header is None:
            return None
        kind, start, size = header
        if len(self._buffer) < start + size:
            return None
        data = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        self._count += 1
        if self._count > limits.BODY_PARTS:
            raise RefusedError(Reason.BODY_MALFORMED, "too many parts")
        return Part(kind, data)

    def _header(self) -> tuple[PartKind, int, int] | None:
        if not self._buffer:
            return None
        kind = _KINDS.get(self._buffer[0])
        if kind is None:
            raise RefusedError(Reason.BODY_MALFORMED, f"a part of kind {self._buffer[0]}")
        size = 0
        for index in range(_LENGTH_BYTES):
            if len(self._buffer) < index + 2:
                return None
            byte = self._buffer[index + 1]
            size |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return kind, index + 2, size
        raise RefusedError(Reason.BODY_MALFORMED, "a length of more than four bytes")


def decode_body(data: bytes, *, bound: int) -> list[Part]:
    """Return the parts of a whole body.

    Raises:
        RefusedError: over its bound, or not the framing of a contact.
    """
    decoder = BodyDecoder(bound)
    parts = decoder.feed(data)
    decoder.finish()
    return parts
