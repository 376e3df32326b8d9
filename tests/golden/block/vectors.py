"""Blocks whose bytes are frozen: a decoder written elsewhere has to read them as this says.

`v1.json` holds the bytes of each block in each stage. ``python -m tests.golden.block.vectors`` adds
blocks that have none yet and never touches the others: once released, they are the format. Values
come from integers alone, so that every machine builds the same blocks.
"""

import json
import math
import struct
from pathlib import Path

from shared.block.codec import VERSION, Stage, encode
from shared.clock import ClockState
from shared.model.reading import Group, Quality
from tests.block_parts import WALL, block_of, group_of

FILE = Path(__file__).with_name(f"v{VERSION}.json")
ROWS = 40


def _noise(seed, spread):
    """Integers that look random: a linear congruential generator, Numerical Recipes' constants."""
    state, numbers = seed, []
    for _ in range(ROWS):
        state = (state * 1_664_525 + 1_013_904_223) % (1 << 32)
        numbers.append((state >> 8) % (2 * spread + 1) - spread)
    return numbers


def _walk(seed, spread):
    walk = [0]
    for step in _noise(seed, spread)[1:]:
        walk.append(walk[-1] + step)
    return walk


def _single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def _floats(*patterns):
    return [struct.unpack(">d", bytes.fromhex(pattern))[0] for pattern in patterns]


def _three_phases():
    common = _walk(4, 60)
    return [[2300 + c + n for c, n in zip(common, _noise(s, 3), strict=True)] for s in (5, 6, 7)]


FORMS = [
    _walk(1, 4),
    [n / 10 for n in _walk(2, 3)],
    [n * 0.1 for n in _walk(3, 9)],
    [_single(n / 100) for n in _walk(8, 50)],
    [_single(n * n / 7) for n in _walk(9, 90)],
    [n * n / 7 for n in _walk(10, 90)],
    [math.nextafter(n / 1000, n % 2) for n in _walk(11, 50)],
    [math.nextafter(_single(n / 1000), n % 2) for n in _walk(12, 50)],
    [float(f"{9.9 + n / 1_000_000:.6g}") for n in _noise(13, 900_000)],
    [n if n % 3 else n / 2 for n in _walk(14, 5)],
]
SHAPES = [
    [5] * ROWS,
    list(range(0, 70 * ROWS, 70)),
    _walk(15, 1),
    [3600 * row + n for row, n in enumerate(_walk(16, 2))],
    [row * row * row - 40 * row for row in range(ROWS)],
    _noise(17, 1),
    _noise(18, 3_000),
    [(10, 4_711, 99_000)[n % 3] for n in _noise(19, 1_000)],
    [300_000 * n for n in _walk(20, 2)],
]
ODD = _floats(
    "7ff0000000000000",  # infinity
    "fff0000000000000",
    "7ff8000000000000",  # the usual NaN
    "7ff4000000000001",  # a signalling one with a payload
    "fff8000000000abc",
    "8000000000000000",  # -0.0
    "0000000000000001",  # the smallest number
    "7fefffffffffffff",  # the largest
    "3fb999999999999a",  # 0.1
    "3fd3333333333334",  # 0.1 + 0.2
)
SILENT = bytes([Quality.GOOD] * 10 + [Quality.BAD_COMM] * 30)

BLOCKS = {
    "empty": block_of(),
    "an alarm": block_of(
        group_of([[1]], channels=(17,), times=[WALL - 250]), priority=0, seq=2**40, err_ms=0
    ),
    "forms of values": block_of(group_of(FORMS)),
    "shapes of series": block_of(group_of(SHAPES), priority=1),
    "odd floats": block_of(group_of([ODD, [*ODD[:2], *([0.5] * 8)]])),
    "integers of 64 bits": block_of(
        group_of([[2**63, -(2**63), 2**64 - 1, -(2**64), 0], [-1, 0, -1, 0, -1]])
    ),
    "holes and qualities": block_of(
        group_of(
            [
                [20.5] * 10 + [None] * 30,
                [7] * 10 + [None] * 30,
                [None if n % 3 else n for n in _noise(21, 9)],
                [None] * ROWS,
            ],
            qualities=[SILENT, SILENT, bytes(n % 2 for n in _noise(22, 9)), bytes(ROWS)],
        )
    ),
    "three phases": block_of(group_of(_three_phases())),
    "two groups, unsynced": block_of(
        Group(
            (3, 1),
            [1_000, 1_000, 999, 61_000],
            [[1, 2, 3, 4], [0.5, 0.25, None, 1.0]],
            [bytes(4)] * 2,
        ),
        Group((2,), [WALL], [[3]], [bytes([Quality.STALE])]),
        wall_ms=900,
        mono_ms=900,
        clock_state=ClockState.UNSYNCED,
    ),
    "before 1970": block_of(group_of([[1, 2]], times=[-5_000, -4_000]), wall_ms=-5_000),
    "jitter": block_of(
        group_of(
            [_walk(23, 2)],
            times=[WALL + 30_000 * r + max(0, n) for r, n in enumerate(_noise(24, 3))],
        )
    ),
}


def main():
    """Append what is missing."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name, block in BLOCKS.items():
        for stage in Stage:
            known.setdefault(name, {}).setdefault(stage.name, encode(block, stage=stage).hex())
    FILE.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
