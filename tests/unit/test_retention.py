"""Room for readings: how much may stay, thinner blocks, and the order in which things give way."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.retention import STEPS_MS, Room, Space, thinned
from agent.core.settings import TelemetrySettings
from shared import limits
from shared.block.codec import decode, encode
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import Reason
from shared.ids import BlockSeq
from shared.model.reading import Block, BootRef, EpochRef, Group, SchemaRef
from tests.unit.readings_world import Plant, growing, make_table, stored_values

MINUTE_MS, QUARTER_MS = STEPS_MS
MEGABYTE = 1 << 20


def block(*times_ms: int) -> Block:
    return Block(
        epoch=EpochRef(bytes(4)),
        seq=BlockSeq(1),
        priority=2,
        boot=BootRef(bytes(4)),
        mono_ms=MonoMs(5),
        wall_ms=WallMs(times_ms[0]),
        clock_state=ClockState.SYNCED,
        err_ms=1,
        schema=SchemaRef(bytes(8)),
        groups=(
            Group(
                (0, 1),
                list(times_ms),
                [list(times_ms), [None] * len(times_ms)],
                [
                    bytes(len(times_ms)),
                    bytes([2] * len(times_ms)),
                ],
            ),
        ),
    )


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=60), st.sampled_from(STEPS_MS))
def test_each_interval_that_had_rows_keeps_its_first_one_whole(times, every_ms):
    before = block(*times)
    after = thinned(before, every_ms)
    kept = (after or before).groups[0]
    assert {time // every_ms for time in kept.times_ms} == {time // every_ms for time in times}
    assert len(kept.times_ms) == len({time // every_ms for time in times})
    assert kept.columns[0] == kept.times_ms
    assert kept.qualities[1] == bytes([2] * len(kept.times_ms))
    assert (after is None) == (len(kept.times_ms) == len(times))
    assert decode(encode(replace(before, groups=(kept,)))).groups == (kept,)


def test_the_operator_s_word_counts_where_nobody_knows_the_disk():
    assert Room(max_bytes=7 * MEGABYTE, min_free_percent=10).bytes_for(5) == 7 * MEGABYTE


@pytest.mark.parametrize(
    ("free", "used", "allowed"),
    [
        (50 * MEGABYTE, 9 * MEGABYTE, 20 * MEGABYTE),
        (12 * MEGABYTE, 9 * MEGABYTE, 11 * MEGABYTE),
        (7 * MEGABYTE, 9 * MEGABYTE, 6 * MEGABYTE),
        (0, 9 * MEGABYTE, limits.STORAGE_MIN_BYTES),
    ],
)
def test_a_tenth_of_the_disk_stays_free_for_others(free, used, allowed):
    space = Space(total=100 * MEGABYTE, free=free)
    room = Room(max_bytes=20 * MEGABYTE, min_free_percent=10, space=space)
    assert room.bytes_for(used) == allowed


async def fill(plant: Plant, rounds: int, rows: int = 200) -> list[float]:
    """Record until much has given way; return the values of the rows that nothing may take."""
    async with plant.running() as store:
        values: list[float] = []
        for _ in range(rounds):
            values += await plant.record(store, rows)
            await store.seal()
        await plant.record(store, 3)
        await store.keep()
        assert len(await growing(store)) == 1, "thinning does not stop a block from growing"
        plant.kill()
    return values


def crowded(tmp_path, kilobytes: int, **plant) -> Plant:
    settings = TelemetrySettings(storage_max_bytes=kilobytes << 10)
    return Plant(tmp_path, settings=settings, noisy=True, **plant)


async def test_old_rows_are_thinned_to_a_minute_before_any_block_goes(tmp_path):
    plant = crowded(tmp_path, 160, step_ms=1_000)
    values = await fill(plant, 40)
    async with plant.running() as store:
        tally, ledger = await store.tally(), await store.ledger()
        assert {row.reason for row in ledger} == {Reason.STORE_THINNED}
        assert tally.lost == sum(row.count for row in ledger) > 0
        assert tally.sampled == tally.stored + tally.lost == 40 * 600 + 9
        kept = await stored_values(store)
        assert len(kept) == tally.stored
        assert values[0] in kept, "the oldest minute has its first row"
        assert values[-1] in kept, "what is new is whole"
        assert len(set(kept)) == len(kept)


async def test_then_to_a_quarter_of_an_hour_and_then_the_oldest_go(tmp_path):
    plant = crowded(tmp_path, 96, step_ms=60_000)
    await fill(plant, 60)
    async with plant.running() as store:
        tally, ledger = await store.tally(), await store.ledger()
        assert tally.sampled == tally.stored + tally.lost == 60 * 600 + 9
        found = [decode(data) for data in await store.blocks(range(1, store.next_block))]
        quarters = [
            [time // QUARTER_MS for time in group.times_ms] for one in found for group in one.groups
        ]
        assert sum(len(set(one)) == len(one) > 1 for one in quarters) > len(quarters) // 2
        assert Reason.STORE_THINNED in {row.reason for row in ledger}


async def test_a_thinner_block_has_a_number_of_its_own(tmp_path):
    plant = crowded(tmp_path, 160, step_ms=1_000)
    seen: dict[int, bytes] = {}
    async with plant.running() as store:
        for _ in range(40):
            await plant.record(store, 200)
            await store.seal()
            for one in await store.waiting():
                assert seen.setdefault(one.seq, one.digest) == one.digest
    assert len(seen) > 40


async def test_pages_go_back_to_a_disk_that_others_fill(tmp_path):
    settings = TelemetrySettings(storage_min_free_percent=0)
    table = make_table(devices=1, points=40)
    plant = Plant(tmp_path, table=table, settings=settings, noisy=True, step_ms=1_000)
    await fill(plant, 60)
    before = plant.database.stat().st_size
    assert before > 1.5 * limits.STORAGE_MIN_BYTES
    plant.settings = TelemetrySettings(storage_min_free_percent=100)
    async with plant.running() as store:
        for _ in range(40):
            await plant.record(store)
            await store.keep()
        tally = await store.tally()
    assert plant.database.stat().st_size < before - 200_000
    assert tally.sampled == tally.stored + tally.lost
    assert tally.stored > 0
