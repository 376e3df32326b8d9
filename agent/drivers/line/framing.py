"""Lines of text: bytes to lines, lines to checked texts, and back.

Owns ends, starts and checksums as a profile describes them. Leaves out whose answer a line is
(`codec`, `sdi12`). Pure.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import xor
from typing import Final

from shared import limits
from shared.model.line_address import Check, LineDialect

_DIGITS: Final[dict[Check, int]] = {"none": 0, "xor": 2, "sum8": 2, "crc16": 4}
_NOISE: Final = bytes({*range(0x100)} - {*range(0x20, 0x7F), 0x09})
_STARTS: Final = 32
"""Places at which a line may have begun that are tried: each costs a checksum."""


def checksum(kind: Check, data: bytes) -> str:
    """Return a checksum as upper-case hexadecimal digits.

    ``xor`` is NMEA 0183's, ``sum8`` the sum of all bytes modulo 256, ``crc16`` Modbus' (polynomial
    A001 reflected, initially FFFF), high byte first.

    >>> checksum("xor", b"GPGLL,5057.970,N,00146.110,E,142451,A")
    '27'
    >>> checksum("crc16", b"123456789"), checksum("sum8", b"123456789")
    ('4B37', 'DD')
    """
    return f"{_SUMS[kind](data):0{_DIGITS[kind]}X}" if kind in _SUMS else ""


def crc16(data: bytes, *, initial: int) -> int:
    """Return the reflected CRC of polynomial A001."""
    value = initial
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


_SUMS: Final[dict[Check, Callable[[bytes], int]]] = {
    "xor": lambda data: reduce(xor, data, 0),
    "sum8": lambda data: sum(data) % 256,
    "crc16": lambda data: crc16(data, initial=0xFFFF),
}


def wrap(dialect: LineDialect, text: str) -> bytes:
    """Return the line that carries a text."""
    check = checksum(dialect.checksum, text.encode("ascii"))
    tail = f"{dialect.mark}{check}" if check else ""
    return f"{dialect.start}{text}{tail}{dialect.end}".encode("ascii")


def unwrap(dialect: LineDialect, line: bytes) -> list[str]:
    """Return the texts that a line may carry; none: it is damaged, or none of this kind.

    Somebody may have printed half a line before it began, and the data may have a start in it: of
    several the one that begins last is the first. Noise before a line without start is left out.
    """
    start = dialect.start.encode()
    if not start:
        begun = [line.lstrip(_NOISE)]
    else:
        parts = line.rsplit(start, _STARTS)
        begun = [start.join(parts[at:]) for at in reversed(range(1, len(parts)))]
    return [text for one in begun if (text := _checked(dialect, one))]


def _checked(dialect: LineDialect, line: bytes) -> str | None:
    digits = _DIGITS[dialect.checksum]
    if digits:
        body, check = line[:-digits], line[-digits:]
        mark = dialect.mark.encode()
        if not body.endswith(mark):
            return None
        body = body.removesuffix(mark)
        if checksum(dialect.checksum, body).encode() != check.upper():
            return None
        line = body
    text = line.decode("ascii", "replace")
    return text if text.isascii() and text.replace("\t", " ").isprintable() else None


class Lines:
    """Cuts what comes off a port into lines, of bounded length."""

    def __init__(self, end: str) -> None:
        self._last = end[-1:].encode()
        self._before = end[:-1].encode()
        self._buffer = bytearray()
        self._skips = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are whole; one that is too long is dropped to its end."""
        while data:
            piece, found, data = data.partition(self._last)
            self._skips = self._skips or len(self._buffer) + len(piece) > limits.LINE_BYTES
            if self._skips:
                self._buffer.clear()
            else:
                self._buffer += piece
            if found:
                line, skipped = bytes(self._buffer).removesuffix(self._before), self._skips
                self._buffer.clear()
                self._skips = False
                if line and not skipped:
                    yield line
