"""What kind of device it is: points, their registers, their meaning.

Owns the register map as frozen values and the conversion between a measurement and register
words. Leaves out the file it is read from (`model_file`) and all that changes while a device
runs (`device`).

Addresses are those of the PDU, from 0; a manual's 40101 is holding register 100.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from firmware_sim.signals import Constant, Polls, Signal
from shared.errors import MistakeError


class Table(StrEnum):
    """Which of the two register tables a point stands in."""

    INPUT = "input"
    """Read-only measurements (function code 4)."""
    HOLDING = "holding"
    """Settings (function codes 3, 6, 16, 23)."""


class Kind(StrEnum):
    """How a value is laid out in registers."""

    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    FLOAT32 = "float32"

    @property
    def registers(self) -> int:
        """Return how many 16-bit registers a value takes."""
        return 2 if self.value.endswith("32") else 1

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest number that fits."""
        if self is Kind.FLOAT32:
            return -3.4028234663852886e38, 3.4028234663852886e38
        bits = 16 * self.registers
        if self.value.startswith("u"):
            return 0, (1 << bits) - 1
        return -(1 << bits - 1), (1 << bits - 1) - 1


class WordOrder(StrEnum):
    """Which half of a 32-bit value has the lower address; bytes in a word are always big-endian."""

    BIG = "big"
    LITTLE = "little"


_STRUCT: Mapping[Kind, str] = {
    Kind.INT16: ">h",
    Kind.UINT16: ">H",
    Kind.INT32: ">i",
    Kind.UINT32: ">I",
    Kind.FLOAT32: ">f",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of a device."""

    name: str
    table: Table
    address: int
    kind: Kind
    scale: int = 0
    """The register holds value x 10^-scale: scale -2 shows 3.51 as 351. Always 0 for float32."""
    unit: str = ""
    about: str = ""
    signal: Signal
    writable: bool = False
    low: float
    """Smallest value that may be written, in the unit."""
    high: float
    default: float = 0.0
    """A holding point's value after power-on."""
    follows: str = ""
    """Input points: the holding point that the signal depends on."""
    ramp: str = ""
    """Holding points: the point that says over how many seconds a new value takes effect."""

    @property
    def end(self) -> int:
        """Return the address after the last register."""
        return self.address + self.kind.registers

    @property
    def is_setting(self) -> bool:
        """Tell whether it keeps what was written; some makers show measurements there too."""
        return self.table is Table.HOLDING and isinstance(self.signal, Constant)

    @property
    def is_poll_count(self) -> bool:
        """Tell whether the point counts how often it was read."""
        return isinstance(self.signal, Polls)

    def encode(self, value: float, order: WordOrder) -> tuple[int, ...]:
        """Return the registers that show `value`; what does not fit shows the nearest that does."""
        low, high = self.kind.bounds
        if self.kind is Kind.FLOAT32:
            packed = struct.pack(">f", min(max(value, low), high))
        else:
            raw = value / 10.0**self.scale if self.scale > 0 else value * 10.0**-self.scale
            packed = struct.pack(_STRUCT[self.kind], round(min(max(raw, low), high)))
        words = struct.unpack(f">{self.kind.registers}H", packed)
        return words if order is WordOrder.BIG else words[::-1]

    def decode(self, words: tuple[int, ...], order: WordOrder) -> float:
        """Return the value that registers show; NaN and infinities pass through."""
        ordered = words if order is WordOrder.BIG else words[::-1]
        raw = struct.unpack(_STRUCT[self.kind], struct.pack(f">{len(ordered)}H", *ordered))[0]
        return float(raw * 10**self.scale if self.scale >= 0 else raw / 10**-self.scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A kind of device."""

    name: str
    about: str
    vendor: str
    product: str
    revision: str
    allow_gaps: bool
    """Undefined registers inside a read are 0; otherwise they are exception 2."""
    word_order: WordOrder
    points: tuple[Point, ...]
    """Ordered by table and address; no two share a register."""

    def point(self, name: str) -> Point | None:
        """Return the point of that name."""
        return next((p for p in self.points if p.name == name), None)

    def expect(self, name: str) -> Point:
        """Return the point of that name.

        Raises:
            MistakeError: the model has none.
        """
        if (found := self.point(name)) is not None:
            return found
        names = ", ".join(p.name for p in self.points)
        raise MistakeError(f"model {self.name} has no point {name!r}", mend=f"it has {names}")
