"""Who listens to events at one replica hears at once what another one wrote."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from coordinator.core.events import BEGINNING, Subject
from coordinator.core.ports import execute
from coordinator.services.events import Feed, Teller
from coordinator.services.hints import Hints
from coordinator.services.noticing import NoticingStore, telling_statements
from coordinator.services.waiting import WaitingRoom
from coordinator.store.postgres import PostgresStore
from coordinator.transactions.cancel import cancel
from coordinator.transactions.events import newest_place
from coordinator.transactions.outbox import tell
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.runtime.clock import SystemClock, SystemEntropy
from tests.postgres_parts import database
from tests.stores import open_store
from tests.unit.test_coordinator_transactions import enrolled, submitted

NOW = WallMs(1_795_000_000_000)
LONG_S = 60
"""Whoever is not woken fails the test then."""
SOME_LOOKS = 3
"""By then somebody looks again and again, without being rung for."""


class Replica:
    """One process on the database, as the composition root puts it together."""

    def __init__(self, store):
        jobs = WaitingRoom[bytes]()
        self.feed = Feed(store, jobs)
        self.store = NoticingStore(store, self.feed.ring)
        self.hints = Hints(store.line(), SystemEntropy())
        self.hints.connect(WaitingRoom[AgentId](), jobs, {"events": self.feed.bell})


@asynccontextmanager
async def replica(url):
    async with await PostgresStore.open(url) as store:
        made = Replica(store)
        tasks = [asyncio.create_task(made.hints.run()), asyncio.create_task(made.feed.run())]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def online(store, agent):
    await store.run(partial(tell, "agent.online", Subject(agent=agent), NOW), durable=True)


async def test_a_listener_at_one_replica_hears_at_once_of_an_event_at_another(monkeypatch):
    monkeypatch.setattr(limits, "EVENT_LOOK_MS", 3_600_000)  # nobody finds it by looking
    async with database() as url, replica(url) as here, replica(url) as there:
        with there.feed.listen() as waiter:
            # Some looks belong to the beginning: more events than these can find.
            for name in ("mill", "press", "saw", "kiln"):
                await online(here.store, name)
                assert await waiter.wait(LONG_S), name


class WatchedStore(NoticingStore):
    """A store that tells how often somebody looked."""

    def __init__(self, store):
        super().__init__(store, lambda: None)
        self._looks = asyncio.Semaphore(0)

    async def read(self, transaction):
        value = await super().read(transaction)
        self._looks.release()
        return value

    async def looked(self, times):
        async with asyncio.timeout(LONG_S):
            for _ in range(times):
                await self._looks.acquire()


@asynccontextmanager
async def held_back(url):
    """What is committed inside may be told when an older transaction has ended."""
    slow = await asyncpg.connect(url)
    try:
        async with slow.transaction():
            await slow.execute("SELECT pg_current_xact_id()")
            yield
    finally:
        await slow.close()


@pytest.fixture
async def start():
    """Let services work until the test is over."""
    tasks = []
    yield lambda service: tasks.append(asyncio.create_task(service.run()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_listener_hears_of_an_event_soon_after_nothing_holds_it_back(monkeypatch, start):
    monkeypatch.setattr(limits, "EVENT_LOOK_MS", 3_600_000)
    async with database() as url, await PostgresStore.open(url) as store:
        watched = WatchedStore(store)
        feed = Feed(watched, WaitingRoom[bytes]())
        with feed.listen() as waiter:
            async with held_back(url):
                await online(store, "mill")
                start(feed)
                await watched.looked(2 * SOME_LOOKS)
                assert await store.read(newest_place) == BEGINNING
            assert await waiter.wait(LONG_S)


async def test_the_end_of_a_job_is_told_soon_after_nothing_holds_it_back(monkeypatch, start):
    monkeypatch.setattr(limits, "TELLER_LOOK_S", 3_600)
    async with database() as url, await PostgresStore.open(url) as store:
        await enrolled(store)
        job = (await submitted(store)).job
        watched, told = WatchedStore(store), asyncio.Event()
        teller = Teller(watched, SystemClock(), told.set)
        start(teller)
        await watched.looked(3)
        async with held_back(url):
            await store.run(partial(cancel, job, actor="anna", now_ms=NOW), durable=True)
            teller.look_again()
            await watched.looked(3 * SOME_LOOKS)
            assert not told.is_set()
        async with asyncio.timeout(LONG_S):
            await told.wait()


async def test_a_listener_at_the_same_process_is_told_on_both_engines(tmp_path):
    for engine in ("sqlite", "postgres"):
        (tmp_path / engine).mkdir()
        async with open_store(engine, tmp_path / engine) as store:
            told: list[int] = []
            noticing = NoticingStore(store, partial(told.append, 1))
            await online(noticing, "pump")
            assert told == [1]
            await noticing.run(lambda: execute("keeping_save", "raw", 1), durable=True)
            assert told == [1], "nothing was told"
            with pytest.raises(ZeroDivisionError):
                await noticing.run(_undone, durable=True)
            assert told == [1], "nothing was committed"
            assert await noticing.read(newest_place) != BEGINNING


def _undone():
    yield from tell("agent.online", Subject(agent="pump"), NOW)
    raise ZeroDivisionError


def test_every_statement_that_tells_is_known():
    known = telling_statements()
    assert {"event_insert", "rollout_overdue"} <= known
    assert not {name for name in known if name.startswith("contact")}
