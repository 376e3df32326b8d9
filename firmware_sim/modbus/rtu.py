"""Frames of the RTU mode (Modbus over Serial Line V1.02, 2.5.1): address, PDU, CRC.

Owns finding a server's requests in a stream of bytes and the CRC. Leaves out time: the shell calls
`idle` when the line has been silent for 3.5 characters.

A request's length follows from its function code, so frames need no silence between them. What has
the wrong CRC is dropped together with all that follows until the silence: a receiver that lost its
place must not look for a frame inside of rubbish, it might find a write there (2.5.1.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass

ADU_BYTES = 256
"""Longest RTU frame (2.5.1)."""
BROADCAST = 0
"""Address of a request to all; nobody answers (2.2)."""

_FIXED = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6}
"""Function code -> length of its whole request."""
_COUNTED = {15: (6, 9), 16: (6, 9), 20: (2, 5), 21: (2, 5), 23: (10, 13)}
"""Function code -> where its byte count stands, and the length without the counted bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request with a correct CRC."""

    unit: int
    pdu: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no frame."""

    size: int


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
        entries.append(value)
    return tuple(entries)


_CRC = _table()


def crc16(data: bytes) -> int:
    """Return the CRC of 6.2.2: polynomial 0xA001 reflected, start 0xFFFF; sent low byte first.

    >>> hex(crc16(bytes((0x02, 0x07))))
    '0x1241'
    """
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value


def encode_frame(unit: int, pdu: bytes) -> bytes:
    """Return the frame that carries a PDU."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


class Decoder:
    """Finds requests in bytes, however they are cut into pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False
        """True from the first bad frame until the line falls silent."""

    @property
    def waits_for_silence(self) -> bool:
        """Tell whether the silence of 3.5 characters would end something."""
        return bool(self._buffer) or self._lost

    def feed(self, data: bytes) -> Iterator[Frame | Malformed]:
        """Take bytes from the line; yield what they complete, in order."""
        if not self._lost:
            self._buffer += data
        while self._buffer and not self._lost:
            length = _length(self._buffer)
            if length is not None and length <= ADU_BYTES:
                if len(self._buffer) < length:
                    return
                yield self._take(length)
            elif length is not None or len(self._buffer) > ADU_BYTES:
                yield self._lose()
            else:
                return

    def idle(self) -> Iterator[Frame | Malformed]:
        """Take note of a silence of 3.5 characters: what was collected is a frame or rubbish."""
        if self._buffer and not self._lost:
            yield self._take(len(self._buffer))
        self._buffer.clear()
        self._lost = False

    def _take(self, length: int) -> Frame | Malformed:
        frame = bytes(self._buffer[:length])
        if length < 4 or crc16(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
            return self._lose()
        del self._buffer[:length]
        return Frame(frame[0], frame[1:-2])

    def _lose(self) -> Malformed:
        size = len(self._buffer)
        self._buffer.clear()
        self._lost = True
        return Malformed(size)


def _length(head: bytearray) -> int | None:
    """Return the length of the request that `head` begins; None while only silence can tell."""
    if len(head) < 2:
        return None
    function = head[1]
    if function in _FIXED:
        return _FIXED[function]
    if function in _COUNTED:
        where, rest = _COUNTED[function]
        return rest + head[where] if len(head) > where else None
    if function == 43 and len(head) > 2 and head[2] == 14:
        return 7
    return None
