"""Contacts that share a transaction of PostgreSQL's: as if each had run alone, whatever happens."""

import asyncio
import re
from collections import Counter
from functools import partial

import pytest

from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.store.postgres import PostgresStore
from coordinator.store.postgres_groups import OWN
from coordinator.store.statements import load_statements
from shared import limits
from shared.errors import Reason, RefusedError
from tests.contract.test_store_postgres import cut_store
from tests.postgres_parts import database
from tests.readings_office import add_agent
from tests.stores import ask

AGENTS = [f"g{number}" for number in range(12)]
DAY = 20_000


@pytest.fixture
async def url():
    async with database() as made:
        yield made


@pytest.fixture
async def store(url):
    async with await PostgresStore.open(url) as opened:
        for agent in AGENTS:
            await add_agent(opened, agent)
        yield opened


def more(agent: str, by: int = 1) -> Tx[int]:
    """Count in an agent's row, as a contact counts its bytes."""
    row = yield from fetch_one("contact_state", agent, b"t", b"j", 1, b"", b"")
    assert row is not None, "the agent was let in"
    taken = (row[22] or 0) + by
    yield from execute("intake_day_save", agent, DAY, taken)
    return taken


async def together(store, *bodies):
    """Run bodies, given as (agent, body), at once."""
    running = (store.run(body, durable=False, agent=agent) for agent, body in bodies)
    return await asyncio.gather(*running, return_exceptions=True)


async def transactions(store):
    """How many agents were counted by one transaction, for each that counted any."""
    rows = await ask(store, "SELECT CAST(CAST(xmin AS TEXT) AS BIGINT) FROM intake_day")
    return sorted(Counter(rows).values())


def counting(agents=AGENTS):
    return [(agent, partial(more, agent)) for agent in agents]


async def counted(store):
    return dict(await ask(store, "SELECT agent_id, bytes FROM intake_day"))


async def test_contacts_at_the_same_time_share_a_transaction_and_each_has_its_answer(store):
    bodies = [(agent, partial(more, agent, number)) for number, agent in enumerate(AGENTS)]
    assert await together(store, *bodies) == list(range(12))
    assert await transactions(store) == [12]
    assert await together(store, *bodies) == [2 * number for number in range(12)]


async def test_two_of_one_agent_at_the_same_time_are_both_counted(store):
    found = await together(store, *counting(), *counting(AGENTS[:3]))
    assert found == [1] * 12 + [2] * 3


async def test_a_body_that_raises_before_it_wrote_leaves_the_others_together(store):
    def refused() -> Tx[int]:
        yield from fetch("contact_state", AGENTS[0], b"t", b"j", 1, b"", b"")
        raise RefusedError(Reason.REVOKED)

    first, *rest = await together(store, (AGENTS[0], refused), *counting(AGENTS[1:]))
    assert isinstance(first, RefusedError)
    assert rest == [1] * 11
    assert await transactions(store) == [11]


async def test_what_a_body_wrote_that_raises_is_undone_and_the_others_are_committed(store):
    def refused() -> Tx[int]:
        yield from more(AGENTS[0])
        raise RefusedError(Reason.REVOKED)

    first, *rest = await together(store, (AGENTS[0], refused), *counting(AGENTS[1:]))
    assert isinstance(first, RefusedError)
    assert rest == [1] * 11
    assert await counted(store) == dict.fromkeys(AGENTS[1:], 1)


async def test_who_ended_a_group_runs_by_itself_for_a_while(store):
    begun = []

    def strays() -> Tx[int]:
        begun.append(AGENTS[0])
        taken = yield from more(AGENTS[0])
        yield from execute("keeping_save", "n", taken)
        return taken

    await together(store, (AGENTS[0], strays), *counting(AGENTS[1:]))
    for _ in range(limits.POSTGRES_APART_RUNS):
        begun.clear()
        # One after the other: beside each other, either may meet the other in an index's page.
        await together(store, (AGENTS[0], strays))
        assert begun == [AGENTS[0]], "no group was tried first"
        await together(store, *counting(AGENTS[1:]))
        assert await transactions(store) == [1, 11]
    assert await ask(store, "SELECT value FROM keeping") == [(limits.POSTGRES_APART_RUNS + 1,)]
    assert await together(store, *counting()) == [limits.POSTGRES_APART_RUNS + 2] * 12
    assert await transactions(store) == [12]


async def test_bodies_that_touch_what_is_everybodys_see_each_other(store):
    def shared() -> Tx[None]:
        rows = yield from fetch("keeping")
        yield from execute("keeping_save", "n", sum(value for _, value in rows) + 1)

    assert await together(store, *((agent, shared) for agent in AGENTS[:4])) == [None] * 4
    assert await ask(store, "SELECT value FROM keeping") == [(4,)]


async def test_a_body_that_touches_another_agents_row_is_not_run_beside_it(store):
    bodies = [(agent, partial(more, AGENTS[0])) for agent in AGENTS[:4]]
    assert sorted(await together(store, *bodies)) == [1, 2, 3, 4]


async def test_groups_of_two_replicas_that_meet_count_every_contact(store, url):
    async with await PostgresStore.open(url) as other:
        for _ in range(3):
            found = await asyncio.gather(
                together(store, *counting()), together(other, *counting(AGENTS[::-1]))
            )
            assert not [one for each in found for one in each if isinstance(one, BaseException)]
    assert await counted(store) == dict.fromkeys(AGENTS, 6)


@pytest.mark.parametrize("delivers", [True, False])
async def test_a_groups_commit_whose_answer_is_lost_is_done_once(store, url, tmp_path, delivers):
    async with cut_store(url, tmp_path, delivers=delivers) as (cut, cable):
        assert await together(cut, *counting()) == [1] * 12
        cable.armed = True
        assert await together(cut, *counting()) == [2] * 12
    assert await counted(store) == dict.fromkeys(AGENTS, 2)


async def test_a_caller_that_gives_up_takes_nobody_with_it(store):
    gone = asyncio.create_task(store.run(partial(more, AGENTS[0]), durable=False, agent=AGENTS[0]))
    rest = asyncio.create_task(together(store, *counting(AGENTS[1:])))
    await asyncio.sleep(0)
    gone.cancel()
    assert await rest == [1] * 11


def test_the_statements_of_a_group_name_the_agent_whose_rows_they_touch():
    statements = load_statements()
    for name, place in OWN.items():
        text = statements[name]
        found = re.match(r"INSERT INTO \w+ \(([^)]*)\)\s*(?:VALUES \(|SELECT )([^;]*)", text)
        if name == "trigger_event":
            assert place == 3
            assert "CAST($4 AS TEXT)" in text
        elif found:
            assert found[1].startswith("agent_id,"), name
            assert found[2].startswith("$1,"), name
        else:
            assert re.search(r"\bagent_id = \$1\b", text), name
            assert place == 0
