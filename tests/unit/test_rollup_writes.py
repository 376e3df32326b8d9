"""Rollups are merged before they are written: what another process wrote meanwhile stays."""

from functools import partial

import pytest

from coordinator.core.rollup import HOUR_MS, HOUR_S, MINUTE_S
from coordinator.services.rolling import Decoded, fold_all, plan
from coordinator.transactions.rollups import due_work, grounds_of, write_hours
from tests.readings_office import (
    AGENT,
    NOW,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    rolled,
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
    work = await store.read(due_work)
    assert work.orders
    decoded = Decoded()
    hours, unreadable = plan(work.orders, decoded)
    assert not unreadable
    return fold_all(await store.read(partial(grounds_of, hours)), decoded)


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


async def test_two_hours_of_a_day_that_are_written_together_are_both_there(store):
    times = [BEGINS, BEGINS + HOUR_MS, BEGINS + HOUR_MS + 1]
    await bring(store, block(1, group(times, [1.5, 2.5, 3.5])))
    await store.run(partial(write_hours, await folded_now(store)), durable=False)
    assert await counts(store, MINUTE_S) == [1, 2]
    assert await counts(store, HOUR_S) == [1, 2]
