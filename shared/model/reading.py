"""What a reading is: quality, channel, and samples in columns.

Owns the values that the data path hands on from driver to query: a channel (what is measured),
a group (rows of one poll group that share timestamps) and a block (sealed groups with their
clock). Leaves out the bytes of a block (`shared.block.codec`) and of a schema
(`shared.block.schema`), and everything a profile knows about a point (`shared.model.profile`).

There is no object per reading: a column is a plain list, its qualities one byte per cell.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NewType

import msgspec

from shared.clock import ClockState, MonoMs, WallMs
from shared.ids import BlockSeq, DeviceId, SchemaHash, StoreEpoch

EpochRef = NewType("EpochRef", bytes)
"""First 2 bytes of a store epoch: notices a block that is filed under the wrong one."""
BootRef = NewType("BootRef", bytes)
"""First 4 bytes of a boot id: tells the boots of one agent apart."""
SchemaRef = NewType("SchemaRef", bytes)
"""First 4 bytes of a schema hash: tells the schemas of one agent apart."""

Kind = Literal["gauge", "counter", "state"]
"""How a channel's values combine: averaged, subtracted, or only compared."""

Value = int | float | None
"""One cell: an int keeps its type and 64 bits, a float its bits; None is no value."""

EPOCH_REF_BYTES = 2
BOOT_REF_BYTES = 4
SCHEMA_REF_BYTES = 4


class Quality(IntEnum):
    """How far a value can be trusted, in the sense of OPC UA status codes (part 8, annex A)."""

    GOOD = 0
    """The device answered and the value lies within its range."""
    UNCERTAIN = 1
    """The device answered but doubts itself, or the value was converted with loss."""
    BAD_COMM = 2
    """The device did not answer or its frame was broken; there is no value."""
    BAD_RANGE = 3
    """The value lies outside what the point can physically be."""
    STALE = 4
    """The device answered with a value that it measured too long ago."""


class Reduction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How the readings between two rows can be told, although they were held back on purpose."""

    between: Literal["hold", "line"]
    """They were as the row before, or on the straight line from row to row by their time stamps."""
    bound: float
    """How far off they were at most, in the channel's unit; nothing is said across a bad row."""
    percent: bool = False
    """The bound is in hundredths of the value that holds."""


class Channel(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One measured thing: a point of a device."""

    device: DeviceId
    point: str
    unit: str = ""
    """UCUM text as the profile gives it, e.g. ``kW.h``; empty for a pure number or state."""
    kind: Kind = "gauge"
    reduction: Reduction | None = None
    """None: every reading that was taken is a row."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one poll group: `channels` were sampled together at each of `times_ms`.

    A cell is *sampled* when it has a value or a quality other than GOOD; None with GOOD is a cell
    that was not sampled (suppressed by a deadband, or not due), and does not count.
    """

    channels: tuple[int, ...]
    """Indices into the schema; one column each."""
    times_ms: list[int]
    """Wall milliseconds of the rows by the agent's clock; any order, duplicates allowed."""
    columns: list[list[Value]]
    """One list per channel, each as long as `times_ms`."""
    qualities: list[bytes]
    """One byte (a Quality) per cell; ``bytes(rows)`` is a column that is all GOOD."""

    @property
    def count(self) -> int:
        """Return the number of sampled cells."""
        return sum(map(sampled, self.columns, self.qualities))


def sampled(column: list[Value], quality: bytes) -> int:
    """Return how many cells of one column hold a value or say why there is none.

    >>> sampled([20.5, None, None], bytes([Quality.GOOD, Quality.BAD_COMM, Quality.GOOD]))
    2
    """
    missing = column.count(None)
    if not missing or quality.count(Quality.GOOD) == len(quality):
        return len(column) - missing
    return sum(value is not None or mark != 0 for value, mark in zip(column, quality, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Sealed readings with the clock they were taken by; numbered, immutable, resent as it is."""

    epoch: EpochRef
    seq: BlockSeq
    priority: int
    """0 at once, 1 within a minute, 2 when a contact takes it."""
    boot: BootRef
    mono_ms: MonoMs
    """At the same moment as `wall_ms`: the pair lets a whole boot be re-timed later."""
    wall_ms: WallMs
    """At the block's start; the rows' times are near it."""
    clock_state: ClockState
    err_ms: int
    """Bound of the wall clock's error; 0 when unknown."""
    schema: SchemaRef
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """Return the number of readings: sampled cells of all groups."""
        return sum(group.count for group in self.groups)


def epoch_ref(epoch: StoreEpoch) -> EpochRef:
    """Return how blocks refer to a store epoch."""
    return EpochRef(epoch[:EPOCH_REF_BYTES])


def boot_ref(boot_id: bytes) -> BootRef:
    """Return how blocks refer to a boot."""
    return BootRef(boot_id[:BOOT_REF_BYTES])


def schema_ref(schema_hash: SchemaHash) -> SchemaRef:
    """Return how blocks refer to a schema."""
    return SchemaRef(schema_hash[:SCHEMA_REF_BYTES])
