"""Reading block <-> bytes: header, groups, checksum.

Owns the layout of a block and the refusal of a malformed one. Leaves out columns
(`shared.block.columns`), the entropy stages (`shared.block.plain`, `.adaptive`) and what a column
means (`shared.block.schema`). docs/block-format.md describes the bytes for somebody who writes a
decoder of their own.
"""

import struct
import zlib
from collections.abc import Callable
from enum import IntEnum, unique

import msgspec

from shared import limits
from shared.block.adaptive import AdaptiveReader, AdaptiveWriter
from shared.block.columns import Columns
from shared.block.plain import PlainReader, PlainWriter
from shared.block.series import get_series, put_series
from shared.block.stage import Reader, Role, Use, Writer, get_signed, malformed, put_signed
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, SchemaRef

VERSION = 1


@unique
class Stage(IntEnum):
    """How the groups become bytes; a reader knows every stage of its version."""

    NONE = 0
    ZLIB = 1
    ADAPTIVE = 2


_WRITERS: dict[Stage, Callable[[], Writer]] = {
    Stage.NONE: lambda: PlainWriter(compress=False),
    Stage.ZLIB: lambda: PlainWriter(compress=True),
    Stage.ADAPTIVE: AdaptiveWriter,
}
_READERS: dict[Stage, Callable[[bytes], Reader]] = {
    Stage.NONE: lambda data: PlainReader(data, compressed=False),
    Stage.ZLIB: lambda data: PlainReader(data, compressed=True),
    Stage.ADAPTIVE: AdaptiveReader,
}

_FIXED = struct.Struct("<BIB2s4s4s")
"""Version and stage, crc32 of all other bytes, flags, epoch, boot, schema."""
_CRC_AT, _CRC_END = 1, 5
_STARTS_AT_WALL = 0x10
"""Flag: the first row is at `wall_ms`, its offset is left out."""
_WHOLE_SECONDS = 0x20
"""Flag: the time from first to last row is in seconds."""


# A struct of msgspec: one is made for each block that comes, and again where it is decoded.
class BlockHeader(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a block says about itself before its columns."""

    version: int
    stage: Stage
    epoch: EpochRef
    seq: BlockSeq
    priority: int
    boot: BootRef
    mono_ms: MonoMs
    wall_ms: WallMs
    clock_state: ClockState
    err_ms: int
    schema: SchemaRef
    first_ms: WallMs
    """Earliest row; equals `wall_ms` in a block without rows."""
    last_ms: WallMs
    """Latest row."""
    count: int
    """Readings: sampled cells."""


def encode(block: Block, *, stage: Stage = Stage.ADAPTIVE) -> bytes:
    """Return a block's bytes.

    Up to limits.BLOCK_POINTS readings, whatever they are, stay below limits.BLOCK_BYTES; a block
    that is larger than that is refused by every reader.
    """
    times = [time for group in block.groups for time in group.times_ms] or [block.wall_ms]
    first, span, count = min(times), max(times) - min(times), block.count
    assert _in_range(block.seq, block.mono_ms, block.err_ms, block.wall_ms, first, max(times))
    writer = _WRITERS[stage]()
    _put_groups(writer, block.groups, first, span, count)
    flags = block.priority | block.clock_state << 2
    head = PlainWriter(compress=False)
    head.number(0, block.seq)
    head.number(0, block.mono_ms)
    put_signed(head, 0, block.wall_ms)
    head.number(0, block.err_ms)
    head.number(0, count)
    if span % 1000 == 0:
        flags |= _WHOLE_SECONDS
        span //= 1000
    head.number(0, span)
    if first == block.wall_ms:
        flags |= _STARTS_AT_WALL
    else:
        put_signed(head, 0, first - block.wall_ms)
    fixed = _FIXED.pack(VERSION << 4 | stage, 0, flags, block.epoch, block.boot, block.schema)
    covered = fixed[_CRC_END:] + head.finish() + writer.finish()
    crc = zlib.crc32(covered, zlib.crc32(fixed[:_CRC_AT]))
    return fixed[:_CRC_AT] + crc.to_bytes(_CRC_END - _CRC_AT, "little") + covered


def read_header(data: bytes) -> BlockHeader:
    """Return a block's header; the checksum of all bytes is verified, columns are not looked at.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    return _read_header(data)[0]


def check(data: bytes) -> BlockHeader:
    """Return the header of a block whose whole structure is sound.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    return decode_groups(data)[0]


def decode(data: bytes) -> Block:
    """Return the block that `data` stands for; memory is bounded by limits.BLOCK_CELLS.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    header, groups = decode_groups(data)
    return Block(
        epoch=header.epoch,
        seq=header.seq,
        priority=header.priority,
        boot=header.boot,
        mono_ms=header.mono_ms,
        wall_ms=header.wall_ms,
        clock_state=header.clock_state,
        err_ms=header.err_ms,
        schema=header.schema,
        groups=groups,
    )


def decode_groups(data: bytes) -> tuple[BlockHeader, tuple[Group, ...]]:
    """Return the header and the rows of a block, as `decode` does.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    header, body = _read_header(data)
    reader = _READERS[header.stage](body)
    groups = _get_groups(reader, header)
    reader.finish()
    times = [time for group in groups for time in group.times_ms] or [header.wall_ms]
    if (min(times), max(times)) != (header.first_ms, header.last_ms):
        raise malformed("the header's time range is not that of the rows")
    return header, groups


def _read_header(data: bytes) -> tuple[BlockHeader, bytes]:
    """Return the header and the bytes of the stage."""
    if not _FIXED.size <= len(data) <= limits.BLOCK_BYTES:
        raise malformed(f"{len(data)} bytes")
    kind, crc, flags, epoch, boot, schema = _FIXED.unpack_from(data)
    if kind >> 4 != VERSION:
        raise malformed(f"version {kind >> 4}")
    if zlib.crc32(data[_CRC_END:], zlib.crc32(data[:_CRC_AT])) != crc:
        raise RefusedError(Reason.BLOCK_CHECKSUM)
    stage, priority = kind & 15, flags & 3
    if stage not in _READERS or priority > 2 or flags >> 6:
        raise malformed("stage, priority or flags")
    numbers = PlainReader(data[_FIXED.size :], compressed=False)
    seq, mono_ms = numbers.number(0), numbers.number(0)
    wall_ms = get_signed(numbers, 0)
    err_ms, count, span = numbers.number(0), numbers.number(0), numbers.number(0)
    if count > limits.BLOCK_CELLS:
        raise malformed(f"{count} readings")
    first = wall_ms + (0 if flags & _STARTS_AT_WALL else get_signed(numbers, 0))
    last = first + span * (1000 if flags & _WHOLE_SECONDS else 1)
    if not _in_range(seq, mono_ms, err_ms, wall_ms, first, last):
        raise malformed("a number or time out of range")
    header = BlockHeader(
        version=kind >> 4,
        stage=Stage(stage),
        epoch=EpochRef(epoch),
        seq=BlockSeq(seq),
        priority=priority,
        boot=BootRef(boot),
        mono_ms=MonoMs(mono_ms),
        wall_ms=WallMs(wall_ms),
        clock_state=ClockState(flags >> 2 & 3),
        err_ms=err_ms,
        schema=SchemaRef(schema),
        first_ms=WallMs(first),
        last_ms=WallMs(last),
        count=count,
    )
    return header, numbers.rest()


def _in_range(*numbers: int) -> bool:
    """Tell whether JSON, SQLite and a double can hold all of them."""
    return max(map(abs, numbers)) <= limits.INT_MAX


def _put_groups(
    writer: Writer, groups: tuple[Group, ...], first: int, span: int, count: int
) -> None:
    columns, channel = Columns(), 0
    writer.flag(Role.ONE_GROUP, value=len(groups) == 1)
    if len(groups) != 1:
        writer.number(Role.GROUPS, len(groups))
    for group in groups:
        rows, width = len(group.times_ms), len(group.channels)
        assert width == len(group.columns) == len(group.qualities), "a column for each channel"
        writer.number(Role.WIDTH, width)
        in_order = group.channels == tuple(range(channel, channel + width))
        writer.flag(Role.IN_ORDER, value=in_order)
        if not in_order:
            put_series(writer, list(group.channels), Use.MARK)
        channel = max(group.channels, default=channel - 1) + 1
        # The usual block is one group without a hole: its rows follow from the header's count.
        writer.flag(Role.REST, value=rows * width == count > 0)
        if not rows * width == count > 0:
            writer.number(Role.ROWS, rows)
        steady = group.times_ms == _steady(first, span, rows)
        writer.flag(Role.STEADY, value=steady)
        if not steady:
            put_series(writer, [time - first for time in group.times_ms], Use.TIME)
        columns.start_group()
        for column, quality in zip(group.columns, group.qualities, strict=True):
            assert rows == len(column) == len(quality), "a cell for each time"
            columns.put(writer, column, quality)
        count -= group.count


def _get_groups(reader: Reader, header: BlockHeader) -> tuple[Group, ...]:
    columns = Columns()
    groups: list[Group] = []
    first, span = header.first_ms, header.last_ms - header.first_ms
    cells, channel, count = 0, 0, header.count
    alone = reader.flag(Role.ONE_GROUP)
    extent = 1 if alone else reader.number(Role.GROUPS)
    if extent > limits.BLOCK_GROUPS:
        raise malformed(f"{extent} groups")
    for _ in range(extent):
        width = reader.number(Role.WIDTH)
        if width > limits.CHANNELS:
            raise malformed(f"{width} channels")
        if reader.flag(Role.IN_ORDER):
            channels = list(range(channel, channel + width))
        else:
            channels = get_series(reader, width, Use.MARK)
        if channels and not 0 <= min(channels) <= max(channels) < limits.CHANNELS:
            raise malformed("a channel index out of range")
        channel = max(channels, default=channel - 1) + 1
        rest = reader.flag(Role.REST)
        rows = count // max(width, 1) if rest else reader.number(Role.ROWS)
        cells += rows * (width + 1)
        if cells > limits.BLOCK_CELLS:
            raise malformed("more cells than a block may have")
        if reader.flag(Role.STEADY):
            times = _steady(first, span, rows)
        else:
            times = [first + offset for offset in get_series(reader, rows, Use.TIME)]
        columns.start_group()
        both = [columns.get(reader, rows) for _ in range(width)]
        group = Group(tuple(channels), times, [c for c, _ in both], [q for _, q in both])
        groups.append(group)
        count -= group.count
        if count < 0:  # the next group's rows might be what is left of it
            raise malformed("the header's count is less than that of the columns")
    return tuple(groups)


def _steady(first: int, span: int, rows: int) -> list[int]:
    """Return equally spaced times from the first to the last row of the block."""
    step = span // (rows - 1) if rows > 1 else 0
    return [first + step * row for row in range(rows)]
