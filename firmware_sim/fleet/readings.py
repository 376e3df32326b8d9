"""Believable blocks, cheap: some templates by the real codec, each sent under a number of its own.

What a block says of its columns does not depend on its number or its clock, so a template's
columns are encoded once and only the few bytes before them are made anew (docs/block-format.md).
A test holds every stamped block against what the codec makes of the same readings.
"""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from shared.block.codec import encode
from shared.block.plain import PlainReader, PlainWriter
from shared.block.schema import Schema
from shared.block.stage import get_signed, put_signed
from shared.clock import ClockState, MonoMs, WallMs
from shared.ids import BlockSeq, DeviceId
from shared.model.reading import Block, BootRef, Channel, EpochRef, Group, SchemaRef, schema_ref

_CRC_AT, _CRC_END = 1, 5
_REFS_AT, _HEAD_AT = 6, 16
"""Of the fixed part: where the three references begin, and where the numbers do."""
_POINTS = ("flow", "pressure", "level", "power", "current", "temperature", "speed", "voltage")
_UNITS = ("m3/h", "bar", "m", "kW", "A", "Cel", "rpm", "V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the blocks of a fleet are like."""

    channels: int = 4
    rows: int = 15
    step_ms: int = 60_000
    """Between two rows."""

    @property
    def readings(self) -> int:
        """Return how many readings one block holds."""
        return self.channels * self.rows

    @property
    def span_ms(self) -> int:
        """Return the time from a block's first row to the next block's first row."""
        return self.rows * self.step_ms

    @property
    def schema(self) -> Schema:
        """Return the channel list: pumps with up to eight points each."""
        return Schema(tuple(_channel(number) for number in range(self.channels)))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What one block says of itself before its columns."""

    epoch: EpochRef
    boot: BootRef
    seq: int
    mono_ms: int
    wall_ms: int
    """Of the first row."""


class BlockPool:
    """Templates of one shape; `take` puts a number and a clock on one of them."""

    def __init__(self, shape: Shape, *, seed: int, templates: int = 64) -> None:
        """Encode the templates: half a millisecond each for sixty readings."""
        self.shape = shape
        self.schema = shape.schema
        self._ref = schema_ref(self.schema.hash)
        dice = random.Random(seed)
        values = (_columns(shape, dice) for _ in range(templates))
        self._templates = [_Template.of(self._block(columns, _ANY)) for columns in values]

    def take(self, number: int, stamp: Stamp) -> bytes:
        """Return the bytes of template `number` (any integer) under a stamp."""
        template = self._templates[number % len(self._templates)]
        head = PlainWriter(compress=False)
        head.number(0, stamp.seq)
        head.number(0, stamp.mono_ms)
        put_signed(head, 0, stamp.wall_ms)
        refs = stamp.epoch + stamp.boot + self._ref
        covered = template.flags + refs + head.finish() + template.rest
        crc = zlib.crc32(covered, zlib.crc32(template.kind))
        return template.kind + crc.to_bytes(_CRC_END - _CRC_AT, "little") + covered

    def _block(self, columns: list[list[float]], stamp: Stamp) -> bytes:
        return encode(block_of(self.shape, self._ref, columns, stamp))


def block_of(
    shape: Shape, schema: SchemaRef, columns: Sequence[Sequence[float]], stamp: Stamp
) -> Block:
    """Return a block of these columns, the rows one step apart from the stamp's time on."""
    times = [stamp.wall_ms + row * shape.step_ms for row in range(shape.rows)]
    group = Group(
        tuple(range(shape.channels)),
        times,
        [list(column) for column in columns],
        [bytes(shape.rows)] * shape.channels,
    )
    return Block(
        epoch=stamp.epoch,
        seq=BlockSeq(stamp.seq),
        priority=2,
        boot=stamp.boot,
        mono_ms=MonoMs(stamp.mono_ms),
        wall_ms=WallMs(stamp.wall_ms),
        clock_state=ClockState.SYNCED,
        err_ms=5,
        schema=schema,
        groups=(group,),
    )


@dataclass(frozen=True, slots=True)
class _Template:
    """A block in pieces: `rest` is all behind the wall clock's number."""

    kind: bytes
    flags: bytes
    rest: bytes

    @classmethod
    def of(cls, data: bytes) -> "_Template":
        numbers = PlainReader(data[_HEAD_AT:], compressed=False)
        for _ in ("seq", "mono_ms"):
            numbers.number(0)
        get_signed(numbers, 0)
        return cls(data[:_CRC_AT], data[_CRC_END:_REFS_AT], numbers.rest())


_ANY = Stamp(EpochRef(bytes(2)), BootRef(bytes(4)), 1, 0, 1_700_000_000_000)


def _channel(number: int) -> Channel:
    device, point = divmod(number, len(_POINTS))
    return Channel(DeviceId(f"pump-{device + 1}"), _POINTS[point], _UNITS[point])


def _columns(shape: Shape, dice: random.Random) -> list[list[float]]:
    """Return columns that wander slowly around a level of their own, as a plant's do."""
    return [_walk(shape.rows, 10.0 * (channel + 1), dice) for channel in range(shape.channels)]


def _walk(rows: int, level: float, dice: random.Random) -> list[float]:
    values, value = [], level + dice.gauss(0, level / 10)
    for _ in range(rows):
        value += dice.gauss(0, level / 50) - (value - level) / 20
        values.append(round(value, 1))
    return values
