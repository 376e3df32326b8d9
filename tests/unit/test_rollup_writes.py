"""Rollups are merged before they are written: what another process wrote meanwhile stays."""

from functools import partial

import pytest

from coordinator.core.rollup import DAY_MS, HOUR_MS, HOUR_S, MINUTE_S
from coordinator.services.rolling import Decoded, fold_all, plan
from coordinator.transactions.retention import drop_some, save_keeping
from coordinator.transactions.rollup_writes import write_hours
from coordinator.transactions.rollups import due_work, grounds_of
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

BEGINS = NOW // HOUR_MS * HOUR_MS + 24 * HOUR_MS


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        await add_agent(opened, AGENT)
        yield opened


async def folded_now(store):
    """Return what is due now, merged into what is stored now."""
    await settle_times(store)
    work = await store.read(partial(due_work, frozenset()))
    assert work.orders
    decoded = Decoded()
    planned = plan(work.orders, decoded, {})
    assert planned.is_all
    assert not planned.unreadable
    return fold_all(await store.read(partial(grounds_of, planned.hours)), decoded)


async def counts(store, width_s: int) -> list[int]:
    found = await rolled(store, width_s)
    return [found[key].count for key in sorted(found, key=lambda key: key[2])]


async def test_minutes_that_somebody_wrote_meanwhile_stay(store):
    await bring(store, block(1, group([BEGINS, BEGINS + 1000], [1.5, 2.5])))
    stale = await folded_now(store)
    await bring(store, block(2, group([BEGINS + 60_000], [3.5])))
    await roll_everything_up(store)
    assert await counts(store, MINUTE_S) == [2, 1]
    await store.run(partial(write_hours, stale), durable=False)
    assert await counts(store, MINUTE_S) == [2, 1]
    assert await counts(store, HOUR_S) == [3]


async def test_an_hour_whose_minutes_go_while_some_of_them_are_computed_stays(store):
    begins = BEGINS - 40 * DAY_MS
    await bring(store, block(1, group([begins, begins + 1000], [1.5, 2.5])))
    await roll_everything_up(store)
    await bring(store, block(2, group([begins + 60_000], [3.5])))
    stale = await folded_now(store)
    body = partial(save_keeping, [("1m", 30 * DAY_MS)], actor="me", now_ms=NOW)
    await store.run(body, durable=False)
    assert await store.run(partial(drop_some, NOW), durable=False) == {"1m": 1}
    await store.run(partial(write_hours, stale), durable=False)
    assert await counts(store, MINUTE_S) == []
    assert await counts(store, HOUR_S) == [2]


async def test_two_hours_of_a_day_that_are_written_together_are_both_there(store):
    times = [BEGINS, BEGINS + HOUR_MS, BEGINS + HOUR_MS + 1]
    await bring(store, block(1, group(times, [1.5, 2.5, 3.5])))
    await store.run(partial(write_hours, await folded_now(store)), durable=False)
    assert await counts(store, MINUTE_S) == [1, 2]
    assert await counts(store, HOUR_S) == [1, 2]


async def test_hours_that_have_no_room_in_one_transaction_are_written_in_several(
    store, monkeypatch
):
    monkeypatch.setattr(limits, "ROLLUP_SERIES", 1)
    times = [BEGINS + hour * HOUR_MS for hour in range(3)]
    await bring(store, block(1, group(times, [1.5, 2.5, 3.5])))
    parts = await folded_now(store)
    assert [len(part.hours) for part in parts] == [1, 1, 1]
    for part in parts:
        await store.run(partial(write_hours, [part]), durable=False)
    assert await counts(store, MINUTE_S) == [1, 1, 1]
    assert await counts(store, HOUR_S) == [1, 1, 1]


async def test_what_is_stored_takes_room_as_blocks_do(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_BYTES", 400)
    minutes = [BEGINS + 60_000 * at for at in range(60)]
    await bring(store, block(1, group(minutes, [at + 0.25 for at in range(60)])))
    await roll_everything_up(store)
    await bring(store, block(2, group([BEGINS + 1, BEGINS + HOUR_MS], [1.5, 2.5])))
    await settle_times(store)
    orders = (await store.read(partial(due_work, frozenset()))).orders
    hours = plan(orders, Decoded(), {}).hours
    assert [len(await store.read(partial(grounds_of, some))) for some in (hours, hours[1:])] == [
        1,
        1,
    ]
    await roll_everything_up(store)
    assert sum(await counts(store, MINUTE_S)) == 62


async def test_a_unit_with_a_nul_is_found_again(store):
    odd = Schema((Channel(DeviceId("pump-9"), "current", "A\0"),))
    for seq in (1, 2):
        times = [BEGINS + seq * HOUR_MS]
        data = block(seq, group(times, [1.5]), schema=schema_ref(odd.hash))
        await bring(store, data, schema=odd)
        await roll_everything_up(store)
    assert await counts(store, HOUR_S) == [1, 1]
    assert await rows(store, "SELECT number, unit FROM channel") == [(1, "A\ufffd")]
