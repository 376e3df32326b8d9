"""Statements in one way to the database and back, on both engines; and blocks that share one."""

from functools import partial

import pytest

from coordinator.core.ports import Query, fetch, fetch_together
from coordinator.services.noticing import NoticingStore
from shared.errors import Reason
from tests.readings_office import AGENT, NOW, add_agent, block, bring, group
from tests.stores import ENGINES, ask, open_store

SAVE = "keeping_save"


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        yield opened


def saves(*names):
    return [Query(SAVE, (name, number)) for number, name in enumerate(names)]


async def test_all_of_them_are_run_each_with_its_own_values(store):
    body = partial(fetch_together, saves("a", "b", "c"))
    assert await store.run(body, durable=False) == []
    assert sorted(await store.read(partial(fetch, "keeping"))) == [("a", 0), ("b", 1), ("c", 2)]


async def test_the_rows_of_the_last_one_are_the_answer(store):
    await add_agent(store)
    want = Query("schema_want", (AGENT, b"s" * 4))
    assert await store.run(partial(fetch_together, [*saves("a"), want]), durable=False) == [
        (b"s" * 4,)
    ]
    assert await store.read(partial(fetch, "keeping")) == [("a", 0)]


async def test_one_alone_is_run_as_it_is(store):
    await store.run(partial(fetch_together, saves("a")), durable=False)
    assert await store.read(partial(fetch, "keeping")) == [("a", 0)]


async def test_when_one_fails_none_was_run(store):
    bad = Query("schema_want", ("nobody", b"s" * 4))
    for queries in ([*saves("a"), bad], [bad, *saves("a")]):
        with pytest.raises(Exception, match=r"(?i)foreign key"):
            await store.run(partial(fetch_together, queries), durable=False)
        assert await store.read(partial(fetch, "keeping")) == []


async def test_an_event_among_them_is_noticed(store):
    told = []
    noticing = NoticingStore(store, lambda: told.append(1))
    await noticing.run(partial(fetch_together, saves("a", "b")), durable=False)
    assert not told
    event = Query("event_insert", (NOW, "agent.online", AGENT, "", None, None, "a", "o", "{}"))
    await noticing.run(partial(fetch_together, [event, *saves("c")]), durable=False)
    assert told == [1]


async def test_blocks_of_one_contact_with_one_number_and_other_bytes_are_one_and_a_conflict(store):
    await add_agent(store)
    first, other = (block(1, group([NOW], [value])) for value in (1.5, 2.5))
    stored = await bring(store, first, other)
    assert (stored.blocks, stored.refused) == (1, {Reason.BLOCK_CONFLICT: 1})
    assert await ask(store, "SELECT count(*) FROM block") == [(1,)]
    assert await ask(store, "SELECT count(*) FROM block_aside") == [(1,)]


async def test_many_blocks_of_one_contact_are_all_stored_and_all_to_be_rolled_up(store):
    await add_agent(store)
    some = [block(number, group([NOW + number], [1.5])) for number in range(1, 6)]
    stored = await bring(store, *some)
    assert (stored.blocks, stored.readings) == (5, 5)
    assert await ask(store, "SELECT count(*) FROM block") == [(5,)]
    assert await ask(store, "SELECT seq FROM rollup_due ORDER BY seq") == [
        (n,) for n in range(1, 6)
    ]
