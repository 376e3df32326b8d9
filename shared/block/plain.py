"""The plain stage: every flag a byte, every number a varint; fit for zlib, or for nothing at all.

Stages 0 and 1 of the format. Costs the least time, and the least code in a reader that somebody
else writes; `shared.block.adaptive` costs the fewest bytes.
"""

import zlib

from shared import limits
from shared.block.stage import NUMBER_BITS, malformed


class PlainWriter:
    """See `shared.block.stage.Writer`."""

    def __init__(self, *, compress: bool) -> None:
        self._compress = compress
        self._out = bytearray()

    def flag(self, role: int, *, value: bool) -> None:
        """Write one byte, 0 or 1."""
        self._out.append(value)

    def number(self, role: int, value: int) -> None:
        """Write a varint: seven bits a byte, low ones first, the high bit says that more follow."""
        assert 0 <= value < 1 << NUMBER_BITS, f"{value} does not fit a block's numbers"
        out = self._out
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)

    def residuals(self, values: list[int], scale: int) -> None:
        """Write each folded to be positive; `scale` is of no use here."""
        out = self._out
        for value in values:
            rest = value << 1 if value >= 0 else ~(value << 1)
            while rest > 127:
                out.append(rest & 127 | 128)
                rest >>= 7
            out.append(rest)

    def finish(self) -> bytes:
        """Return the bytes, as one zlib stream (RFC 1950) if so wanted."""
        return zlib.compress(self._out, 9) if self._compress else bytes(self._out)


class PlainReader:
    """See `shared.block.stage.Reader`."""

    def __init__(self, data: bytes, *, compressed: bool) -> None:
        self._data = _inflate(data) if compressed else data
        self._at = 0

    def flag(self, role: int) -> bool:
        """Read one byte."""
        value = self.number(role)
        if value > 1:
            raise malformed(f"a flag of {value}")
        return value == 1

    def number(self, role: int) -> int:
        """Read a varint; one that could be shorter, or is too long, is refused."""
        value = shift = 0
        for byte in self._data[self._at : self._at + NUMBER_BITS // 7 + 1]:
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                self._at += shift // 7
                if value >> NUMBER_BITS or (byte == 0 and shift > 7):
                    break
                return value
        raise malformed("a number that is cut short, too long or padded")

    def residuals(self, count: int, scale: int) -> list[int]:
        """Read `count` folded numbers."""
        number = self.number
        folded = [number(0) for _ in range(count)]
        return [~(value >> 1) if value & 1 else value >> 1 for value in folded]

    def rest(self) -> bytes:
        """Return what was not read yet."""
        return self._data[self._at :]

    def finish(self) -> None:
        """Refuse bytes that nobody read."""
        if self._at != len(self._data):
            raise malformed("bytes after the last column")


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(data, limits.BLOCK_INFLATED_BYTES)
    except zlib.error as error:
        raise malformed(str(error)) from None
    if not inflater.eof or inflater.unused_data:
        raise malformed("the zlib stream does not end with the block, or is a bomb")
    return plain
