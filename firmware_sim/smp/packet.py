"""Packets of SMP: the eight-byte header, the CBOR map behind it, and how a refusal looks.

Owns bytes to `Request` and result to bytes. Leaves out framing on a serial line (`console`) and
what the commands do. Written from Zephyr's "SMP Protocol Specification"; integers of the header are
big-endian.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import cbor2

HEADER = struct.Struct(">BBHHBB")
"""Version and operation, flags, payload length, group, sequence, command."""
READ, WRITE = 0, 2
VERSIONS = 2
"""Header version 0 is the protocol's first, 1 its second; their refusals differ."""


class Rc(IntEnum):
    """General refusals ("SMP version 1 error codes")."""

    UNKNOWN = 1
    NO_MEMORY = 2
    INVALID = 3
    NO_ENTRY = 5
    BAD_STATE = 6
    TOO_LARGE = 7
    NOT_SUPPORTED = 8
    CORRUPT = 9
    TOO_NEW = 13


class RefusalError(Exception):
    """A request that is answered with a reason."""

    def __init__(self, rc: int, *, group: int | None = None, plain: Rc = Rc.UNKNOWN) -> None:
        super().__init__(rc)
        self.rc, self.group = rc, group
        """The reason, and the group that defines it; None: one of `Rc`."""
        self.plain = plain
        """What stands for a group's own reason in the protocol's first version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What comes before the payload."""

    version: int
    op: int
    group: int
    sequence: int
    command: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no request."""

    size: int


Payload = Mapping[str, object]


class Fields:
    """The map of a request; unknown names are ignored, wrong types are refused."""

    def __init__(self, given: Payload) -> None:
        self.given = given

    def number(self, name: str) -> int | None:
        """Return a whole number from 0 up."""
        value = self.given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
            raise RefusalError(Rc.INVALID)
        return value

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self.given.get(name)
        if value is not None and not isinstance(value, str):
            raise RefusalError(Rc.INVALID)
        return value

    def data(self, name: str) -> bytes | None:
        """Return a byte string."""
        value = self.given.get(name)
        if value is not None and not isinstance(value, bytes):
            raise RefusalError(Rc.INVALID)
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value; false where it is left out."""
        value = self.given.get(name)
        if value is not None and not isinstance(value, bool):
            raise RefusalError(Rc.INVALID)
        return bool(value)


def parse_header(packet: bytes) -> Header | Malformed:
    """Return the header of a request; a response that was overheard is none."""
    if len(packet) < HEADER.size:
        return Malformed(len(packet))
    first, _, _, group, sequence, command = HEADER.unpack_from(packet)
    op, version = first & 7, first >> 3 & 3
    if op not in {READ, WRITE}:
        return Malformed(len(packet))
    return Header(version=version, op=op, group=group, sequence=sequence, command=command)


def parse_fields(packet: bytes) -> Fields:
    """Return the map behind a header.

    Raises:
        RefusalError: it is cut off, or no CBOR map of named values.
    """
    size = HEADER.unpack_from(packet)[2]
    payload = packet[HEADER.size : HEADER.size + size]
    if len(payload) < size:
        raise RefusalError(Rc.CORRUPT)
    if HEADER.unpack_from(packet)[0] >> 3 & 3 >= VERSIONS:
        raise RefusalError(Rc.TOO_NEW)
    try:
        given = cbor2.loads(payload) if payload else {}
    except (cbor2.CBORDecodeError, RecursionError):
        raise RefusalError(Rc.INVALID) from None
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise RefusalError(Rc.INVALID)
    return Fields(given)


def encode_response(header: Header, payload: Payload) -> bytes:
    """Return the packet that answers a request."""
    body = cbor2.dumps(dict(payload))
    version = min(header.version, VERSIONS - 1)
    head = HEADER.pack(
        version << 3 | header.op + 1, 0, len(body), header.group, header.sequence, header.command
    )
    return head + body


def encode_refusal(header: Header, refusal: RefusalError) -> bytes:
    """Return the packet that refuses a request, in the manner of its version."""
    if refusal.group is None:
        return encode_response(header, {"rc": int(refusal.rc)})
    if header.version == 0:
        return encode_response(header, {"rc": int(refusal.plain)})
    return encode_response(header, {"err": {"group": refusal.group, "rc": int(refusal.rc)}})
