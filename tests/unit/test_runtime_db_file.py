"""Database: reading, opening and closing its file, failing and reopening, other processes."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiosqlite
import pytest

from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.runtime.connection import Connection
from shared.runtime.db import Database
from shared.runtime.sqlite import SYNC_FULL, SYNC_NORMAL, give_back
from tests.unit.db_parts import SCHEMA, insert, keys, no_value, put, start_all


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as database:
        yield database


# --- reading ------------------------------------------------------------------------------------
async def test_a_read_sees_every_commit_before_it(db):
    await db.transact(put(1), durable=False)
    assert await keys(db) == [1]
    assert db.counters.reads == 1


async def test_a_read_that_writes_is_refused_and_changes_nothing(db):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await db.read(insert(1))
    assert db.failure is None
    await db.transact(put(2), durable=True)
    assert await keys(db) == [2]


async def test_nothing_of_a_read_stays_whatever_it_tries(db):
    await db.read(lambda c: c.execute("CREATE TABLE other (id INTEGER)").rowcount)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.read(lambda c: c.execute("SELECT * FROM other").fetchall())
    with pytest.raises(sqlite3.OperationalError, match="ended itself"):
        await db.read(lambda c: c.execute("ROLLBACK").rowcount)
    await db.transact(put(2), durable=True)
    assert await keys(db) == [2]


async def test_a_read_has_no_statement_compiled_anew(db):
    compiled: list[int] = []

    def see(action: int, *_: object) -> int:
        compiled.append(action)
        return sqlite3.SQLITE_OK

    await db.read(lambda c: c.set_authorizer(see))
    assert await keys(db) == []
    compiled.clear()
    assert await keys(db) == []
    assert not [action for action in compiled if action != sqlite3.SQLITE_TRANSACTION]


async def test_each_commit_and_each_read_is_told_what_it_waits_for(db):
    def asked(pragma: str) -> Callable[[sqlite3.Connection], int]:
        return lambda c: c.execute(f"PRAGMA {pragma}").fetchone()[0]

    for durable in (True, False, False, True, True, False):
        level = await db.transact(asked("synchronous"), durable=durable)
        assert level == (SYNC_FULL if durable else SYNC_NORMAL)
        assert await db.transact(asked("busy_timeout"), durable=durable) == 1
        assert await db.read(asked("busy_timeout")) == limits.DB_BUSY_MS


async def test_a_wrong_statement_is_its_callers_error(db):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.read(lambda c: c.execute("SELECT * FROM nowhere").fetchall())
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.transact(lambda c: c.execute("DELETE FROM nowhere").rowcount, durable=True)
    assert db.failure is None


async def test_space_tells_what_is_used_and_what_is_free(db):
    await db.transact(put(1, bytes(500_000)), durable=True)
    full = await db.space()
    await db.transact(lambda c: c.execute("DELETE FROM row").rowcount, durable=True)
    empty = await db.space()
    assert full.used_bytes > 500_000 > empty.used_bytes
    assert empty.free_bytes > 400_000
    assert await db.transact(lambda c: give_back(c, 100), durable=True) == 100
    await db.transact(lambda c: give_back(c, 100), durable=True)
    assert (await db.space()).free_bytes == 0


# --- opening ------------------------------------------------------------------------------------
async def test_nobody_else_may_read_the_files(db, tmp_path):
    await db.transact(put(1), durable=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600}


async def test_a_shared_database_can_be_read_by_another_connection(tmp_path):
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=False) as db:
        await db.transact(put(1), durable=True)
        other = sqlite3.connect(f"file:{tmp_path / 'a.db'}?mode=ro", uri=True)
        try:
            assert other.execute("SELECT id FROM row").fetchall() == [(1,)]
        finally:
            other.close()


async def test_an_exclusive_database_is_opened_once(db, monkeypatch):
    monkeypatch.setattr(limits, "DB_BUSY_MS", 1)
    with pytest.raises(MistakeError, match="open in another process"):
        await Database.open(db.path, schema=SCHEMA, exclusive=True)


async def test_page_size_is_chosen_once_for_a_file(tmp_path):
    for wanted in (1024, 4096):
        async with Database.open(
            tmp_path / "a.db", schema=SCHEMA, exclusive=True, page_size=wanted
        ) as db:
            assert await db.read(lambda c: c.execute("PRAGMA page_size").fetchone()) == (1024,)


async def test_a_missing_folder_is_one_sentence_not_a_traceback(tmp_path):
    with pytest.raises(WorldError, match="cannot be opened") as refused:
        await Database.open(tmp_path / "none" / "a.db", schema=SCHEMA, exclusive=True)
    assert refused.value.reason is Reason.STORE_FAILED


async def test_cancelling_an_opening_leaves_nothing_open(tmp_path):
    before = threading.active_count()
    opening = asyncio.create_task(_open_and_hold(tmp_path / "a.db"))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert threading.active_count() == before
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as db:
        assert await keys(db) == []


async def _open_and_hold(path: Path) -> None:
    async with Database.open(path, schema=SCHEMA, exclusive=True):
        await asyncio.Event().wait()


# --- closing ------------------------------------------------------------------------------------
async def test_closing_runs_what_is_queued_and_ends_the_thread(tmp_path):
    before = threading.active_count()
    db = await Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True)
    waiting = [asyncio.create_task(db.transact(put(key), durable=True)) for key in range(300)]
    await start_all(*waiting)
    await db.close()
    await db.close()
    assert threading.active_count() == before
    await asyncio.gather(*waiting)
    with pytest.raises(WorldError) as refused:
        await db.transact(put(1), durable=True)
    assert refused.value.reason is Reason.STORE_CLOSED
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as again:
        assert await keys(again) == list(range(300))


async def test_a_cancelled_close_still_ends_the_thread(tmp_path):
    before = threading.active_count()
    db = await Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True)
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert threading.active_count() == before


async def test_an_exception_inside_the_context_closes_the_database(tmp_path):
    async def fail() -> None:
        async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as db:
            await db.transact(put(1), durable=False)
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert threading.active_count() == before
    assert not (tmp_path / "a.db-wal").exists(), "a clean close folds the log back"


# --- failing ------------------------------------------------------------------------------------
async def test_damage_under_way_fails_every_caller_until_reopened(tmp_path):
    path = tmp_path / "a.db"
    async with Database.open(path, schema=SCHEMA, exclusive=False, page_size=1024) as db:
        await db.transact(put(1, bytes(300_000)), durable=True)
    async with Database.open(path, schema=SCHEMA, exclusive=False) as db:
        # The header stays; every page after it is noise.
        whole = path.read_bytes()
        path.write_bytes(whole[:1024] + b"\xa5" * (len(whole) - 1024))
        with pytest.raises(WorldError) as read:
            await db.read(lambda c: c.execute("SELECT body FROM row").fetchall())
        with pytest.raises(WorldError) as written:
            await db.transact(put(2), durable=True)
        assert read.value.reason is written.value.reason is Reason.STORE_CORRUPT
        with pytest.raises(WorldError) as again:
            await db.reopen()
        assert again.value.reason is Reason.STORE_CORRUPT
        with pytest.raises(WorldError):
            await keys(db)
        path.write_bytes(whole)
        await db.reopen()
        await db.transact(put(2), durable=True)
        assert await keys(db) == [1, 2]


async def test_reopening_a_healthy_database_changes_nothing(db):
    await db.reopen()
    await db.transact(put(1), durable=True)
    assert await keys(db) == [1]


async def test_concurrent_reopenings_open_once(db):
    with pytest.raises(WorldError):
        await db.transact(no_value(lambda c: c.execute("ROLLBACK")), durable=True)
    await asyncio.gather(db.reopen(), db.reopen())
    await db.transact(put(1), durable=True)
    assert await keys(db) == [1]


async def test_a_closed_database_stays_closed(tmp_path):
    db = await Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True)
    await db.close()
    with pytest.raises(WorldError) as refused:
        await db.reopen()
    assert refused.value.reason is Reason.STORE_CLOSED


async def test_a_writer_that_was_killed_strands_no_caller(tmp_path):
    db = await Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True)
    waiting = asyncio.create_task(db.transact(put(1), durable=True))
    await start_all(waiting)
    assert db._writer
    db._writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(WorldError):
        await db.transact(put(2), durable=True)
    await db.close()


# --- aiosqlite ----------------------------------------------------------------------------------
async def test_aiosqlite_still_has_the_private_names_that_one_hop_needs():
    connection = Connection(lambda: sqlite3.connect(":memory:"))
    connection.spare_the_process()
    await connection
    try:
        assert connection._thread.daemon
        assert isinstance(connection._connection, sqlite3.Connection)
        assert await connection.call(lambda c, n: c.execute("SELECT ?", (n,)).fetchone(), 7) == (7,)
        assert await connection.call(lambda _: threading.current_thread()) is connection._thread
    finally:
        await connection.close()
        connection.join()
    assert not connection._thread.is_alive()
    assert aiosqlite.__version__.startswith("0.")


async def test_a_commit_waits_for_the_transaction_of_another_process(tmp_path):
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=False) as db:
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(db.transact(put(1), durable=True))
        done, _ = await asyncio.wait((waiting,), timeout=0.01)
        assert not done
        other.execute("COMMIT")
        other.close()
        await waiting


async def test_another_process_that_does_not_end_its_transaction_fails_the_commit_alone(
    tmp_path, monkeypatch
):
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=False) as db:
        monkeypatch.setattr(limits, "DB_BUSY_MS", 20)
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorldError) as refused:
            await db.transact(put(1), durable=True)
        other.execute("COMMIT")
        other.close()
        assert refused.value.reason is Reason.STORE_BUSY
        await db.transact(put(1), durable=True)
        assert db.failure is None


# --- damage that says that the disk is full -------------------------------------------------------
PAGE = 1024
LEAF = 13
"""The first byte of a page with rows, sqlite.org/fileformat2.html 1.6."""


async def with_a_wrong_page_number(path: Path, *, exclusive: bool) -> None:
    """Make a file with a long row whose rest lies on a page that there cannot be."""
    opening = Database.open(path, schema=SCHEMA, exclusive=exclusive, page_size=PAGE)
    async with opening as database:
        await database.transact(put(2, b"C" * 3000), durable=True)
    data = bytearray(path.read_bytes())
    for start in range(0, len(data), PAGE):
        page = data[start : start + PAGE]
        if page[0] == LEAF and page.count(b"C"):
            end = start + page.rindex(b"C") + 1
            data[end : end + 4] = b"\xff\xff\xff\xf0"
    path.write_bytes(data)


async def test_a_file_whose_disk_is_said_to_be_full_is_looked_at_for_damage(tmp_path):
    await with_a_wrong_page_number(tmp_path / "a.db", exclusive=True)
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as database:
        with pytest.raises(WorldError) as refused:
            await database.transact(put(1, b"x" * 3000), durable=True)
        assert refused.value.reason is Reason.STORE_FULL, "SQLite's word for it"
        assert database.failure is not None
        assert database.failure.reason is Reason.STORE_CORRUPT


async def test_a_file_that_others_have_is_not_read_from_end_to_end(tmp_path):
    await with_a_wrong_page_number(tmp_path / "a.db", exclusive=False)
    async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=False) as database:
        with pytest.raises(WorldError):
            await database.transact(put(1, b"x" * 3000), durable=True)
        assert database.failure is None
