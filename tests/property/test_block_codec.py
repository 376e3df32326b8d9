"""Any block survives the codec bit for bit, and no broken bytes get past it."""

import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.block.codec import Stage, check, decode, encode, read_header
from shared.clock import ClockState
from shared.errors import RefusedError
from shared.model.reading import Quality
from tests.block_parts import block_of, exact, group_of, seal


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def nudged(value, ulps):
    for _ in range(abs(ulps)):
        value = math.nextafter(value, math.copysign(math.inf, ulps))
    return value


any_float = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", n.to_bytes(8, "little"))[0])
whole = st.integers(-(10**9), 10**9)
decimal = st.builds(lambda n, d: n / 10**d, whole, st.integers(0, 9))
edge = st.sampled_from([2**63, -(2**63), 2**63 - 1, 2**64 - 1, -(2**64), 0, 1, -1])
integer = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63), edge)
special = st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7e308, 0.5])
cell = st.one_of(st.none(), integer, decimal, any_float, special)
kinds = [
    integer,
    edge,
    decimal,
    any_float,
    cell,
    special,
    st.none(),
    st.sampled_from([0.5, 1]),
    st.sampled_from([7, 1_000_007, -90_000]),
    whole.map(lambda n: n * 0.1),
    st.builds(lambda n, u: nudged(n / 1000, u), whole, st.integers(-6, 6)),
    whole.map(lambda n: single(n / 100)),
    st.builds(lambda n, u: nudged(single(n / 100), u), whole, st.integers(-2, 2)),
    st.floats(-1e6, 1e6).map(lambda v: float(f"{v:.6g}")),
    st.floats(width=32),
    st.one_of(decimal, special),
]
times = st.one_of(st.integers(0, 2**41), st.integers(1_636_635_600_000, 1_636_635_600_009))


@st.composite
def groups(draw):
    rows = draw(st.integers(0, 40))
    width = draw(st.integers(0, 4))
    columns: list[list[object]] = []
    for _ in range(width):
        if columns and draw(st.integers(0, 3)) == 0:
            columns.append(draw(st.sampled_from(columns)))
        else:
            kind = draw(st.sampled_from(kinds))
            columns.append(draw(st.lists(kind, min_size=rows, max_size=rows)))
    quality = st.one_of(
        st.just(bytes(rows)),
        st.lists(st.sampled_from(Quality), min_size=rows, max_size=rows).map(bytes),
    )
    return group_of(
        columns,
        channels=tuple(draw(st.lists(st.integers(0, 1023), min_size=width, max_size=width))),
        times=draw(st.lists(times, min_size=rows, max_size=rows)),
        qualities=[draw(quality) for _ in range(width)],
    )


blocks = st.builds(
    lambda groups, **fields: block_of(*groups, **fields),
    st.lists(groups(), max_size=3),
    epoch=st.binary(min_size=2, max_size=2),
    seq=st.integers(1, 2**53 - 1),
    priority=st.integers(0, 2),
    boot=st.binary(min_size=4, max_size=4),
    mono_ms=st.integers(0, 2**45),
    wall_ms=st.integers(-(2**45), 2**45),
    clock_state=st.sampled_from(ClockState),
    err_ms=st.integers(0, 10**9),
    schema=st.binary(min_size=4, max_size=4),
)
stages = st.sampled_from(Stage)


@given(blocks, stages)
def test_any_block_survives_bit_for_bit_in_every_stage(block, stage):
    assert exact(decode(encode(block, stage=stage))) == exact(block)


@given(blocks)
def test_the_same_block_gives_the_same_bytes(block):
    assert encode(decode(encode(block))) == encode(block)


@given(blocks, stages)
def test_the_header_says_what_the_block_holds(block, stage):
    data = encode(block, stage=stage)
    header = read_header(data)
    assert check(data) == header
    assert (header.count, header.stage) == (block.count, stage)
    for name in block.__slots__:
        if name != "groups":
            assert getattr(header, name) == getattr(block, name)
    all_times = [time for group in block.groups for time in group.times_ms] or [block.wall_ms]
    assert (header.first_ms, header.last_ms) == (min(all_times), max(all_times))


@given(blocks, stages, st.data())
def test_a_block_cut_short_is_refused(block, stage, data):
    encoded = encode(block, stage=stage)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for read in (read_header, check, decode):
        with pytest.raises(RefusedError):
            read(encoded[:cut])


@given(blocks, stages, st.data())
def test_a_flipped_bit_is_refused(block, stage, data):
    encoded = bytearray(encode(block, stage=stage))
    at = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[at // 8] ^= 1 << at % 8
    for read in (read_header, check, decode):
        with pytest.raises(RefusedError):
            read(bytes(encoded))


@given(blocks, stages, st.data())
def test_forged_bytes_with_a_good_checksum_decode_or_are_refused(block, stage, data):
    encoded = bytearray(encode(block, stage=stage))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(5, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    forged = seal(encoded[: data.draw(st.integers(5, len(encoded)))])
    with contextlib.suppress(RefusedError):
        assert exact(decode(encode(decode(forged)))) == exact(decode(forged))


@given(st.binary(max_size=200), stages)
def test_noise_with_a_good_checksum_decodes_or_is_refused(noise, stage):
    with contextlib.suppress(RefusedError):
        decode(seal(bytes([16 | stage]) + bytes(4) + noise))
