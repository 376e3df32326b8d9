"""SMP on a serial console: packets as lines of base64 among whatever else is printed there.

Owns finding packets in a stream of bytes, and writing them as lines. Written from Zephyr's "SMP
over console": a packet is its length (big-endian, CRC included), itself, and a CRC-16/XMODEM of
itself; base64 of that is cut into lines of 127 bytes, the first begins with 06 09, others with
04 14.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import crc_hqx
from collections.abc import Iterator

from firmware_sim.smp.packet import Malformed

FIRST, NEXT = b"\x06\x09", b"\x04\x14"
LINE_BYTES = 127
"""With marker and newline."""
_RAW_BYTES = (LINE_BYTES - len(FIRST) - 1) // 4 * 3
_LENGTH_BYTES = _CRC_BYTES = 2


def encode_lines(packet: bytes, *, damage: int = 0) -> bytes:
    """Return the lines that carry a packet; `damage` are bits of its CRC that are wrong."""
    crc = (crc_hqx(packet, 0) ^ damage).to_bytes(_CRC_BYTES)
    whole = (len(packet) + _CRC_BYTES).to_bytes(_LENGTH_BYTES) + packet + crc
    lines = []
    for start in range(0, len(whole), _RAW_BYTES):
        marker = FIRST if start == 0 else NEXT
        lines.append(marker + b64encode(whole[start : start + _RAW_BYTES]) + b"\n")
    return b"".join(lines)


class Decoder:
    """Finds packets in bytes, however they are cut into pieces; holds one line and one packet."""

    def __init__(self, buffer_bytes: int) -> None:
        self._most = buffer_bytes
        """The device's buffer; a longer packet does not fit and is dropped."""
        self._line = bytearray()
        self._overlong = False
        self._packet: bytearray | None = None
        """What has arrived of a packet, length and CRC included; None: none has begun."""

    def feed(self, data: bytes) -> Iterator[bytes | Malformed]:
        """Take bytes from the line; yield the packets they complete and what was damaged.

        Lines without a marker are other people's and pass silently.
        """
        while data:
            piece, newline, data = data.partition(b"\n")
            room = LINE_BYTES - len(self._line)
            self._overlong = self._overlong or len(piece) > room
            self._line += piece[:room]
            if newline:
                line, overlong = bytes(self._line), self._overlong
                self._line.clear()
                self._overlong = False
                yield from self._take(line, overlong=overlong)

    def _take(self, line: bytes, *, overlong: bool) -> Iterator[bytes | Malformed]:
        marker, text = line[: len(FIRST)], line[len(FIRST) :]
        if marker not in {FIRST, NEXT}:
            return
        if marker == FIRST:
            if self._packet is not None:
                yield self._drop()
            self._packet = bytearray()
        elif self._packet is None:
            yield Malformed(len(line))
            return
        try:
            raw = b64decode(text, validate=True)
        except Base64Error:
            raw = b""
        assert self._packet is not None, "a first line begins one"
        self._packet += raw
        if overlong or not raw or len(self._packet) > self._most:
            yield self._drop()
        elif len(self._packet) >= _LENGTH_BYTES:
            yield from self._finish(self._packet)

    def _finish(self, packet: bytearray) -> Iterator[bytes | Malformed]:
        length = int.from_bytes(packet[:_LENGTH_BYTES])
        if len(packet) < _LENGTH_BYTES + length:
            return
        body = bytes(packet[_LENGTH_BYTES:])
        # The CRC of a message with its own CRC behind it is zero.
        if len(body) != length or length < _CRC_BYTES or crc_hqx(body, 0) != 0:
            yield self._drop()
            return
        self._packet = None
        yield body[:-_CRC_BYTES]

    def _drop(self) -> Malformed:
        size = len(self._packet or b"")
        self._packet = None
        return Malformed(size)
