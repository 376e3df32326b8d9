"""Bytes and speed of reading blocks, beside what gateways send today.

Takes any CSV whose first column is `unix_ms`; rows become blocks in the order of the file. All that
a block carries is counted: header, checksum, times, qualities. Speeds are processor time of one
core, the best of a few passes.
"""

import argparse
import csv
import gzip
import json
import math
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgpack

from shared import limits
from shared.block.codec import Stage, decode, encode
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import MistakeError
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, SchemaRef, Value

PASSES = 3
UPTIME_MS = 864_000_000
"""Ten days: header fields are as long as those of a gateway that has been running for a while."""


class Table(NamedTuple):
    """A CSV: names, times and one list per column."""

    names: list[str]
    times: list[int]
    columns: list[list[Value]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--csv", type=Path, help="first column unix_ms; default: generated rows")
    parser.add_argument("--rows", type=int, default=60, help="rows per block (default 60)")
    stages = [stage.name.lower() for stage in Stage]
    parser.add_argument("--stage", choices=stages, default="adaptive")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Measure one file at one block size."""
    if options.rows < 1:
        raise MistakeError("a block has at least one row", where="--rows")
    table = read_csv(options.csv) if options.csv else generated()
    stage = Stage[options.stage.upper()]
    blocks = list(in_blocks(table, options.rows, stage))
    readings = sum(block.count for block in blocks)
    if not readings:
        raise MistakeError("there is no reading in it", where=str(options.csv))
    data = [encode(block, stage=stage) for block in blocks]
    encode_s = _best(lambda: [encode(block, stage=stage) for block in blocks])
    decode_s = _best(lambda: [decode(packed) for packed in data])
    size = sum(map(len, data))
    exact = all(
        _bits(decode(packed)) == _bits(block) for packed, block in zip(data, blocks, strict=True)
    )
    return {
        "file": options.csv.name if options.csv else "generated",
        "rows_per_block": options.rows,
        "stage": options.stage,
        "blocks": len(blocks),
        "readings": readings,
        "bytes_per_reading": round(size / readings, 4),
        "lossless": exact,
        "encode_readings_per_s": round(readings / encode_s),
        "decode_readings_per_s": round(readings / decode_s),
        "others_bytes_per_reading": {
            name: round(
                sum(len(form(table.names, block.groups[0])) for block in blocks) / readings, 4
            )
            for name, form in OTHERS.items()
        },
    }


def in_blocks(table: Table, rows: int, stage: Stage) -> Iterator[Block]:
    """Yield the table in blocks of `rows`; a piece no block can hold is cut in two."""
    pieces = [slice(at, at + rows) for at in range(0, len(table.times), rows)]
    pieces.reverse()
    seq = 10_000
    while pieces:
        piece = pieces.pop()
        block = _block(table, piece, seq)
        width, height = len(table.columns), len(block.groups[0].times_ms)
        small = height * (width + 1) <= limits.BLOCK_CELLS
        if height == 1 or (small and len(encode(block, stage=stage)) <= limits.BLOCK_BYTES):
            yield block
            seq += 1
        else:
            middle = piece.start + height // 2
            pieces += [slice(middle, piece.stop), slice(piece.start, middle)]


def _block(table: Table, piece: slice, seq: int) -> Block:
    times = table.times[piece]
    group = Group(
        channels=tuple(range(len(table.columns))),
        times_ms=times,
        columns=[column[piece] for column in table.columns],
        qualities=[bytes(len(times))] * len(table.columns),
    )
    return Block(
        epoch=EpochRef(b"\x9e\x37"),
        seq=BlockSeq(seq),
        priority=2,
        boot=BootRef(b"\xc2\xb2\xae\x35"),
        mono_ms=MonoMs(UPTIME_MS + piece.start * 1000),
        wall_ms=WallMs(min(times)),
        clock_state=ClockState.SYNCED,
        err_ms=40,
        schema=SchemaRef(b"\x27\xd4\xeb\x2f"),
        groups=(group,),
    )


def read_csv(path: Path) -> Table:
    """Return a CSV's columns: integers where all cells are, floats elsewhere, None where empty.

    Raises:
        MistakeError: it cannot be read, or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names, *rows = [*csv.reader(file)] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise MistakeError(str(error), where=str(path)) from None
    rows = [row + [""] * (len(names) - len(row)) for row in rows if any(row)]
    if len(names) - 1 > limits.CHANNELS:
        raise MistakeError(f"{len(names) - 1} columns; at most {limits.CHANNELS}", where=str(path))
    try:
        times = [round(_number(row[0])) for row in rows]
        columns = [_column([row[at].strip() for row in rows]) for at in range(1, len(names))]
    except (ValueError, OverflowError) as error:
        raise MistakeError(str(error), where=str(path), mend="cells are numbers or empty") from None
    return Table(names[1:], times, columns)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _column(cells: list[str]) -> list[Value]:
    numbers = [_number(cell) if cell else None for cell in cells]
    whole = all(isinstance(number, int) for number in numbers if number is not None)
    return [
        number
        if number is None or (isinstance(number, int) and (whole or int(float(number)) != number))
        else float(number)
        for number in numbers
    ]


def generated() -> Table:
    """Return a day of a small pump station each 10 s, for runs without a file."""
    noise = random.Random(11)
    level, energy, times = 2.4, 181_000, []
    columns: list[list[Value]] = [[] for _ in range(6)]
    for row in range(8_640):
        running = math.sin(row / 300) > 0
        level += 0.004 - 0.008 * running + noise.gauss(0, 0.001)
        energy += noise.choice((3, 4)) * running
        times.append(1_760_000_000_000 + row * 10_000 + noise.choice((0, 0, 0, 1, 2)))
        temperature = struct.unpack(
            "<f", struct.pack("<f", round(21 + 3 * math.sin(row / 1400), 1))
        )
        values = (round(level, 3), energy, int(running), temperature[0],
                  round(noise.gauss(231.5, 0.8), 1), noise.gauss(3.1, 0.2) * running)  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    names = ["level_m", "energy_wh", "running", "temp_c", "voltage_v", "current_a"]
    return Table(names, times, columns)


def _json(names: list[str], group: Group) -> bytes:
    rows = zip(*group.columns, strict=True)
    return json.dumps(
        [
            {"ts": at, "values": {n: v for n, v in zip(names, row, strict=True) if v is not None}}
            for at, row in zip(group.times_ms, rows, strict=True)
        ],
        separators=(",", ":"),
    ).encode()


def _lines(names: list[str], group: Group) -> bytes:
    rows = zip(*group.columns, strict=True)
    return "\n".join(
        f"m {','.join(f'{n}={v}' for n, v in zip(names, row, strict=True) if v is not None)} {at}"
        for at, row in zip(group.times_ms, rows, strict=True)
    ).encode()


def _rows(group: Group) -> bytes:
    packed: bytes = msgpack.packb(list(zip(group.times_ms, *group.columns, strict=True)))
    return packed


OTHERS: dict[str, Callable[[list[str], Group], bytes]] = {
    "json": _json,
    "json_zlib": lambda names, group: zlib.compress(_json(names, group), 9),
    "line_protocol_gzip": lambda names, group: gzip.compress(_lines(names, group), 9),
    "msgpack_rows_zlib": lambda _, group: zlib.compress(_rows(group), 9),
}


def _best(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return max(min(once() for _ in range(PASSES)), 1e-9)


def _bits(block: Block) -> list[object]:
    """Return what has to survive, floats as their bits: NaN and -0.0 count."""
    (group,) = block.groups
    cells = [
        [struct.pack("<d", v) if isinstance(v, float) else v for v in c] for c in group.columns
    ]
    return [group.times_ms, cells, group.qualities]
