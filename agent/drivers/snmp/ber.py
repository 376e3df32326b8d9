"""The part of BER that SNMP uses (X.690; RFC 3417, 8): definite lengths, one byte of tag.

Owns tags, lengths, whole numbers and OIDs, strictly bounded. Pure. Leaves out what a message is
made of (`codec`).
"""

from collections.abc import Iterator
from typing import Final

from shared import limits
from shared.errors import Reason, RefusedError

INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OBJECT: Final = 0x06
SEQUENCE: Final = 0x30
_LONG: Final = 0x80
_LENGTH_BYTES: Final = 4
_NUMBER_BYTES: Final = 9
"""A Counter64 above 2 ** 63 has a zero byte before its eight."""


def bad(detail: str) -> RefusedError:
    """Return the refusal of bytes that are none of this."""
    return RefusedError(Reason.DEVICE_BAD_FRAME, detail)


def wrap(tag: int, *contents: bytes) -> bytes:
    """Return a value with its tag and its length.

    >>> wrap(OCTETS, b"public").hex()
    '04067075626c6963'
    """
    body = b"".join(contents)
    size = len(body)
    if size < _LONG:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(length))) + length + body


def whole(number: int, tag: int = INTEGER) -> bytes:
    """Return a whole number in as few bytes as it takes.

    >>> whole(128).hex(), whole(-1).hex()
    ('02020080', '0201ff')
    """
    bits = number.bit_length() if number >= 0 else (number + 1).bit_length()
    return wrap(tag, number.to_bytes(bits // 8 + 1, "big", signed=True))


def named(oid: tuple[int, ...]) -> bytes:
    """Return an OID.

    >>> named((1, 3, 6, 1, 4, 1, 8072)).hex()
    '06072b06010401bf08'
    """
    arcs = (oid[0] * 40 + oid[1], *oid[2:])
    return wrap(OBJECT, b"".join(map(_arc, arcs)))


def _arc(number: int) -> bytes:
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | _LONG)
    return bytes(reversed(out))


def read(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first value's tag, its contents, and what stands behind it.

    Raises:
        RefusedError: the bytes end before the value does, or its length is no definite one.
    """
    if len(data) < 2:
        raise bad("the message ends too early")
    tag, size, start = data[0], data[1], 2
    if size >= _LONG:
        count = size & 0x7F
        if not 1 <= count <= _LENGTH_BYTES:
            raise bad("a length that no message of SNMP has")
        start += count
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise bad("the message ends too early")
    return tag, data[start : start + size], data[start + size :]


def expect(tag: int, data: bytes) -> tuple[bytes, bytes]:
    """Return the contents of the first value, which has this tag, and what stands behind it.

    Raises:
        RefusedError: as `read`, or it is something else.
    """
    found, contents, rest = read(data)
    if found != tag:
        raise bad(f"the message has {found:#04x} where {tag:#04x} belongs")
    return contents, rest


def each(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and contents of the values that stand in a row."""
    while data:
        tag, contents, data = read(data)
        yield tag, contents


def number_of(contents: bytes) -> int:
    """Return a whole number.

    Raises:
        RefusedError: it has no bytes, or more than any number of SNMP.
    """
    if not 1 <= len(contents) <= _NUMBER_BYTES:
        raise bad("a number that has no size of one")
    return int.from_bytes(contents, "big", signed=True)


def oid_of(contents: bytes) -> tuple[int, ...]:
    """Return an OID.

    Raises:
        RefusedError: it ends in the middle of an arc, or has more or larger ones than there are.
    """
    if not contents or contents[-1] & _LONG or len(contents) > 5 * limits.SNMP_ARCS:
        raise bad("an OID that is none")
    arcs, arc = [], 0
    for byte in contents:
        arc = arc << 7 | byte & 0x7F
        if arc >= 1 << 33:
            raise bad("an OID with an arc beyond 32 bits")
        if not byte & _LONG:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:])
