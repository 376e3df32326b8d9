"""Parts for tests of blocks: a block from columns, bit-exact comparison, a forged checksum."""

import struct
import zlib
from typing import Any

from shared.clock import ClockState, MonoMs, WallMs
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, SchemaRef

WALL = 1_795_000_000_000


def group_of(columns, *, times=None, qualities=None, channels=None):
    """A group of equally long columns; by default good readings, ten seconds apart."""
    rows = len(columns[0]) if columns else len(times or [])
    return Group(
        channels=tuple(range(len(columns))) if channels is None else channels,
        times_ms=[WALL + 10_000 * row for row in range(rows)] if times is None else times,
        columns=columns,
        qualities=[bytes(rows)] * len(columns) if qualities is None else qualities,
    )


def block_of(*groups, **changes):
    """A block with a header like a gateway's."""
    fields: dict[str, Any] = {
        "epoch": EpochRef(b"\x9e\x37"),
        "seq": BlockSeq(1_234),
        "priority": 2,
        "boot": BootRef(b"\xc2\xb2\xae\x35"),
        "mono_ms": MonoMs(864_000_123),
        "wall_ms": WallMs(WALL),
        "clock_state": ClockState.SYNCED,
        "err_ms": 40,
        "schema": SchemaRef(b"\x27\xd4\xeb\x2f"),
    }
    return Block(**fields | changes, groups=groups)


def exact(block):
    """A block with every float as its bits: NaN equals itself, -0.0 is not 0.0, 1 is not 1.0."""
    return (
        [getattr(block, name) for name in block.__slots__ if name != "groups"],
        [
            (g.channels, g.times_ms, [[bits(v) for v in c] for c in g.columns], g.qualities)
            for g in block.groups
        ],
    )


def bits(value):
    """A float as its eight bytes; anything else as it is."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def seal(data):
    """The same bytes with the checksum they should have: what a hostile peer can send."""
    crc = zlib.crc32(data[5:], zlib.crc32(data[:1]))
    return bytes(data[:1]) + crc.to_bytes(4, "little") + bytes(data[5:])
