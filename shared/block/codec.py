"""Reading block <-> bytes: header, columns, checksum.

Owns the layout of a block and every refusal of a malformed one. Leaves out the transforms of a
column (`shared.block.columns`) and what a column means (`shared.block.schema`).
"""

import struct
import zlib
from dataclasses import dataclass
from itertools import chain, repeat

from shared import limits
from shared.block.columns import (
    bits_float,
    cheapest_order,
    float_bits,
    scale,
    undelta,
    unscale,
)
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, Quality, SchemaRef, Value

VERSION = 1
STAGE_NONE, STAGE_ZLIB = 0, 1
_FIXED = struct.Struct("<BBI2s4s4sBB")
_INT, _DECIMAL, _FLOAT, _MIXED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHeader:
    """What is known about a block without building its columns."""

    version: int
    stage: int
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


def encode(block: Block, *, stage: int = STAGE_ZLIB) -> bytes:
    """Return the bytes of a block; the same block gives the same bytes for ever."""
    times = [time for group in block.groups for time in group.times_ms] or [block.wall_ms]
    head = bytearray()
    for number in (block.seq, block.mono_ms, block.err_ms, block.count):
        _put(head, number)
    for number in (block.wall_ms, min(times) - block.wall_ms, max(times) - min(times)):
        _put(head, _zigzag(number))
    body = bytearray()
    _put(body, len(block.groups))
    for group in block.groups:
        _put_group(body, group)
    packed = zlib.compress(body, 9) if stage == STAGE_ZLIB else bytes(body)
    fixed = _FIXED.pack(
        VERSION, stage, 0, block.epoch, block.boot, block.schema,
        block.priority, block.clock_state,
    )  # fmt: skip
    rest = fixed[6:] + head + packed
    data = fixed[:2] + zlib.crc32(rest, zlib.crc32(fixed[:2])).to_bytes(4, "little") + rest
    assert len(data) <= limits.BLOCK_BYTES, "the batcher seals a block before it grows this large"
    return data


def read_header(data: bytes) -> BlockHeader:
    """Return a block's header; the checksum over all bytes is verified, columns are not built.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    return _header(data)[0]


def check(data: bytes) -> BlockHeader:
    """Return the header of a block whose whole structure is sound.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    header, _ = _decode(data)
    return header


def decode(data: bytes) -> Block:
    """Return the block that `data` stands for.

    Raises:
        RefusedError: BLOCK_CHECKSUM or BLOCK_MALFORMED; nothing else.
    """
    header, groups = _decode(data)
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


def _malformed(detail: str) -> RefusedError:
    return RefusedError(Reason.BLOCK_MALFORMED, detail)


def _header(data: bytes) -> tuple[BlockHeader, "_Source"]:
    if not _FIXED.size <= len(data) <= limits.BLOCK_BYTES:
        raise _malformed(f"{len(data)} bytes")
    version, stage, crc, epoch, boot, schema, priority, state = _FIXED.unpack_from(data)
    if version != VERSION:
        raise _malformed(f"version {version}")
    if zlib.crc32(data[6:], zlib.crc32(data[:2])) != crc:
        raise RefusedError(Reason.BLOCK_CHECKSUM)
    if stage not in {STAGE_NONE, STAGE_ZLIB} or priority > 2 or state > max(ClockState):
        raise _malformed("stage, priority or clock state")
    source = _Source(data, _FIXED.size)
    seq, mono_ms, err_ms, count = (source.number() for _ in range(4))
    wall_ms, first, span = (source.signed() for _ in range(3))
    if count > limits.BLOCK_CELLS or span < 0:
        raise _malformed("count or span")
    header = BlockHeader(
        version=version,
        stage=stage,
        epoch=EpochRef(epoch),
        seq=BlockSeq(seq),
        priority=priority,
        boot=BootRef(boot),
        mono_ms=MonoMs(mono_ms),
        wall_ms=WallMs(wall_ms),
        clock_state=ClockState(state),
        err_ms=err_ms,
        schema=SchemaRef(schema),
        first_ms=WallMs(wall_ms + first),
        last_ms=WallMs(wall_ms + first + span),
        count=count,
    )
    return header, source


def _decode(data: bytes) -> tuple[BlockHeader, tuple[Group, ...]]:
    header, source = _header(data)
    body = data[source.at :]
    if header.stage == STAGE_ZLIB:
        inflater = zlib.decompressobj()
        try:
            body = inflater.decompress(body, limits.BLOCK_INFLATED_BYTES)
        except zlib.error as error:
            raise _malformed(str(error)) from None
        if not inflater.eof or inflater.unused_data:
            raise _malformed("the entropy stage does not end with the block")
    source = _Source(body)
    count = source.number()
    if count > limits.BLOCK_GROUPS:
        raise _malformed(f"{count} groups")
    cells = 0
    groups = []
    for _ in range(count):
        group = _get_group(source, limits.BLOCK_CELLS - cells)
        cells += (len(group.columns) + 1) * len(group.times_ms)
        groups.append(group)
    times = [time for group in groups for time in group.times_ms] or [header.wall_ms]
    if source.at != len(body):
        raise _malformed("bytes after the last group")
    if (min(times), max(times)) != (header.first_ms, header.last_ms):
        raise _malformed("the header's time range is not the rows'")
    if sum(group.count for group in groups) != header.count:
        raise _malformed("the header's count is not the columns'")
    return header, tuple(groups)


def _put_group(out: bytearray, group: Group) -> None:
    rows = len(group.times_ms)
    assert all(len(column) == rows for column in group.columns), "columns are as long as times"
    assert all(len(quality) == rows for quality in group.qualities), "qualities too"
    _put(out, rows)
    _put(out, len(group.channels))
    for channel in group.channels:
        _put(out, channel)
    _put_ints(out, group.times_ms)
    for column, quality in zip(group.columns, group.qualities, strict=True):
        _put_runs(out, [value is not None for value in column])
        _put_runs(out, quality)
        _put_column(out, [value for value in column if value is not None])


def _get_group(source: "_Source", cells: int) -> Group:
    rows, width = source.number(), source.number()
    if width > limits.CHANNELS or rows * (width + 1) > cells:
        raise _malformed("more cells than a block may have")
    channels = tuple(source.number() for _ in range(width))
    if any(channel >= limits.CHANNELS for channel in channels):
        raise _malformed("a channel index out of range")
    times = _get_ints(source, rows)
    columns: list[list[Value]] = []
    qualities = []
    for _ in range(width):
        present = source.runs(rows, 1)
        quality = bytes(source.runs(rows, max(Quality)))
        values = iter(_get_column(source, sum(present)))
        columns.append([next(values) if here else None for here in present])
        qualities.append(quality)
    return Group(channels, times, columns, qualities)


def _put_column(out: bytearray, values: list[int | float]) -> None:
    floats = [value for value in values if isinstance(value, float)]
    integers = [value for value in values if isinstance(value, int)]
    if floats and integers:
        out.append(_MIXED)
        _put_runs(out, [isinstance(value, float) for value in values])
        _put_column(out, list(integers))
        _put_column(out, list(floats))
    elif integers or not values:
        out.append(_INT)
        _put_ints(out, integers)
    elif scaled := scale(floats):
        out.append(_DECIMAL)
        out.append(scaled[0])
        _put_ints(out, scaled[1])
    else:
        out.append(_FLOAT)
        for bits in float_bits(floats):
            _put(out, bits)


def _get_column(source: "_Source", rows: int, *, nested: bool = False) -> list[Value]:
    form = source.byte()
    if form == _INT:
        return list(_get_ints(source, rows))
    if form == _DECIMAL:
        decimals = source.byte()
        integers = _get_ints(source, rows)
        if decimals > 22 or any(abs(integer) > 1 << 53 for integer in integers):
            raise _malformed("a decimal that a float cannot hold")
        return unscale(decimals, integers)
    if form == _FLOAT:
        return bits_float([source.number() for _ in range(rows)])
    if form != _MIXED or nested:
        raise _malformed(f"column form {form}")
    is_float = source.runs(rows, 1)
    integers_ = iter(_get_column(source, rows - sum(is_float), nested=True))
    floats = iter(_get_column(source, sum(is_float), nested=True))
    return [next(floats) if here else next(integers_) for here in is_float]


def _put_ints(out: bytearray, integers: list[int]) -> None:
    order, residuals = cheapest_order(integers)
    out.append(order)
    for residual in residuals:
        _put(out, _zigzag(residual))


def _get_ints(source: "_Source", rows: int) -> list[int]:
    order = source.byte()
    if order > 2:
        raise _malformed(f"delta order {order}")
    integers = [source.signed() for _ in range(rows)]
    for _ in range(order):
        integers = undelta(integers)
    if any(abs(integer) > 1 << 64 for integer in integers):
        raise _malformed("an integer beyond 64 bits")
    return integers


def _put_runs(out: bytearray, symbols: "bytes | list[bool]") -> None:
    at = 0
    while at < len(symbols):
        end = at
        while end < len(symbols) and symbols[end] == symbols[at]:
            end += 1
        out.append(symbols[at])
        _put(out, end - at)
        at = end


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else ~(number << 1)


def _put(out: bytearray, number: int) -> None:
    assert number >= 0, "a varint is not negative"
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


class _Source:
    """Bytes being read; every read that leaves them is a refusal."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise _malformed("cut short")
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                if number > 1 << 66:
                    break
                return number
        raise _malformed("a number beyond 64 bits")

    def signed(self) -> int:
        number = self.number()
        return number >> 1 if not number & 1 else ~(number >> 1)

    def runs(self, rows: int, most: int) -> list[int]:
        runs = []
        while rows:
            symbol, length = self.byte(), self.number()
            if symbol > most or not 0 < length <= rows:
                raise _malformed("a run of an unknown symbol or beyond the column")
            runs.append(repeat(symbol, length))
            rows -= length
        return list(chain.from_iterable(runs))
