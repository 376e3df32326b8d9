"""The newest block grows from commit to commit, and no contact sees it before it is sealed."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.batcher import STEP_MS, Address, build_block, cut, grown
from agent.core.ports import PollRow
from shared import limits
from shared.block.codec import decode, encode
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import Reason
from shared.ids import BlockSeq, SchemaHash, StoreEpoch
from shared.model.reading import Quality
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant, growing, make_table, stored_values

ADDRESS = Address(StoreEpoch(bytes(16)), BlockSeq(7), SchemaHash(bytes(8)))
START = Instant(
    wall_ms=WallMs(1_000_000),
    mono_ms=MonoMs(50_000),
    boot_id=bytes(range(16)),
    state=ClockState.SYNCED,
    err_ms=3,
)


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


async def numbers(store) -> list[int]:
    return [one.seq for one in await store.waiting()]


async def test_commits_share_one_block_until_a_contact_takes_it(plant):
    async with plant.running() as store:
        values = []
        for _ in range(3):
            values += await plant.record(store, 2)
            await store.keep()
            assert await numbers(store) == []
            assert store.next_block == 1
        await store.seal()
        assert await numbers(store) == [1]
        assert await stored_values(store) == values
        assert await store.tally() == Tally(18, 0, 0, 18, 0)


async def test_a_block_that_a_contact_could_see_never_changes(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        [before] = await store.waiting()
        await plant.record(store)
        await store.keep()
        assert await store.waiting() == [before]
        await store.seal()
        assert await numbers(store) == [1, 2]
        assert (await store.waiting())[0] == before


async def test_a_block_is_offered_once_it_is_full_although_no_contact_came(plant):
    async with plant.running() as store:
        await plant.record(store, limits.BLOCK_POINTS // 6)
        await store.keep()
        assert await numbers(store) == []
        await plant.record(store, limits.BLOCK_POINTS // 3)
        await store.keep()
        assert await numbers(store) == [1]
        [block] = await store.blocks([1])
        assert decode(block).count > limits.BLOCK_POINTS - 3


async def test_a_step_of_the_clock_seals(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        plant.clock.wall += STEP_MS + 1
        await plant.record(store)
        await store.keep()
        assert await numbers(store) == [1]


async def test_a_start_seals(plant):
    async with plant.running() as store:
        values = await plant.record(store)
    plant.table = make_table(devices=3)
    async with plant.running() as store:
        assert await numbers(store) == [1]
        assert await stored_values(store) == values


async def test_what_waits_is_weighed_with_the_block_that_grows(plant):
    async with plant.running() as store:
        assert await store.backlog_bytes() == 0
        await plant.record(store)
        await store.seal()
        await plant.record(store)
        await store.keep()
        sizes = [len(data) for data in [*await store.blocks([1]), *await growing(store)]]
        assert len(sizes) == 2
        assert await store.backlog_bytes() == sum(sizes)


async def test_a_block_that_the_disk_altered_does_not_grow(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        alter = "UPDATE block SET data = CAST(data || x'00' AS BLOB)"
        await store._file.usable.transact(lambda db: db.execute(alter) and None, durable=True)
        values = await plant.record(store)
        await store.seal()
        assert await numbers(store) == [1, 2]
        assert len(await store.blocks([1, 2])) == 1
        assert await stored_values(store) == values
        [row] = await store.ledger()
        assert (row.reason, row.count) == (Reason.BLOCK_CHECKSUM, 3)


# --- a block's rows back ------------------------------------------------------------------------
def row(after_ms: int, channels: tuple[int, ...], cells: Sequence[tuple[float | None, Quality]]):
    at = replace(
        START,
        wall_ms=WallMs(START.wall_ms + after_ms),
        mono_ms=MonoMs(START.mono_ms + after_ms),
    )
    values, qualities = zip(*cells, strict=True)
    return PollRow(channels=channels, at=at, values=values, qualities=qualities)


CELLS = st.sampled_from(
    [(1.5, Quality.GOOD), (7, Quality.UNCERTAIN), (None, Quality.BAD_COMM), (None, Quality.GOOD)]
)
POLLS = st.lists(
    st.one_of(
        st.lists(CELLS, min_size=2, max_size=2).map(lambda cells: ((0, 1), cells)),
        st.lists(CELLS, min_size=1, max_size=1).map(lambda cells: ((2,), cells)),
    ),
    min_size=2,
    max_size=20,
)


@given(polls=POLLS, data=st.data())
def test_a_block_that_grew_is_the_block_that_was_never_cut(polls, data):
    rows = [row(1_000 * number, *poll) for number, poll in enumerate(polls)]
    at = data.draw(st.integers(1, len(rows) - 1))
    older = decode(encode(build_block(rows[:at], ADDRESS)))
    more = grown(older, rows[at:])
    assert more is not None
    assert encode(build_block(more, ADDRESS)) == encode(build_block(rows, ADDRESS))


def test_a_block_does_not_grow_beyond_what_a_cut_allows():
    full = limits.BLOCK_POINTS // 2
    good = [(1.0, Quality.GOOD)] * 2
    rows = [row(number, (0, 1), good) for number in range(full)]
    block = build_block(rows, ADDRESS)
    assert grown(block, [row(full, (0, 1), good)]) is None
    assert grown(build_block(rows[:-1], ADDRESS), rows[-1:]) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": bytes(16)},
        {"state": ClockState.HOLDOVER},
        {"wall_ms": WallMs(START.wall_ms + STEP_MS + 1)},
        {"wall_ms": WallMs(START.wall_ms - STEP_MS - 1)},
    ],
)
def test_a_block_does_not_grow_across_another_clock(change):
    good = [(1.0, Quality.GOOD)]
    block = build_block([row(0, (2,), good)], ADDRESS)
    later = row(0, (2,), good)
    assert grown(block, [later]) is not None
    assert grown(block, [replace(later, at=replace(later.at, **change))]) is None


def test_rows_that_need_a_cut_of_their_own_leave_the_block_as_it_is():
    good = [(1.0, Quality.GOOD)]
    block = build_block([row(0, (2,), good)], ADDRESS)
    other = replace(row(1, (2,), good), at=replace(START, boot_id=bytes(16)))
    assert grown(block, [other, row(2, (2,), good)]) is None
    more = grown(block, [row(1, (2,), good), other])
    assert more is not None
    assert len(cut(more)) == 2
