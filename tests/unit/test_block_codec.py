"""A block's header, bounds and refusals."""

import random
import struct
import zlib
from typing import Any, cast

import pytest

from shared import limits
from shared.block.codec import Stage, check, decode, encode, read_header
from shared.errors import Reason, RefusedError
from shared.ids import SchemaHash, StoreEpoch
from shared.model.reading import Group, Quality, boot_ref, epoch_ref, schema_ref
from tests.block_parts import WALL, block_of, exact, group_of, seal

READS = (read_header, check, decode)
PUMP = block_of(group_of([[2.31, 2.29, 2.3, 2.31], [17, 18, 18, 20]]))


def reason(read, data, *, why="block"):
    with pytest.raises(RefusedError, match=why) as refused:
        read(data)
    return refused.value.reason


@pytest.mark.parametrize("stage", Stage)
def test_a_block_comes_back(stage):
    data = encode(PUMP, stage=stage)
    assert exact(decode(data)) == exact(PUMP)
    assert read_header(data).stage is stage


def test_the_header_of_an_ordinary_block_is_34_bytes():
    empty = block_of(group_of([], times=[WALL, WALL + 1000]))
    assert 34 <= len(encode(empty, stage=Stage.NONE)) - 4 <= 36


@pytest.mark.parametrize("read", READS)
def test_a_wrong_checksum_has_its_own_reason(read):
    data = bytearray(encode(PUMP))
    data[-1] ^= 1
    assert reason(read, bytes(data)) is Reason.BLOCK_CHECKSUM


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0x22), (0, 0x13), (5, 0x03), (5, 0x40), (5, 0x80)],
    ids=["version", "stage", "priority", "reserved flag", "reserved flag"],
)
@pytest.mark.parametrize("read", READS)
def test_a_header_nobody_defined_is_refused(read, at, value):
    data = bytearray(encode(PUMP))
    data[at] = value
    assert reason(read, seal(data)) is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("read", READS)
def test_a_block_beyond_the_bound_is_refused_unread(read):
    assert reason(read, bytes(limits.BLOCK_BYTES + 1)) is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("size", [0, 1, 15])
@pytest.mark.parametrize("read", READS)
def test_less_than_a_header_is_refused(read, size):
    assert reason(read, encode(PUMP)[:size]) is Reason.BLOCK_MALFORMED


def header_with(stage, numbers, body):
    """A sealed block: fixed part, then header numbers as one varint byte each, then `body`."""
    return seal(bytes([16 | stage]) + bytes(4) + b"\x30" + bytes(10) + bytes(numbers) + body)


@pytest.mark.parametrize("read", [check, decode])
def test_a_zlib_bomb_is_refused(read):
    bomb = zlib.compress(bytes(50_000_000), 9)
    assert len(bomb) < limits.BLOCK_BYTES
    data = header_with(Stage.ZLIB, [1, 0, 0, 0, 0, 0], bomb)
    assert reason(read, data, why="bomb") is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("read", [check, decode])
def test_a_few_bytes_cannot_claim_more_cells_than_a_block_may_have(read):
    body = struct.pack("5B", 1, 2, 1, 0, 0x80) + b"\x80\x04"  # one group, two columns, 65,536 rows
    data = header_with(Stage.NONE, [1, 0, 0, 0, 2, 0], body)
    assert reason(read, data, why="more cells") is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("read", READS)
def test_times_that_a_database_cannot_hold_are_refused(read):
    huge = b"\x80" * 9 + b"\x01"  # 2**63
    data = seal(
        bytes([16]) + bytes(4) + b"\x30" + bytes(10) + b"\x01\x00" + huge + bytes(3) + b"\x00\x00"
    )
    assert reason(read, data, why="out of range") is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize(("number", "value"), [(4, 6), (5, 31)], ids=["count", "span"])
def test_a_header_that_contradicts_its_columns_is_refused(number, value):
    holed = block_of(group_of([[2.31, None, 2.3, 2.31], [17, 18, 18, 20]]))
    data = bytearray(encode(holed, stage=Stage.NONE))
    ends = [at for at, byte in enumerate(data[16:], 16) if byte < 128]
    assert (data[ends[4]], data[ends[5]]) == (7, 30)
    data[ends[number]] = value
    assert reason(check, seal(data), why="the header's") is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("count", [0, 5])
def test_no_group_has_what_is_left_of_a_count_that_was_overdrawn(count):
    """Its rows would be fewer than none, and room for more cells than a block may have."""
    both = block_of(group_of([[1, 2, 3], [4, 5, 6]]), group_of([[7, 8]], channels=(2,)))
    data = bytearray(encode(both, stage=Stage.NONE))
    ends = [at for at, byte in enumerate(data[16:], 16) if byte < 128]
    assert data[ends[4]] == 8
    data[ends[4]] = count
    assert reason(check, seal(data), why="less than that") is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize(
    "wrong",
    [
        Group((0,), [WALL], [[1, 2]], [bytes(1)]),
        Group((0,), [WALL], [[1]], [bytes(2)]),
        Group((0, 1), [WALL], [[1]], [bytes(1)]),
        Group((0,), [WALL], cast("Any", [["1"]]), [bytes(1)]),
    ],
    ids=["more cells than rows", "more qualities", "a channel without a column", "text"],
)
def test_a_group_that_does_not_fit_together_is_our_own_defect(wrong):
    with pytest.raises(AssertionError):
        encode(block_of(wrong))


def test_the_largest_block_of_noise_stays_within_its_bound():
    noise = random.Random(3)
    anything = [struct.unpack("<d", noise.randbytes(8))[0] for _ in range(limits.BLOCK_POINTS)]
    lone = [
        Group((n % 1024,), [noise.getrandbits(52)], [[value]], [bytes([n % 5])])
        for n, value in enumerate(anything[: limits.BLOCK_GROUPS])
    ]
    tall = group_of([anything], times=[noise.getrandbits(52) for _ in anything])
    for block in (block_of(tall), block_of(*lone)):
        for stage in Stage:
            data = encode(block, stage=stage)
            assert len(data) <= limits.BLOCK_BYTES
            assert exact(decode(data)) == exact(block)


def test_a_cell_that_was_not_sampled_does_not_count():
    good, silent = Quality.GOOD, Quality.BAD_COMM
    group = group_of([[1, None, None, 4]], qualities=[bytes([good, good, silent, silent])])
    assert read_header(encode(block_of(group))).count == group.count == 3


def test_a_silent_device_costs_one_flag_a_column():
    rows = 200
    silent = bytes([0] * 50 + [Quality.BAD_COMM] * 150)
    column = [20.5] * 50 + [None] * 150
    sizes = [
        len(encode(block_of(group_of([column] * width, qualities=[silent] * width))))
        for width in (1, 21)
    ]
    assert len(column) == len(silent) == rows
    assert sizes[1] - sizes[0] < 40


def test_references_are_the_first_bytes():
    digest = bytes(range(16))
    assert (epoch_ref(StoreEpoch(digest)), boot_ref(digest)) == (b"\0\1", b"\0\1\2\3")
    assert schema_ref(SchemaHash(digest[:8])) == b"\0\1\2\3"
