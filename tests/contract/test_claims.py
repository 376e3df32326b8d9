"""Two schedulers on one PostgreSQL: a rollout's limits hold, and nobody does another one's work."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from coordinator.app_parts import compose
from coordinator.core.client_certificates import Demand
from coordinator.core.roles import EVERY_ROLE
from coordinator.place import open_fleet
from coordinator.services.drain import Drain
from coordinator.transactions.dispatch import due, step
from shared import limits
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.job import TERMINAL_EXECUTION, ExecutionState
from tests.postgres_parts import database
from tests.readings_office import VirtualClock as StandingClock
from tests.rollout_fleet import NOW, Fleet
from tests.stores import ask
from tests.system.coordinator_world import found_in
from tests.unit.test_coordinator_transactions import enrolled
from tests.unit.test_job_chains import ends, submitted, view_of
from tests.unit.test_triggers import MINUTE_MS, occasions, outcomes, saved

PER_MINUTE = 7
PER_SITE = 2
ALL = 24
"""Agents, six to a site."""


class Clock(StandingClock):
    """A clock that the test sets."""

    now_ms = NOW

    def wall_ms(self):
        return self.now_ms


@pytest.fixture
async def place(tmp_path):
    async with database(template="template0") as url:
        yield await found_in(tmp_path, postgres=url)


@asynccontextmanager
async def scheduler(place, clock):
    """One coordinator's parts on a store of its own; its loops are stepped by the test."""
    async with open_fleet(place) as (store, fleet):
        yield (
            compose(
                place.directory, store, fleet, clock,
                demand=Demand.OFF, roles=EVERY_ROLE, drain=Drain(0), where="x",
            ),
            store,
        )  # fmt: skip


class Taken:
    """A row that somebody else has."""

    def __init__(self, place, statement):
        self.place, self.statement = place, statement

    async def __aenter__(self):
        self.connection = await asyncpg.connect(self.place.postgres)
        self.transaction = self.connection.transaction()
        await self.transaction.start()
        assert await self.connection.fetch(f"{self.statement} FOR NO KEY UPDATE")
        return self

    async def __aexit__(self, *_):
        await self.transaction.rollback()
        await self.connection.close()


async def begun(store):
    """A fleet and a job whose first step nobody has taken."""
    fleet = Fleet(store)
    await fleet.enroll(ALL, per_site=6)

    async def nothing():
        pass

    fleet.settle = nothing  # type: ignore[method-assign]  # both schedulers step, nobody else
    await fleet.submit(
        rollout={"maximum_per_minute": PER_MINUTE, "max_concurrent_per_site": PER_SITE}
    )
    return fleet


async def check_limits(store):
    """Hold what is stored against what was asked for: by site, and in each minute."""
    rows = await ask(
        store,
        "SELECT a.site, e.state, e.created_ms, e.agent_id FROM execution e"
        " JOIN agent a ON a.agent_id = e.agent_id",
    )
    busy = Counter(site for site, state, _, _ in rows if state not in TERMINAL_EXECUTION)
    assert max(busy.values(), default=0) <= PER_SITE, busy
    per_minute = Counter(created_ms for _, _, created_ms, _ in rows)
    assert max(per_minute.values(), default=0) <= PER_MINUTE, per_minute
    assert len({agent for *_, agent in rows}) == len(rows), "nobody got it twice"
    return [agent for _, state, _, agent in rows if state not in TERMINAL_EXECUTION]


async def test_rate_and_places_of_sites_hold_with_two_dispatchers_at_once(place):
    clock = Clock()
    async with scheduler(place, clock) as (one, store), scheduler(place, clock) as (other, _):
        fleet = await begun(store)
        ended = 0
        for _ in range(40):
            for _ in range(3):
                await asyncio.gather(one.dispatcher.round(), other.dispatcher.round())
            working = await check_limits(store)
            # Receipts come while both look again.
            await asyncio.gather(
                *(fleet.tell(agent, ExecutionState.SUCCEEDED) for agent in working),
                one.dispatcher.round(),
                other.dispatcher.round(),
            )
            await check_limits(store)
            ended += len(working)
            if ended == ALL:
                break
            fleet.now = clock.now_ms = clock.now_ms + 60_000
        assert ended == ALL
        while await store.read(partial(due, WallMs(clock.now_ms))):
            await one.dispatcher.round()
        assert (await fleet.view()).state == "FINISHED"


async def test_a_rollout_that_another_scheduler_moves_is_left_to_it(place):
    async with scheduler(place, Clock()) as (parts, store):
        fleet = await begun(store)
        async with Taken(place, "SELECT 1 FROM rollout"):
            assert not await parts.dispatcher.round()
            assert (await fleet.step()).taken
            assert await fleet.states() == {}
        done = await store.run(partial(step, fleet.job, fleet.bench()), durable=False)
        assert (done.taken, len(done.agents)) == (False, PER_MINUTE)


async def test_a_schedule_that_another_scheduler_fires_is_left_to_it(place):
    clock = Clock()
    async with scheduler(place, clock) as (parts, store):
        await saved(store, schedule={"interval_s": 60})
        clock.now_ms = NOW + 2 * MINUTE_MS
        async with Taken(place, "SELECT 1 FROM job_trigger"):
            assert not await parts.triggers.round(), "nothing to do at once: no busy loop"
            assert await occasions(store) == []
        assert await parts.triggers.round()
        assert len(await outcomes(store)) == 1


async def test_two_schedulers_at_once_fire_a_schedule_once(place):
    clock = Clock()
    async with scheduler(place, clock) as (one, store), scheduler(place, clock) as (other, _):
        await saved(store, schedule={"interval_s": 60, "overlap": "allow"})
        for number in range(1, 6):
            clock.now_ms = NOW + (number + 1) * MINUTE_MS
            await asyncio.gather(one.triggers.round(), other.triggers.round())
            assert len(await occasions(store)) == number


async def chained(store):
    """A job whose wait is over, and that nobody has let go."""
    await enrolled(store)
    first = await submitted(store)
    second = await submitted(store, begins_after={"job": uuid_text(first)})
    await ends(store, ExecutionState.SUCCEEDED)
    return second


async def test_a_job_that_another_scheduler_lets_go_is_left_to_it(place):
    async with scheduler(place, Clock()) as (parts, store):
        job = await chained(store)
        async with Taken(place, "SELECT 1 FROM job WHERE waits_for IS NOT NULL"):
            assert not await parts.triggers.round(), "nothing to do at once: no busy loop"
            assert (await view_of(store, job)).state == "SCHEDULED"
        assert await parts.triggers.round()
        assert (await view_of(store, job)).counts == {"QUEUED": 1}


async def test_two_schedulers_at_once_let_a_job_go_once(place):
    clock = Clock()
    async with scheduler(place, clock) as (one, store), scheduler(place, clock) as (other, _):
        job = await chained(store)
        dealt = await asyncio.gather(one.triggers.round(), other.triggers.round())
        assert sorted(dealt) == [False, True]
        assert (await view_of(store, job)).counts == {"QUEUED": 1}
        begun = await ask(store, "SELECT 1 FROM audit WHERE action = 'job.begin'")
        assert len(begun) == 1


async def late(store, clock):
    """Some jobs that may not begin any more, and that nobody has settled."""
    await enrolled(store)
    jobs = [await submitted(store) for _ in range(3)]
    clock.now_ms = WallMs(NOW + (limits.JOB_EXPIRES_S + 1) * 1000)
    return jobs


async def counts(store, jobs):
    return [(await view_of(store, job)).counts for job in jobs]


async def expired(store):
    return await ask(store, "SELECT count(*) FROM job WHERE expired_ms IS NOT NULL")


async def test_a_job_that_another_process_settles_is_left_to_it(place):
    clock = Clock()
    async with scheduler(place, clock) as (parts, store):
        await late(store, clock)
        async with Taken(place, "SELECT 1 FROM job"):
            assert not await parts.deadlines.round()
            assert await expired(store) == [(0,)]
        assert await parts.deadlines.round()
        assert await expired(store) == [(3,)]


async def test_two_processes_at_once_settle_each_job_once(place):
    clock = Clock()
    async with scheduler(place, clock) as (one, store), scheduler(place, clock) as (other, _):
        jobs = await late(store, clock)
        await asyncio.gather(one.deadlines.round(), other.deadlines.round())
        assert await expired(store) == [(3,)]
        assert await counts(store, jobs) == [{"EXPIRED": 1}] * 3
        version = await ask(store, "SELECT DISTINCT version, state FROM execution")
        assert len(version) == 1, "each was settled once"
