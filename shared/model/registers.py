"""Where a Modbus point lives: table, address, type, word order; and its bytes.

Owns the address part of a profile for protocol ``modbus`` and the conversion between registers and
raw counts (Modbus Application Protocol V1.1b3, 4.2 to 4.4). Leaves out function codes and frames
(`agent.drivers.modbus`) and what a count means (`shared.model.linear`).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Table = Literal["coil", "discrete", "input", "holding"]
"""The four tables of a Modbus device: two of bits, two of 16-bit registers."""
RawType = Literal[
    "bit", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"
]
WordOrder = Literal["big", "little"]
"""Which register of several comes first: the most ("big") or the least significant."""

TABLES: tuple[Table, ...] = ("input", "holding", "coil", "discrete")
BIT_TABLES: frozenset[Table] = frozenset({"coil", "discrete"})
WRITABLE_TABLES: frozenset[Table] = frozenset({"coil", "holding"})
ADDRESSES = 65_536
"""Addresses of one table, counted from 0 as on the wire (V1.1b3, 4.4)."""

_LAYOUTS: dict[RawType, str] = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
_COUNTS: dict[RawType, int] = {
    "bit": 1,
    **{name: struct.calcsize(layout) // 2 for name, layout in _LAYOUTS.items()},
}
REGISTER_TYPES: tuple[RawType, ...] = tuple(_LAYOUTS)
FLOAT_TYPES: frozenset[RawType] = frozenset({"float32", "float64"})


@dataclass(frozen=True, slots=True)
class RegisterAddress:
    """One point's place in a device's tables."""

    table: Table
    address: int
    type: RawType
    word_order: WordOrder = "big"

    @property
    def count(self) -> int:
        """Return how many registers (or bits) the point takes."""
        return _COUNTS[self.type]

    @property
    def end(self) -> int:
        """Return the address after its last register."""
        return self.address + self.count

    @property
    def writable(self) -> bool:
        """Tell whether the protocol can write it."""
        return self.table in WRITABLE_TABLES

    @property
    def is_bit(self) -> bool:
        """Tell whether it is 0 or 1 by its place."""
        return self.type == "bit"

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.table, self.address, self.type, self.word_order]

    @property
    def is_float(self) -> bool:
        """Tell whether the raw count is a floating point number."""
        return self.type in FLOAT_TYPES

    @property
    def range(self) -> tuple[int, int]:
        """Return the lowest and the highest count of an integer type."""
        assert not self.is_float, "a float's range is no pair of integers"
        bits = 1 if self.type == "bit" else 16 * self.count
        if self.type.startswith("int"):
            return -(1 << bits - 1), (1 << bits - 1) - 1
        return 0, (1 << bits) - 1

    def decode(self, words: Sequence[int]) -> int | float:
        """Return the raw count that `count` registers (or one bit) hold.

        >>> RegisterAddress("input", 0, "int32", "little").decode([0xFFFE, 0xFFFF])
        -2
        """
        assert len(words) == self.count, "a point is decoded from its own registers"
        if self.type == "bit":
            return words[0]
        ordered = words if self.word_order == "big" else words[::-1]
        raw: int | float = struct.unpack(
            _LAYOUTS[self.type], struct.pack(f">{self.count}H", *ordered)
        )[0]
        return raw

    def encode(self, raw: float) -> list[int]:
        """Return the registers that hold `raw`; a float is rounded to its type.

        Raises:
            OverflowError: a finite float is beyond the type's range.
        """
        if self.type == "bit":
            return [int(raw)]
        words = list(struct.unpack(f">{self.count}H", struct.pack(_LAYOUTS[self.type], raw)))
        return words if self.word_order == "big" else words[::-1]
