"""However many channels an agent has had, its rollups look at those that have something to say."""

from functools import partial

import pytest

from coordinator.core.rollup import HOUR_MS, HOUR_S, MINUTE_S
from coordinator.services.rolling import Decoded, fold_all, plan
from coordinator.transactions import rollup_writes
from coordinator.transactions.rollup_writes import write_hours
from coordinator.transactions.rollups import due_work, grounds_of, stored_of
from shared import limits
from shared.block.schema import Schema
from shared.ids import DeviceId
from shared.model.reading import Channel, schema_ref
from tests.readings_office import (
    AGENT,
    NOW,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    rolled,
    rows,
    settle_times,
)
from tests.stores import ENGINES, open_store

BEGINS = NOW // HOUR_MS * HOUR_MS
MANY = Schema(tuple(Channel(DeviceId("meter"), f"p{at:03}") for at in range(200)))


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        await add_agent(opened, AGENT)
        yield opened


async def bring_many(store, seq, times, channels):
    columns = [[1.5] * len(times) for _ in channels]
    told = group(times, *columns, channels=channels)
    await bring(store, block(seq, told, schema=schema_ref(MANY.hash)), schema=MANY)


async def planned_now(store):
    await settle_times(store)
    return plan((await store.read(partial(due_work, frozenset()))).orders, Decoded(), {})


async def grounds_now(store):
    return await store.read(partial(grounds_of, (await planned_now(store)).hours))


async def folded_now(store):
    return fold_all(await grounds_now(store), Decoded())


async def counts(store, width_s=HOUR_S):
    found = await rolled(store, width_s)
    return [(point, at_ms, found[_, point, at_ms].count) for _, point, at_ms in sorted(found)]


async def test_only_channels_that_have_rows_are_read_for_an_hour_and_all_once(store):
    await bring_many(store, 1, [BEGINS - 5 * 24 * HOUR_MS], range(200))
    await roll_everything_up(store)
    times = [BEGINS, BEGINS + HOUR_MS]
    await bring_many(store, 2, times, [7])
    first, second = await grounds_now(store)
    assert len(first.stored.channels) == 200
    assert first.stored.channels is second.stored.channels
    assert (first.stored.rows, second.stored.rows) == ([], [])
    await roll_everything_up(store)
    await bring_many(store, 3, [BEGINS + 1], [9])
    (again,) = await grounds_now(store)
    assert [row[0] for row in again.stored.rows] == [8]


async def test_what_is_written_is_all_that_is_looked_at_once_more(store, monkeypatch):
    await bring_many(store, 1, [BEGINS], range(200))
    await roll_everything_up(store)
    await bring_many(store, 2, [BEGINS + 1], [2, 3, 150])
    some = await folded_now(store)
    asked = []

    def noted(hour, first, last):
        asked.append((first, last))
        return stored_of(hour, first, last)

    monkeypatch.setattr(rollup_writes, "stored_of", noted)
    await store.run(partial(write_hours, some), durable=False)
    assert asked == [(3, 4), (151, 151)]
    found = await rolled(store, MINUTE_S)
    assert sorted(one.count for one in found.values()) == [1] * 197 + [2] * 3


async def test_channels_take_room_in_memory(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_BYTES", 200 * limits.ROLLUP_CHANNEL_BYTES)
    await bring_many(store, 1, [BEGINS], range(200))
    await roll_everything_up(store)
    await bring_many(store, 2, [BEGINS + 24 * HOUR_MS * at for at in range(1, 4)], [7])
    assert len(await grounds_now(store)) == 1
    await roll_everything_up(store)
    assert [count for point, _, count in await counts(store) if point == "p007"] == [1] * 4


async def test_an_hour_counts_for_all_channels_that_its_agent_had(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 4)
    monkeypatch.setattr(limits, "ROLLUP_KNOWN_CHANNELS", 100)
    await bring_many(store, 1, [BEGINS], range(200))
    await roll_everything_up(store)
    await bring_many(store, 2, [BEGINS + HOUR_MS * at for at in range(1, 6)], [7])
    assert len((await planned_now(store)).hours) == 2


async def test_channels_beyond_the_bound_have_no_rollups_and_harm_no_others(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_CHANNELS", 3)
    await bring_many(store, 1, [BEGINS], range(5))
    await roll_everything_up(store)
    await bring_many(store, 2, [BEGINS + 1], range(5))
    await roll_everything_up(store)
    assert await counts(store) == [(f"p{at:03}", BEGINS, 2) for at in range(3)]
    assert await rows(store, "SELECT count(*) FROM rollup_due") == [(0,)]


async def test_a_channel_that_somebody_numbered_meanwhile_keeps_its_number(store):
    await bring_many(store, 1, [BEGINS], [4, 5])
    stale = await folded_now(store)
    await bring_many(store, 2, [BEGINS - HOUR_MS], [9, 5])
    await bring_many(store, 3, [BEGINS + 1], [6])
    await roll_everything_up(store)
    before = await counts(store)
    await store.run(partial(write_hours, stale), durable=False)
    assert await counts(store) == before
    assert len(await rows(store, "SELECT number FROM channel")) == 4


async def test_hours_of_an_agent_that_were_read_apart_are_written_together(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_BYTES", 1)
    hours = [BEGINS // (24 * HOUR_MS) * 24 * HOUR_MS + HOUR_MS * at for at in range(3)]
    await bring_many(store, 1, hours, [4, 5])
    await roll_everything_up(store)
    assert await counts(store) == [(f"p00{at}", hour, 1) for at in (4, 5) for hour in hours]
