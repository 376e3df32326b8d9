"""Frames of Modbus TCP (Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3): the MBAP.

Owns finding requests in a connection's bytes, several in flight included. Leaves out sockets.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER_BYTES = 7
"""Transaction, protocol, length, unit."""
LENGTH_MAX = 254
"""Unit identifier and the longest PDU."""
UNITS_OF_THE_DEVICE = (0xFF, 0)
"""Unit identifiers that mean the device at this IP address itself (4.4.2)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request and what must be given back with its answer."""

    transaction: int
    unit: int
    pdu: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no Modbus request."""

    size: int
    fatal: bool
    """The place in the stream is lost; only a new connection helps."""


def encode_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Return the frame that carries a PDU."""
    return struct.pack(">HHHB", transaction, 0, 1 + len(pdu), unit) + pdu


class Decoder:
    """Finds requests in a connection's bytes, however they are cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False

    def feed(self, data: bytes) -> Iterator[Frame | Malformed]:
        """Take bytes from the connection; yield what they complete, in order.

        A frame of another protocol is skipped, for its length still holds. A length that no PDU
        has makes the rest of the stream meaningless: nothing is yielded after that.
        """
        if not self._lost:
            self._buffer += data
        while not self._lost and len(self._buffer) >= 6:
            transaction, protocol, length = struct.unpack_from(">HHH", self._buffer)
            if not 2 <= length <= LENGTH_MAX:
                self._lost = True
                yield Malformed(len(self._buffer), fatal=True)
                self._buffer.clear()
                return
            if len(self._buffer) < 6 + length:
                return
            body = bytes(self._buffer[6 : 6 + length])
            del self._buffer[: 6 + length]
            if protocol == 0:
                yield Frame(transaction, body[0], body[1:])
            else:
                yield Malformed(6 + length, fatal=False)
