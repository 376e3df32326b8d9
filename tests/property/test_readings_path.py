"""Rows of any values, clocks and widths: neither journal nor blocks change any of them."""

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from agent.core.batcher import STEP_MS, Address, build_block, cut, readings_in
from agent.core.open_rows import Gap, OpenRow, OpenRows
from agent.core.ports import PollRow
from agent.store.journal_codec import (
    Held,
    JournalHeader,
    decode_journal,
    encode_gap,
    encode_header,
    encode_items,
    encode_row,
)
from shared import limits
from shared.block.codec import decode, encode
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import Reason
from shared.ids import BlockSeq, SchemaHash, StoreEpoch
from shared.model.reading import Quality
from tests.unit.readings_world import make_table

BOOT = bytes(16)
SCHEMA = make_table(devices=4, points=8).schema
HEADER = JournalHeader(id=b"journal1", boot_id=BOOT, first=1, schema=SCHEMA, held=Held())

numbers = st.one_of(
    st.none(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.decimals(-1000, 1000, places=2).map(float),
)


@st.composite
def rows(draw, fewest=0, most=40):
    """Poll rows in the order of their monotonic time, by a wall clock that may step."""
    wall, mono = draw(st.integers(0, 1 << 41)), draw(st.integers(0, 1 << 35))
    made = []
    for _ in range(draw(st.integers(fewest, most))):
        mono += draw(st.integers(0, 100_000))
        wall += draw(st.sampled_from([0, 0, 0, 0, 1_999, 2_001, -2_001, 1 << 32]))
        first = draw(st.integers(0, 24))
        channels = tuple(range(first, first + draw(st.integers(1, 8))))
        made.append(
            PollRow(
                channels=channels,
                at=Instant(
                    wall_ms=WallMs(wall + mono),
                    mono_ms=MonoMs(mono),
                    boot_id=BOOT,
                    state=draw(st.sampled_from(ClockState)),
                    err_ms=draw(st.integers(0, 1 << 20)),
                ),
                values=[draw(numbers) for _ in channels],
                qualities=tuple(draw(st.sampled_from(Quality)) for _ in channels),
                suppressed=draw(st.integers(0, 9)),
            )
        )
    return made


def same(one: float | None, other: float | None) -> bool:
    """Equal, of the same type, and bit for bit if it is a float."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return type(one) is type(other) and one == other


@given(rows())
def test_a_journal_gives_back_every_row_as_it_was(made):
    items = [OpenRow.of(number, row, 0) for number, row in enumerate(made, start=1)]
    found = decode_journal(encode_header(HEADER) + encode_items(items))
    assert found
    assert found.header == HEADER
    assert not found.damaged
    assert len(found.items) == len(items)
    for item, kept in zip(items, found.items, strict=True):
        assert isinstance(kept, OpenRow)
        assert (kept.number, kept.readings) == (item.number, item.readings)
        assert (kept.row.at, kept.row.suppressed) == (item.row.at, item.row.suppressed)
        assert tuple(kept.row.channels) == tuple(item.row.channels)
        assert all(map(same, kept.row.values, item.row.values))
        assert tuple(kept.row.qualities) == tuple(item.row.qualities)


@given(rows(1, 5), st.data())
def test_a_changed_journal_never_gives_a_row_that_was_not_written(made, data):
    records = [encode_row(number, row) for number, row in enumerate(made, start=1)]
    written = encode_header(HEADER) + b"".join(records)
    changed = bytearray(written)
    changed[data.draw(st.integers(0, len(written) - 1))] ^= data.draw(st.integers(1, 255))
    found = decode_journal(bytes(changed))
    if found is not None:
        again = [
            encode_row(item.number, item.row) for item in found.items if isinstance(item, OpenRow)
        ]
        assert again == records[: len(again)]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_journal_or_none(junk):
    assert decode_journal(junk) is None
    found = decode_journal(encode_header(HEADER) + junk)
    assert found
    assert found.good_bytes <= len(encode_header(HEADER)) + len(junk)


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.sampled_from(Reason))
def test_a_gap_comes_back_as_it_was(number, readings, reason):
    gap = Gap(
        number=number,
        last=number + 7,
        readings=readings,
        suppressed=3,
        first_ms=WallMs(-5),
        last_ms=WallMs(1 << 41),
        reason=reason,
    )
    found = decode_journal(encode_header(HEADER) + encode_gap(gap))
    assert found
    assert found.items == (gap,)


@given(rows())
def test_blocks_hold_every_row_once_in_order_and_fit_their_bounds(made):
    batches = cut(made)
    assert [row for batch in batches for row in batch] == made
    address = Address(StoreEpoch(bytes(16)), BlockSeq(1), SchemaHash(bytes(8)))
    for batch in batches:
        first = batch[0].at
        for row in batch:
            offset = row.at.wall_ms - row.at.mono_ms
            assert abs(offset - (first.wall_ms - first.mono_ms)) <= STEP_MS
            assert row.at.state is first.state
        block = build_block(batch, address)
        assert block.count == sum(map(readings_in, batch)) <= limits.BLOCK_POINTS
        back = decode(encode(block))
        assert back.count == block.count
        for group, kept in zip(block.groups, back.groups, strict=True):
            assert (group.channels, group.times_ms) == (kept.channels, kept.times_ms)
            assert group.qualities == kept.qualities
            for column, found in zip(group.columns, kept.columns, strict=True):
                assert all(map(same, column, found))


@given(rows(), st.integers(50, 3_000), st.data())
def test_giving_way_keeps_the_account_and_the_bound(made, bound, data):
    opened = OpenRows(1)
    total = 0
    after = 0
    for row in made:
        item = opened.add(row, data.draw(st.integers(10, 500)))
        total += item.readings
        if data.draw(st.booleans()):
            opened.shed(bound, after=after, reason=Reason.STORE_FULL)
        if data.draw(st.integers(0, 9)) == 0:
            after = data.draw(st.integers(0, item.number))
    opened.shed(bound, after=0, reason=Reason.STORE_FULL)
    items = opened.items()
    assert sum(item.readings for item in items) == total
    assert opened.size == sum(item.size for item in items) <= bound
    spans = [(item.number, item.last) for item in items]
    assert [number for number, _ in spans] == [1, *(last + 1 for _, last in spans)][: len(spans)]
    assert math.isclose(opened.readings, sum(i.readings for i in items if isinstance(i, OpenRow)))
