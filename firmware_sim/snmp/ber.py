"""Values of SNMP as bytes and back (X.690 as RFC 3417, 8 narrows it).

Owns tags and lengths. Knows nothing of messages (`agent`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

INTEGER, OCTETS, NULL, OBJECT, SEQUENCE = 2, 4, 5, 6, 0x30
COUNTER32, GAUGE32, TICKS, COUNTER64 = 0x41, 0x42, 0x43, 0x46
NO_OBJECT, NO_INSTANCE, END_OF_VIEW = 0x80, 0x81, 0x82
MULTIPLE = 0x80
_ARCS = 128

Oid = tuple[int, ...]


class MalformedError(Exception):
    """Bytes that are none of this."""


@dataclass(frozen=True, slots=True)
class Node:
    """A tag and what it holds."""

    tag: int
    body: bytes

    @property
    def number(self) -> int:
        """Return it as a whole number."""
        if not 1 <= len(self.body) <= 9:
            raise MalformedError
        return int.from_bytes(self.body, "big", signed=True)

    @property
    def oid(self) -> Oid:
        """Return it as an OID."""
        arcs, pending = [], 0
        for byte in self.body:
            pending = (pending << 7) + (byte & 127)
            if pending > 0xFFFFFFFF + 80:
                raise MalformedError
            if byte < MULTIPLE:
                arcs.append(pending)
                pending = 0
        if not self.body or self.body[-1] >= MULTIPLE or len(arcs) > _ARCS:
            raise MalformedError
        head = divmod(arcs[0], 40) if arcs[0] < 80 else (2, arcs[0] - 80)
        return (*head, *arcs[1:])

    @property
    def children(self) -> "list[Node]":
        """Return what it is made of."""
        found, rest = [], self.body
        while rest:
            node, rest = parse(rest)
            found.append(node)
        return found


def parse(data: bytes) -> tuple[Node, bytes]:
    """Return the first value and the bytes behind it.

    Raises:
        MalformedError: it is not whole.
    """
    if len(data) < 2:
        raise MalformedError
    start, size = 2, data[1]
    if size > 127:
        start += size - 128
        if not 3 <= start <= 6:
            raise MalformedError
        size = int.from_bytes(data[2:start], "big")
    end = start + size
    if end > len(data):
        raise MalformedError
    return Node(data[0], data[start:end]), data[end:]


def value(tag: int, body: bytes = b"") -> bytes:
    """Return a value's bytes."""
    if len(body) < MULTIPLE:
        return bytes([tag, len(body)]) + body
    return bytes([tag, 0x82]) + len(body).to_bytes(2, "big") + body


def number(amount: int, tag: int = INTEGER) -> bytes:
    """Return a whole number's bytes: two's complement, the fewest there are."""
    size = 1
    while not -(1 << (8 * size - 1)) <= amount < 1 << (8 * size - 1):
        size += 1
    return value(tag, amount.to_bytes(size, "big", signed=True))


def name(oid: Sequence[int]) -> bytes:
    """Return an OID's bytes."""
    body = bytearray()
    for arc in (40 * oid[0] + oid[1], *oid[2:]):
        body.append(arc & 127)
        at = len(body) - 1
        high = arc >> 7
        while high:
            body.insert(at, high & 127 | 128)
            high >>= 7
    return value(OBJECT, bytes(body))
