"""Database: grouping, durability per commit, isolation of failures, cancellation."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared import limits
from shared.errors import Reason, WorldError
from shared.runtime.db import Database
from shared.runtime.sqlite import SYNC_FULL, SYNC_NORMAL
from tests.unit.db_parts import SCHEMA, busy_writer, insert, keys, no_value, put, start_all


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as database:
        yield database


# --- grouping -----------------------------------------------------------------------------------
async def test_concurrent_durable_callers_share_commits(db):
    callers, each = 32, 8

    async def caller(number: int) -> None:
        for turn in range(each):
            await db.transact(put(number * each + turn), durable=True)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    assert await keys(db) == list(range(callers * each))
    assert db.counters.works == callers * each
    assert db.counters.commits == db.counters.durable_commits <= 2 * each
    assert db.counters.largest_group >= callers // 2


async def test_a_caller_alone_waits_for_nobody(db):
    for key in range(3):
        await db.transact(put(key), durable=True)
    assert (db.counters.commits, db.counters.largest_group) == (3, 1)


async def test_a_group_is_bounded(db, monkeypatch):
    monkeypatch.setattr(limits, "WRITER_BATCH", 4)
    await asyncio.gather(*(db.transact(put(key), durable=False) for key in range(10)))
    assert (db.counters.commits, db.counters.largest_group) == (3, 4)


async def test_a_full_queue_tells_the_next_caller_to_slow_down(db, monkeypatch):
    monkeypatch.setattr(limits, "WRITER_QUEUE", 3)
    async with busy_writer(db):
        waiting = [asyncio.create_task(db.transact(put(key), durable=False)) for key in range(3)]
        await start_all(*waiting)
        with pytest.raises(WorldError) as refused:
            await db.transact(put(9), durable=False)
    await asyncio.gather(*waiting)
    assert refused.value.reason is Reason.STORE_BUSY
    assert await keys(db) == [0, 1, 2]


async def test_reads_are_bounded_too(db, monkeypatch):
    monkeypatch.setattr(limits, "WRITER_QUEUE", 1)
    async with busy_writer(db):
        reading = asyncio.create_task(keys(db))
        await start_all(reading)
        with pytest.raises(WorldError) as refused:
            await keys(db)
    assert refused.value.reason is Reason.STORE_BUSY
    assert await reading == []


# --- durability ---------------------------------------------------------------------------------
def synchronous(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA synchronous").fetchone()[0]


async def test_durability_is_chosen_per_commit(db):
    levels = [await db.transact(synchronous, durable=durable) for durable in (True, False, True)]
    assert levels == [SYNC_FULL, SYNC_NORMAL, SYNC_FULL]
    assert (db.counters.commits, db.counters.durable_commits) == (3, 2)


async def test_one_durable_member_makes_its_group_durable(db):
    async with busy_writer(db):
        group = [
            asyncio.create_task(db.transact(synchronous, durable=durable))
            for durable in (False, True, False)
        ]
        await start_all(*group)
    assert await asyncio.gather(*group) == [SYNC_FULL] * 3


# --- one bad transaction fails alone ------------------------------------------------------------
async def test_one_bad_transaction_fails_alone(db):
    async def boom() -> None:
        def work(connection: sqlite3.Connection) -> None:
            insert(2)(connection)
            raise LookupError("not today")

        await db.transact(work, durable=True)

    async with busy_writer(db):
        group = [
            asyncio.create_task(one)
            for one in (
                db.transact(put(1), durable=True),
                boom(),
                db.transact(put(1), durable=True),
                db.transact(put(3), durable=True),
            )
        ]
        await start_all(*group)
    first, raised, doubled, last = await asyncio.gather(*group, return_exceptions=True)
    assert (first, last) == (None, None)
    assert isinstance(raised, LookupError)
    assert isinstance(doubled, sqlite3.IntegrityError)
    assert await keys(db) == [1, 3]
    assert (db.counters.works, db.counters.failed_works, db.failure) == (5, 2, None)


async def test_a_half_read_statement_of_a_failed_transaction_does_not_hold_up_its_group(db):
    def half_read(connection: sqlite3.Connection) -> None:
        rows = connection.execute("INSERT INTO row(id) VALUES (7), (8), (9) RETURNING id")
        rows.fetchone()
        raise LookupError

    async with busy_writer(db):
        group = [
            asyncio.create_task(db.transact(half_read, durable=True)),
            asyncio.create_task(db.transact(put(1), durable=True)),
        ]
        await start_all(*group)
    raised, good = await asyncio.gather(*group, return_exceptions=True)
    assert isinstance(raised, LookupError)
    assert good is None
    assert await keys(db) == [1]


async def test_a_deferred_constraint_fails_only_the_transaction_that_broke_it(db):
    def orphan(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO row(id, parent) VALUES (2, 404)")

    async with busy_writer(db):
        group = [
            asyncio.create_task(db.transact(work, durable=True))
            for work in (put(1), orphan, put(3))
        ]
        await start_all(*group)
    first, broke, last = await asyncio.gather(*group, return_exceptions=True)
    assert (first, last) == (None, None)
    assert isinstance(broke, sqlite3.IntegrityError)
    assert await keys(db) == [1, 3]


async def test_a_full_disk_fails_what_grows_and_takes_what_frees(db):
    await db.transact(put(1, bytes(200_000)), durable=True)
    await db.read(lambda c: c.execute("PRAGMA max_page_count = 60").fetchall())

    def shed(connection: sqlite3.Connection) -> int:
        return connection.execute("DELETE FROM row WHERE id = 1").rowcount

    async with busy_writer(db):
        group = [
            asyncio.create_task(db.transact(work, durable=True))
            for work in (put(2), put(3, bytes(200_000)), shed, put(4, bytes(150_000)))
        ]
        await start_all(*group)
    small, large, freed, after = await asyncio.gather(*group, return_exceptions=True)
    assert (small, freed, after) == (None, 1, None)
    assert isinstance(large, WorldError)
    assert large.reason is Reason.STORE_FULL
    assert await keys(db) == [2, 4]
    assert db.failure is None, "a full disk is no broken connection"


@pytest.mark.parametrize(
    "ending",
    [
        lambda c: c.execute("COMMIT"),
        lambda c: c.execute("ROLLBACK"),
        lambda c: c.executescript("SELECT 1;"),
    ],
    ids=["commit", "rollback", "executescript"],
)
async def test_a_transaction_that_ends_itself_stops_the_database(db, ending):
    with pytest.raises(WorldError, match="must not end its transaction"):
        await db.transact(no_value(ending), durable=True)
    assert db.failure is not None
    with pytest.raises(WorldError):
        await db.transact(put(1), durable=True)
    await db.reopen()
    await db.transact(put(1), durable=True)
    assert await keys(db) == [1]


# --- cancellation -------------------------------------------------------------------------------
async def test_cancelling_a_waiting_caller_does_not_undo_its_transaction(db):
    async with busy_writer(db):
        caller = asyncio.create_task(db.transact(put(1), durable=True))
        await start_all(caller)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
    assert await keys(db) == [1]


async def test_cancelling_a_caller_inside_its_transaction_does_not_undo_it(db):
    entered, leave = threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> None:
        insert(1)(connection)
        entered.set()
        leave.wait()
        insert(2)(connection)

    caller = asyncio.create_task(db.transact(work, durable=True))
    await asyncio.to_thread(entered.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    leave.set()
    assert await keys(db) == [1, 2]


async def test_a_cancelled_caller_does_not_cancel_its_neighbours(db):
    async with busy_writer(db):
        group = [asyncio.create_task(db.transact(put(key), durable=True)) for key in range(3)]
        await start_all(*group)
        group[1].cancel()
    results = await asyncio.gather(*group, return_exceptions=True)
    assert [type(result) for result in results] == [
        type(None),
        asyncio.CancelledError,
        type(None),
    ]
    assert await keys(db) == [0, 1, 2]
