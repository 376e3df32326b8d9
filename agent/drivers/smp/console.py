"""SMP on a serial console: packets as lines of base64 among whatever else is printed there.

Owns finding packets in a stream of bytes and writing them as lines (Zephyr, "SMP over console"): a
packet's length with its CRC, the packet, a CRC-16/XMODEM; base64 of that in lines of 127 bytes, of
which the first begins with 06 09 and the others with 04 14.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import crc_hqx
from collections.abc import Iterator
from typing import Final

from shared import limits

FIRST, NEXT = b"\x06\x09", b"\x04\x14"
LINE_BYTES: Final = 127
"""With marker and newline: the console's line buffer in Zephyr."""
EXTRA_BYTES: Final = 4
"""Length and CRC: they take room in the device's buffer."""
_RAW_BYTES = (LINE_BYTES - len(FIRST) - 1) // 4 * 3


def frame(packet: bytes) -> bytes:
    """Return the lines that carry a packet."""
    crc = crc_hqx(packet, 0).to_bytes(2)
    whole = (len(packet) + 2).to_bytes(2) + packet + crc
    lines: list[bytes] = []
    for start in range(0, len(whole), _RAW_BYTES):
        lines.append(NEXT if lines else FIRST)
        lines.append(b64encode(whole[start : start + _RAW_BYTES]))
        lines.append(b"\n")
    return b"".join(lines)


def framed_bytes(size: int) -> int:
    """Return how many bytes a packet of that size takes on the line.

    >>> framed_bytes(100) == len(frame(bytes(100))), framed_bytes(0) == len(frame(b""))
    (True, True)
    """
    whole = size + EXTRA_BYTES
    full, rest = divmod(whole, _RAW_BYTES)
    return full * LINE_BYTES + (3 + -(-rest // 3) * 4 if rest else 0)


class Unframer:
    """Finds packets in bytes, however they are cut; holds one line and one packet at most."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._packet: bytearray | None = None
        """What came of a packet, length included; None: none has begun."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes off the line; yield the packets that are whole. What is damaged is dropped."""
        while data:
            piece, newline, data = data.partition(b"\n")
            # A line longer than any keeps its beginning: enough to see that it is none of ours.
            self._line += piece[: LINE_BYTES + 1 - len(self._line)]
            if newline:
                line = bytes(self._line).removesuffix(b"\r")
                self._line.clear()
                packet = self._take(line)
                if packet is not None:
                    yield packet

    def _take(self, line: bytes) -> bytes | None:
        # Somebody may have printed half a line before the packet began.
        at = max(line.rfind(FIRST), line.rfind(NEXT))
        if at < 0:
            return None
        begins = line.startswith(FIRST, at)
        if not begins and self._packet is None:
            return None
        packet = bytearray() if begins or self._packet is None else self._packet
        try:
            packet += b64decode(line[at + len(FIRST) :], validate=True)
        except Base64Error:
            self._packet = None
            return None
        self._packet = packet
        return self._whole(packet)

    def _whole(self, packet: bytearray) -> bytes | None:
        if len(packet) < EXTRA_BYTES:
            return None
        size = int.from_bytes(packet[:2])
        if size > limits.SMP_PACKET_BYTES:
            self._packet = None
        if self._packet is None or len(packet) < size + 2:
            return None
        self._packet = None
        body = bytes(packet[2:])
        # The CRC of a message with its own CRC behind it is zero.
        if len(body) != size or crc_hqx(body, 0):
            return None
        return body[:-2]
