"""Where a point of an SMP device lives: in a statistics group, a setting or a file; and its bytes.

Owns the address part of a profile for protocol ``smp`` (Zephyr's "Statistics management",
"Settings management" and "File management" groups) and the conversion between what a device answers
and raw counts. Leaves out packets (`agent.drivers.smp`) and what a count means
(`shared.model.linear`).
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal

SmpType = Literal[
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32"
]
SmpPlace = Literal["stat", "setting", "file"]
FILE_FIELDS: Final = ("size", "crc32")
"""What there is to know of a file: its length, and the CRC-32 (IEEE 802.3) of all of it."""

_LAYOUTS: Final[dict[SmpType, str]] = {
    "int8": "<b",
    "uint8": "<B",
    "int16": "<h",
    "uint16": "<H",
    "int32": "<i",
    "uint32": "<I",
    "int64": "<q",
    "uint64": "<Q",
    "float32": "<f",
}
SMP_TYPES: Final[tuple[SmpType, ...]] = tuple(_LAYOUTS)


@dataclass(frozen=True, slots=True)
class SmpAddress:
    """One point's place in an SMP device."""

    place: SmpPlace
    name: str
    """Of the statistics group, of the setting as ``sensor/interval``, or the path of the file."""
    field: str = ""
    """Of the group, or one of `FILE_FIELDS`; empty for a setting."""
    type: SmpType = "int64"

    @property
    def writable(self) -> bool:
        """Tell whether the protocol can write it."""
        return self.place == "setting"

    @property
    def is_bit(self) -> bool:
        """Tell whether it is 0 or 1 by its place."""
        return False

    @property
    def is_float(self) -> bool:
        """Tell whether the raw count is a floating point number."""
        return self.type == "float32"

    @property
    def range(self) -> tuple[int, int]:
        """Return the lowest and the highest count of an integer type."""
        assert not self.is_float, "a float's range is no pair of integers"
        bits = 8 * struct.calcsize(_LAYOUTS[self.type])
        if self.type.startswith("int"):
            return -(1 << bits - 1), (1 << bits - 1) - 1
        return 0, (1 << bits) - 1

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.place, self.name, self.field, self.type]

    def counted(self, number: int) -> int | None:
        """Return the count that a statistic stands for, None where its type cannot hold it.

        Statistics are unsigned on the wire: a negative one comes as its two's complement.

        >>> SmpAddress("stat", "sensors", "temperature", "int16").counted(65_534)
        -2
        """
        low, high = self.range
        if low <= number <= high:
            return number
        turned = number - (high - low + 1)
        return turned if low <= turned < 0 <= number else None

    def decode(self, data: bytes) -> int | float | None:
        """Return the raw count that a setting's bytes hold, None where the length is another."""
        layout = _LAYOUTS[self.type]
        if len(data) != struct.calcsize(layout):
            return None
        raw: int | float = struct.unpack(layout, data)[0]
        return raw

    def encode(self, raw: float) -> bytes:
        """Return the bytes of a setting that hold `raw`; a float is rounded to its type.

        Raises:
            OverflowError: a finite float is beyond the type's range.
        """
        return struct.pack(_LAYOUTS[self.type], raw)
