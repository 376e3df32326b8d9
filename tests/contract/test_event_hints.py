"""Who listens to events at one replica hears at once what another one wrote."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from coordinator.core.events import BEGINNING, Subject
from coordinator.core.ports import execute
from coordinator.services.events import Feed
from coordinator.services.hints import Hints
from coordinator.services.noticing import NoticingStore, telling_statements
from coordinator.services.waiting import WaitingRoom
from coordinator.store.postgres import PostgresStore
from coordinator.transactions.events import newest_place
from coordinator.transactions.outbox import tell
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.runtime.clock import SystemEntropy
from tests.postgres_parts import database
from tests.stores import open_store

NOW = WallMs(1_795_000_000_000)
LONG_S = 20
"""Whoever is not woken fails the test then."""


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
