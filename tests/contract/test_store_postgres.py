"""What PostgreSQL alone brings: commits whose answer is lost, connections that end, partitions."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from coordinator.core.ports import execute, fetch
from coordinator.services.retention import Retention
from coordinator.store.partitions import Month
from coordinator.store.postgres import PostgresStore
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, WorldError
from tests.postgres_parts import database
from tests.readings_office import (
    AGENT,
    EPOCH,
    NOW,
    VirtualClock,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    settle_times,
)
from tests.stores import ask, tell

DAY_MS = 86_400_000


@pytest.fixture
async def url():
    async with database() as made:
        yield made


@pytest.fixture
async def store(url):
    async with await PostgresStore.open(url) as opened:
        yield opened


class Cable:
    """Between a store and its server: cuts the connection at the first COMMIT, once."""

    def __init__(self, server, *, delivers):
        self.server, self.delivers = server, delivers
        self.armed = False
        self.commits = 0

    async def serve(self, reader, writer):
        up_reader, up_writer = await asyncio.open_unix_connection(self.server)
        back = asyncio.create_task(self.carry_back(up_reader, writer))
        try:
            while data := await reader.read(65_536):
                if b"COMMIT\0" in data:
                    self.commits += 1
                    if self.armed:
                        self.armed = False
                        if self.delivers:
                            back.cancel()
                            await asyncio.wait((back,))  # it reads no more; only one may
                            up_writer.write(data)
                            await up_reader.read(65_536)  # it is done; nobody hears of it
                        break
                up_writer.write(data)
        finally:
            back.cancel()
            await asyncio.wait((back,))
            for one in (up_writer, writer):
                one.transport.abort()

    async def carry_back(self, reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def cut_store(url, tmp_path, *, delivers):
    """A store behind a cable, and the cable."""
    folder = url.partition("host=")[2]
    cable = Cable(f"{folder}/.s.PGSQL.5432", delivers=delivers)
    listening = await asyncio.start_unix_server(cable.serve, tmp_path / ".s.PGSQL.5432")
    async with listening, await PostgresStore.open(url.replace(folder, str(tmp_path))) as store:
        yield store, cable


@pytest.mark.parametrize("delivers", [True, False])
async def test_a_commit_whose_answer_is_lost_is_done_once(url, tmp_path, delivers):
    """Done and done again would count two; neither would count none."""
    runs = []

    def grow():
        runs.append(1)
        found = yield from fetch("keeping")
        yield from execute("keeping_save", "n", (found[0][1] if found else 0) + 1)
        return len(runs)

    async with cut_store(url, tmp_path, delivers=delivers) as (store, cable):
        await store.run(grow, durable=True)
        runs.clear()
        cable.armed = True
        assert await store.run(grow, durable=True) == len(runs)
        assert len(runs) == (1 if delivers else 2)
        assert await store.read(partial(fetch, "keeping")) == [("n", 2)]


async def test_a_commit_that_nobody_can_be_asked_about_is_said_to_be_unsure(
    url, tmp_path, monkeypatch
):
    monkeypatch.setattr("shared.limits.POSTGRES_UNSURE_S", 0)
    async with cut_store(url, tmp_path, delivers=True) as (store, cable):
        cable.armed = True
        with pytest.raises(WorldError) as caught:
            await store.run(partial(execute, "keeping_save", "n", 1), durable=True)
        assert caught.value.reason is Reason.STORE_UNSURE


async def test_connections_that_the_server_ends_are_replaced(store, url):
    await store.run(partial(execute, "keeping_save", "n", 1), durable=True)
    other = await asyncpg.connect(url)
    await other.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await other.close()
    assert await store.read(partial(fetch, "keeping")) == [("n", 1)]
    await store.run(partial(execute, "keeping_save", "n", 2), durable=True)
    assert await store.read(partial(fetch, "keeping")) == [("n", 2)]


async def test_a_database_that_is_not_there_is_a_persons_mistake(url):
    with pytest.raises(MistakeError, match="createdb"):
        await PostgresStore.open(url.replace("/t", "/no"))


# --- partitions ----------------------------------------------------------------------------------
def test_a_month_ends_where_the_next_one_begins():
    december = Month(2026, 12)
    assert december.following == Month(2027, 1)
    assert Month.of(WallMs(december.following.start_ms - 1)) == december
    assert Month.of(WallMs(december.following.start_ms)) == Month(2027, 1)
    assert december.name == "block_month_2026_12"


async def months(store):
    found = await ask(
        store,
        "SELECT CAST(c.relname AS TEXT) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'block'::regclass ORDER BY 1",
    )
    return [name.removeprefix("block_") for (name,) in found]


async def totals(store):
    kept = await ask(
        store,
        "SELECT priority, sum(blocks), sum(bytes) FROM block_total GROUP BY 1"
        " HAVING sum(blocks) <> 0 ORDER BY 1",
    )
    counted = await ask(
        store, "SELECT priority, count(*), sum(length(data)) FROM block GROUP BY 1 ORDER BY 1"
    )
    assert kept == counted
    return {priority: blocks for priority, blocks, _ in kept}


async def test_a_block_lies_in_the_month_of_its_arrival_and_a_month_over_its_time_goes_whole(store):
    await store.upkeep(NOW)
    made = await months(store)
    assert made == [*(m.name.removeprefix("block_") for m in _three(NOW)), "otherwise"]
    await add_agent(store)
    await bring(store, block(1, group([NOW])), block(2, group([NOW])))
    [(where,)] = await ask(store, "SELECT DISTINCT CAST(tableoid::regclass AS TEXT) FROM block")
    assert where == Month.of(NOW).name
    await settle_times(store)
    later = WallMs(NOW + 3_000 * DAY_MS)
    assert await store.upkeep(later) == {}, "what is in no rollup yet is kept"
    await roll_everything_up(store)
    dropped = await store.upkeep(later)
    assert sum(dropped.values()) == 2
    assert Month.of(NOW).name.removeprefix("block_") not in await months(store)
    assert await totals(store) == {}
    assert await ask(store, "SELECT count(*) FROM raw_gone") == [(1,)], "its readings are gone"


async def test_a_dump_of_the_blocks_keeps_their_months_and_nothing_else(store, url):
    """`pg_dump` holds every table for as long as it takes."""
    await store.upkeep(NOW)
    await add_agent(store)
    await bring(store, block(1, group([NOW])))
    await roll_everything_up(store)
    aside = "INSERT INTO block_aside VALUES ($1, $2, 1, $3, $4, $5)"
    await tell(store, aside, AGENT, EPOCH, b"d" * 16, NOW, b"x")
    before, retention = await months(store), Retention(store, Later())
    dump = await asyncpg.connect(url)
    try:
        async with dump.transaction():
            await dump.execute("LOCK TABLE block IN ACCESS SHARE MODE")
            taken = await retention.round(pause_s=0)
            assert (taken["raw.2"], taken["aside"]) == (1, 1), "row by row"
            assert await months(store) == before
    finally:
        await dump.close()
    await retention.round(pause_s=0)
    assert not set(before) & set(await months(store)) - {"otherwise"}


class Later(VirtualClock):
    """A clock that says when nothing is kept any longer."""

    def wall_ms(self):
        return WallMs(NOW + 3_000 * DAY_MS)


async def test_a_month_with_one_block_that_is_kept_stays(store):
    await store.upkeep(NOW)
    await add_agent(store)
    await bring(store, block(1, group([NOW])), block(2, group([NOW])))
    await roll_everything_up(store)
    later = NOW + 3_000 * DAY_MS
    await tell(store, "UPDATE block SET last_ms = $1 WHERE seq = 2", later)
    assert await store.upkeep(WallMs(later)) == {}
    assert sum((await totals(store)).values()) == 2


async def test_totals_are_summed_up(store):
    await add_agent(store)
    for seq in range(1, 6):
        await bring(store, block(seq, group([NOW])))
    before = await totals(store)
    await store.upkeep(NOW)
    assert await totals(store) == before
    assert await ask(store, "SELECT count(*) FROM block_total") == [(1,)]


async def test_blocks_that_came_before_their_month_was_made_stay_where_they_are(store):
    await add_agent(store)
    await bring(store, block(1, group([NOW])))
    await store.upkeep(NOW)
    assert Month.of(NOW).name.removeprefix("block_") not in await months(store)
    assert await totals(store) == {2: 1}


def _three(now_ms):
    first = Month.of(now_ms)
    return first, first.following, first.following.following
