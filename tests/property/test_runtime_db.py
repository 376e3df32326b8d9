"""Any interleaving of good, bad and cancelled transactions leaves exactly the good ones."""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.runtime.db import Database
from shared.runtime.migrations import Migration, MigrationSet
from tests.simulation.loop import World, simulate

SCHEMA = MigrationSet(
    (
        Migration(
            version=1,
            name="rows",
            sql="""
CREATE TABLE row (
    id INTEGER PRIMARY KEY,
    pair INTEGER REFERENCES row (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
""",
        ),
    )
)


class RefusedOnPurposeError(Exception):
    pass


def insert(connection: sqlite3.Connection, key: int) -> None:
    connection.execute("INSERT INTO row(id, pair) VALUES (?, ?)", (key, key))


def good(connection: sqlite3.Connection, key: int) -> None:
    insert(connection, key)


def raising(connection: sqlite3.Connection, key: int) -> None:
    insert(connection, key)
    raise RefusedOnPurposeError


def doubled(connection: sqlite3.Connection, key: int) -> None:
    insert(connection, key)
    insert(connection, key)


def orphaned(connection: sqlite3.Connection, key: int) -> None:
    connection.execute("INSERT INTO row(id, pair) VALUES (?, -1)", (key,))


def half_read(connection: sqlite3.Connection, key: int) -> None:
    rows = connection.execute("INSERT INTO row(id) VALUES (?), (?) RETURNING id", (key, key + 1))
    rows.fetchone()
    raise RefusedOnPurposeError


def forgiving(connection: sqlite3.Connection, key: int) -> None:
    """Fail inside, go on, succeed."""
    insert(connection, key)
    with pytest.raises(sqlite3.IntegrityError):
        insert(connection, key)


BODIES: list[Callable[[sqlite3.Connection, int], None]] = [
    good,
    raising,
    doubled,
    orphaned,
    half_read,
    forgiving,
]
GOOD = {good, forgiving}

step = st.tuples(
    st.sampled_from(BODIES),
    st.booleans(),  # durable
    st.booleans(),  # cancelled meanwhile
    st.integers(0, 8),  # thousandths of a second to think before
)


@given(
    callers=st.lists(st.lists(step, max_size=6), min_size=1, max_size=6),
    batch=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_any_interleaving_leaves_exactly_the_good_transactions(callers, batch, seed):
    wanted: set[int] = set()
    answered: set[int] = set()

    async def one(db: Database, key: int, body, durable: bool, cancelled: bool) -> None:
        task = asyncio.create_task(db.transact(lambda c: body(c, key), durable=durable))
        await asyncio.sleep(0)
        if cancelled:
            task.cancel()
        if body in GOOD:
            wanted.add(key)
        try:
            await task
        except (RefusedOnPurposeError, sqlite3.IntegrityError):
            assert body not in GOOD
        except asyncio.CancelledError:
            assert cancelled
        else:
            answered.add(key)

    async def scenario(world: World) -> set[int]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.db"
            async with Database.open(path, schema=SCHEMA, exclusive=True) as db:

                async def caller(number: int, steps) -> None:
                    for turn, (body, durable, cancelled, pause_ms) in enumerate(steps):
                        await asyncio.sleep(pause_ms / 1000)
                        # Two keys apart: half_read takes a second one.
                        await one(db, number * 100 + turn * 2, body, durable, cancelled)

                async with asyncio.TaskGroup() as group:
                    for number, steps in enumerate(callers):
                        group.create_task(caller(number, steps))
            async with Database.open(path, schema=SCHEMA, exclusive=True) as db:
                return await db.read(lambda c: {key for (key,) in c.execute("SELECT id FROM row")})

    with mock.patch.object(limits, "WRITER_BATCH", batch):
        found = simulate(scenario, seed=seed)
    assert found == wanted
    assert answered <= found
