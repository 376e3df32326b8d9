"""Any block survives the codec bit for bit, and no broken bytes get past it."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.block.codec import Stage, check, decode, encode, read_header
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import RefusedError
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, Quality, SchemaRef

any_float = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", n.to_bytes(8, "little"))[0])
decimal = st.builds(lambda n, d: n / 10**d, st.integers(-(10**9), 10**9), st.integers(0, 9))
integer = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63))
cell = st.one_of(st.none(), integer, decimal, any_float)
times = st.one_of(st.integers(0, 2**41), st.integers(1636635600000, 1636635600009))


@st.composite
def groups(draw):
    rows = draw(st.integers(0, 40))
    width = draw(st.integers(0, 4))
    kind = st.sampled_from(
        [integer, decimal, any_float, cell, st.none(), st.sampled_from([0.5, 1])]
    )
    columns = [draw(st.lists(draw(kind), min_size=rows, max_size=rows)) for _ in range(width)]
    quality = st.one_of(
        st.just(bytes(rows)),
        st.lists(st.sampled_from(Quality), min_size=rows, max_size=rows).map(bytes),
    )
    return Group(
        tuple(draw(st.lists(st.integers(0, 1023), min_size=width, max_size=width))),
        draw(st.lists(times, min_size=rows, max_size=rows)),
        columns,
        [draw(quality) for _ in range(width)],
    )


blocks = st.builds(
    Block,
    epoch=st.binary(min_size=2, max_size=2).map(EpochRef),
    seq=st.integers(1, 2**40).map(BlockSeq),
    priority=st.integers(0, 2),
    boot=st.binary(min_size=4, max_size=4).map(BootRef),
    mono_ms=st.integers(0, 2**45).map(MonoMs),
    wall_ms=st.integers(0, 2**45).map(WallMs),
    clock_state=st.sampled_from(ClockState),
    err_ms=st.integers(0, 10**9),
    schema=st.binary(min_size=4, max_size=4).map(SchemaRef),
    groups=st.lists(groups(), max_size=3).map(tuple),
)


def seal(data):
    """The same bytes with the checksum they should have."""
    crc = zlib.crc32(data[5:], zlib.crc32(data[:1]))
    return bytes(data[:1]) + crc.to_bytes(4, "little") + bytes(data[5:])


def bits(value):
    return struct.pack("<d", value) if isinstance(value, float) else value


def exact(block):
    """A block with every float as its bits: NaN equals itself, -0.0 is not 0.0, 1 is not 1.0."""
    return (
        [getattr(block, name) for name in block.__slots__ if name != "groups"],
        [
            (g.channels, g.times_ms, [[bits(v) for v in c] for c in g.columns], g.qualities)
            for g in block.groups
        ],
    )


@given(blocks, st.sampled_from(Stage))
def test_any_block_survives_bit_for_bit_in_every_stage(block, stage):
    assert exact(decode(encode(block, stage=stage))) == exact(block)


@given(blocks, st.sampled_from(Stage), st.data())
def test_forged_bytes_with_a_good_checksum_decode_or_are_refused(block, stage, data):
    encoded = bytearray(encode(block, stage=stage))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(5, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    forged = seal(encoded[: data.draw(st.integers(5, len(encoded)))])
    with contextlib.suppress(RefusedError):
        assert exact(decode(encode(decode(forged)))) == exact(decode(forged))


@given(st.binary(max_size=200), st.sampled_from(Stage))
def test_noise_with_a_good_checksum_decodes_or_is_refused(noise, stage):
    with contextlib.suppress(RefusedError):
        decode(seal(bytes([16 | stage]) + bytes(4) + noise))


@given(blocks)
def test_the_header_says_what_the_block_holds(block):
    data = encode(block)
    header = read_header(data)
    assert check(data) == header
    assert header.count == block.count
    all_times = [time for group in block.groups for time in group.times_ms] or [block.wall_ms]
    assert (header.first_ms, header.last_ms) == (min(all_times), max(all_times))


@given(blocks, st.data())
def test_a_block_cut_short_is_refused(block, data):
    encoded = encode(block)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for read in (read_header, check, decode):
        with pytest.raises(RefusedError):
            read(encoded[:cut])


@given(blocks, st.data())
def test_a_flipped_bit_is_refused(block, data):
    encoded = bytearray(encode(block))
    at = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[at // 8] ^= 1 << at % 8
    for read in (read_header, check, decode):
        with pytest.raises(RefusedError):
            read(bytes(encoded))
