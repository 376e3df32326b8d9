"""What an entropy stage is: a writer and a reader of flags, numbers and residuals.

The layout of a block is written once against these protocols (`shared.block.series`, `.columns`,
`.codec`); stages differ only in the bits it takes them: `shared.block.plain` needs nothing but a
varint, `shared.block.adaptive` learns while it goes. Owns the roles that tell statistics apart.
"""

from enum import IntEnum, unique
from typing import Protocol

from shared.errors import Reason, RefusedError

NUMBER_BITS = 72
"""Numbers stay below 2**72: second differences of 64-bit values fit with room to spare."""


SPARSE = 2
"""Residuals of a scale up to this are mostly zeros; above, the low bits are noise."""


@unique
class Role(IntEnum):
    """What a flag or number says; each role has statistics of its own."""

    ONE_GROUP = 0
    GROUPS = 1
    WIDTH = 2
    IN_ORDER = 3
    """The channels are those that follow the previous group's."""
    REST = 4
    """The group is all that is left, without a hole: its rows follow from the count."""
    ROWS = 5
    STEADY = 6
    """Rows are equally spaced over the block's time range."""
    PLAIN = 7
    """All cells are there, and good."""
    REPEATED = 8
    """Cells are marked like those of the last column that was not plain."""
    EXPECTED = 9
    """The layout is the one that followed the previous column's layout the last time."""
    FORM = 10
    DECIMALS = 11
    TAIL = 12
    PALETTE_SIZE = 13
    KIN = 14
    SHARE = 15
    ESCAPE = 16
    """How far a residual lies beyond the code trees."""

    # A reader looks some forty of them up in each block; the one of Enum is written in Python.
    __hash__ = int.__hash__


@unique
class Use(IntEnum):
    """What a series is for; each use has roles of its own."""

    TIME = 0
    VALUE = 1
    PALETTE = 2
    PLACE = 3
    """Places in a palette."""
    MARK = 4
    """Which cells are there, qualities, kinds of values, channel indices, additions to a form."""


@unique
class Field(IntEnum):
    """What a number of a series says."""

    FIRST = 0
    SHAPE = 1
    SLOPE = 2
    TENS = 3
    UNIT = 4
    SCALE = 5


_SERIES, _FIELDS = len(Role), len(Field)
ROLES = _SERIES + len(Use) * _FIELDS


def role(field: Field, use: Use) -> int:
    """Return the number of a series' role; they follow those of `Role`."""
    return _SERIES + use * _FIELDS + field


def noise_bits(scale: int) -> int:
    """Return how many low bits of residuals of that scale are not worth a prediction."""
    return max(0, scale - SPARSE)


class Writer(Protocol):
    """Takes a block's content piece by piece."""

    def flag(self, role: int, *, value: bool) -> None:
        """Write one bit."""

    def number(self, role: int, value: int) -> None:
        """Write ``0 <= value < 2**NUMBER_BITS``; small ones are cheap."""

    def residuals(self, values: list[int], scale: int) -> None:
        """Write what a prediction missed; `scale` says how far it usually does."""

    def finish(self) -> bytes:
        """Return everything written; nothing may follow."""


class Reader(Protocol):
    """Gives back, in the same order, what a `Writer` took. Any method may raise RefusedError."""

    def flag(self, role: int) -> bool:
        """Read one bit."""

    def number(self, role: int) -> int:
        """Read a number."""

    def residuals(self, count: int, scale: int) -> list[int]:
        """Read `count` residuals that were written with `scale`."""

    def finish(self) -> None:
        """Refuse bytes that nobody read."""


def put_signed(writer: Writer, role: int, value: int) -> None:
    """Write an integer of either sign: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4."""
    writer.number(role, value << 1 if value >= 0 else ~(value << 1))


def get_signed(reader: Reader, role: int) -> int:
    """Undo `put_signed`."""
    folded = reader.number(role)
    return ~(folded >> 1) if folded & 1 else folded >> 1


def malformed(detail: str) -> RefusedError:
    """Return the refusal of a block whose bytes do not follow the format."""
    return RefusedError(Reason.BLOCK_MALFORMED, detail)
