"""SNMPv2c messages (RFC 3416, RFC 1901): a request to bytes, a datagram to an answer.

Owns messages, PDUs, and values as raw counts. Pure. Leaves out BER (`ber`), which objects are asked
for together (`plan`) and who asks (`driver`).
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.drivers.snmp import ber
from shared import limits
from shared.model.snmp_address import Oid, SnmpAddress
from shared.model.text_form import TextForm

GET: Final = 0xA0
_RESPONSE: Final = 0xA2
SET: Final = 0xA3
_VERSION_2C: Final = 1
_COUNTER32, _GAUGE32, _TICKS, _OPAQUE, _COUNTER64 = 0x41, 0x42, 0x43, 0x44, 0x46
_NUMBERS: Final = frozenset({ber.INTEGER, _COUNTER32, _GAUGE32, _TICKS, _COUNTER64})
_FULL: Final = {_COUNTER32: 4, _GAUGE32: 4, _TICKS: 4, _COUNTER64: 8}
"""Bytes of the largest numbers of the types without a sign."""
_MISSING: Final = frozenset({0x80, 0x81, 0x82, ber.NULL})
"""noSuchObject, noSuchInstance, endOfMibView."""
_FLOAT: Final = b"\x9f\x78\x04"
"""How net-snmp says that an opaque value is a float."""
TOO_BIG: Final = 1
_STATUS: Final = {
    2: "noSuchName",
    3: "badValue",
    4: "readOnly",
    5: "genErr",
    6: "noAccess",
    7: "wrongType",
    8: "wrongLength",
    9: "wrongEncoding",
    10: "wrongValue",
    11: "noCreation",
    12: "inconsistentValue",
    13: "resourceUnavailable",
    14: "commitFailed",
    15: "undoFailed",
    16: "authorizationError",
    17: "notWritable",
    18: "inconsistentName",
}
"""RFC 3416, 3."""
_NUMBER_TEXT: Final = TextForm("number")
_TRUE, _FALSE = 1, 2


@dataclass(frozen=True, slots=True)
class SnmpValue:
    """One object's value as it came."""

    tag: int
    contents: bytes

    @property
    def missing(self) -> bool:
        """Tell whether the device has no such object."""
        return self.tag in _MISSING

    def count(self, at: SnmpAddress) -> int | float | None:
        """Return the raw count of a point, None where this says none of its type."""
        if at.type == "float":
            body = self.contents
            if self.tag != _OPAQUE or len(body) != 7 or not body.startswith(_FLOAT):
                return None
            number = float(struct.unpack(">f", body[3:])[0])
            return number if math.isfinite(number) else None
        if self.tag == ber.OCTETS:
            # A number in a display string, for whatever type: many makers write them so.
            text = self.contents.decode("ascii", "replace").strip()
            return _NUMBER_TEXT.read(text) if at.type == "text" else None
        if self.tag not in _NUMBERS:
            return None
        number = self._number
        if at.type == "truth":
            return {_TRUE: 1, _FALSE: 0}.get(number)
        if at.is_float:
            return float(number)
        low, high = at.range
        return number if low <= number <= high else None

    @property
    def _number(self) -> int:
        """Return a whole number; many devices leave out the zero byte before one that is full."""
        if len(self.contents) == _FULL.get(self.tag):
            return int.from_bytes(self.contents, "big")
        return ber.number_of(self.contents)

    @property
    def text(self) -> str:
        """Return what it says to people, empty where it says nothing."""
        if self.tag == ber.OBJECT:
            shown = ".".join(map(str, ber.oid_of(self.contents)))
        elif self.tag == ber.OCTETS:
            shown = self.contents.decode("utf-8", "replace")
        else:
            shown = str(self._number) if self.tag in _NUMBERS else ""
        clean = "".join(one if one.isprintable() else " " for one in shown)
        return " ".join(clean.split())[: limits.IDENTITY_CHARS]


@dataclass(frozen=True, slots=True)
class SnmpAnswer:
    """One response."""

    status: int
    index: int
    """Which object the status is about, from 1; 0: none of them."""
    values: dict[Oid, SnmpValue]

    @property
    def complaint(self) -> str:
        """Return the name of the status."""
        return _STATUS.get(self.status, f"error {self.status}")


def written(at: SnmpAddress, raw: float) -> bytes:
    """Return a raw count as its object is set (RFC 2578, 7.1)."""
    number = int(raw)
    if at.type == "truth":
        return ber.whole(_TRUE if number else _FALSE)
    return ber.whole(number, _GAUGE32 if at.type == "gauge" else ber.INTEGER)


def encode(kind: int, community: bytes, number: int, objects: Sequence[tuple[Oid, bytes]]) -> bytes:
    """Return a request; empty values become NULL, as in a GET."""
    null = ber.wrap(ber.NULL)
    binds = [ber.wrap(ber.SEQUENCE, ber.named(oid), value or null) for oid, value in objects]
    numbers = (ber.whole(number), ber.whole(0), ber.whole(0))
    pdu = ber.wrap(kind, *numbers, ber.wrap(ber.SEQUENCE, *binds))
    head = (ber.whole(_VERSION_2C), ber.wrap(ber.OCTETS, community))
    return ber.wrap(ber.SEQUENCE, *head, pdu)


class SnmpDecoder:
    """A `FrameDecoder` for the answer to one request; a datagram is a message."""

    answer_bytes = 0
    peer = None
    """Each request has a number of its own, and others' answers are passed over."""
    unit = 0

    def __init__(self, *, number: int, community: bytes, repeatable: bool) -> None:
        self.repeatable = repeatable
        self._number = number
        self._community = community

    def reset(self) -> None:
        """Forget what was fed: nothing is kept between datagrams."""

    def feed(self, data: bytes) -> SnmpAnswer | None:
        """Return the answer, None where a message answers something else.

        Raises:
            RefusedError: it is no message of SNMP.
        """
        if len(data) > limits.SNMP_MESSAGE_BYTES:
            raise ber.bad("the message is larger than any that was asked for")
        body, rest = ber.expect(ber.SEQUENCE, data)
        version, body = ber.expect(ber.INTEGER, body)
        community, body = ber.expect(ber.OCTETS, body)
        tag, pdu, more = ber.read(body)
        if rest or more:
            raise ber.bad("bytes stand behind the message")
        stranger = ber.number_of(version) != _VERSION_2C or community != self._community
        if stranger or tag != _RESPONSE:
            return None
        number, pdu = ber.expect(ber.INTEGER, pdu)
        if ber.number_of(number) != self._number:
            return None
        status, pdu = ber.expect(ber.INTEGER, pdu)
        index, pdu = ber.expect(ber.INTEGER, pdu)
        binds, rest = ber.expect(ber.SEQUENCE, pdu)
        if rest:
            raise ber.bad("bytes stand behind the answer")
        return SnmpAnswer(ber.number_of(status), ber.number_of(index), _values(binds))


def _values(binds: bytes) -> dict[Oid, SnmpValue]:
    found: dict[Oid, SnmpValue] = {}
    for tag, bind in ber.each(binds):
        if tag != ber.SEQUENCE:
            raise ber.bad("an answer that is no list of objects")
        name, value = ber.expect(ber.OBJECT, bind)
        kind, contents, rest = ber.read(value)
        if rest or len(found) >= limits.SNMP_OIDS_MOST:
            raise ber.bad("more in an answer than was asked for")
        if kind in _NUMBERS:
            ber.number_of(contents)
        if kind == ber.OBJECT:
            ber.oid_of(contents)
        found[ber.oid_of(name)] = SnmpValue(kind, contents)
    return found
