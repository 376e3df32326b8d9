"""A small schema, and callers of one database that wait together."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.runtime.db import Database
from shared.runtime.group_commit import Work
from shared.runtime.migrations import Migration, MigrationSet

SCHEMA = MigrationSet(
    (
        Migration(
            version=1,
            name="rows",
            sql="""
CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE row (
    id INTEGER PRIMARY KEY,
    body BLOB NOT NULL DEFAULT x'',
    parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
""",
        ),
    )
)


def insert(key: int, body: bytes = b"") -> Work:
    return lambda c: c.execute("INSERT INTO row(id, body) VALUES ($1, $2)", {"1": key, "2": body})


def no_value(work: Work) -> Work:
    """Leave the cursor inside, as every store does."""

    def run(connection: sqlite3.Connection) -> None:
        work(connection)

    return run


def put(key: int, body: bytes = b"") -> Work:
    return no_value(insert(key, body))


async def keys(db: Database) -> list[int]:
    return await db.read(lambda c: [key for (key,) in c.execute("SELECT id FROM row ORDER BY id")])


@asynccontextmanager
async def busy_writer(db: Database) -> AsyncIterator[None]:
    """Hold the writer inside a transaction, so that what is asked for meanwhile waits together."""
    entered, leave = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        entered.set()
        leave.wait()

    holder = asyncio.create_task(db.transact(hold, durable=False))
    await asyncio.to_thread(entered.wait)
    try:
        yield
    finally:
        leave.set()
        await holder


async def start_all(*waiting: asyncio.Task) -> None:
    """Let every task run up to its first wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
