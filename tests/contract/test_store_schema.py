"""The schema on both engines: the same steps, tables and columns; who may change it, and when."""

import asyncio
import re
import sqlite3
from dataclasses import replace

import asyncpg
import pytest

from coordinator.store import postgres_schema
from coordinator.store.postgres_schema import migrate
from coordinator.store.sqlite import SCHEMA as SQLITE
from coordinator.store.statements import load_statements
from shared.runtime import migrations
from shared.runtime.migrations import (
    Migration,
    MigrationSet,
    SchemaRefusedError,
    SchemaStrangeError,
)
from tests.postgres_parts import database

POSTGRES = postgres_schema.SCHEMA
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull, coalesce(l.collname, '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped
"""
TYPES = {"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea", "REAL": "double precision"}


@pytest.fixture
async def ready():
    async with database() as url:
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@pytest.fixture
async def empty():
    async with database(template="template0") as url:
        yield url


@pytest.fixture
async def connection(empty):
    opened = await asyncpg.connect(empty)
    yield opened
    await opened.close()


def in_memory():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(db, SQLITE, where="memory")
    return db


def test_both_engines_take_the_same_steps():
    names = [(step.version, step.name) for step in SQLITE.migrations]
    assert [(step.version, step.name) for step in POSTGRES.migrations] == names


async def test_both_engines_have_the_same_tables_and_columns(ready):
    db = in_memory()
    wanted = {
        (table, name, TYPES[kind], bool(required or key))
        for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not table.startswith("sqlite_")
        for _, name, kind, required, _, key in db.execute(f"PRAGMA table_info({table})")
    }
    db.close()
    assert {tuple(row)[:4] for row in await ready.fetch(COLUMNS)} == wanted


async def test_text_is_ordered_by_its_bytes_on_both(ready):
    rows = await ready.fetch(COLUMNS)
    assert {row[4] for row in rows if row[2] == "text"} == {"C"}


async def test_postgresql_takes_every_statement_and_each_whole_number_has_64_bits(ready):
    for name, statement in load_statements().items():
        try:
            prepared = await ready.prepare(statement)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
        kinds = {one.name for one in prepared.get_parameters()}
        assert kinds <= {"int8", "text", "bytea", "float8"}, f"{name}: {kinds}"


def test_no_statement_and_no_step_holds_what_only_one_engine_knows():
    for name, statement in load_statements().items():
        assert not re.search(r"x''|\bifnull\b|OR REPLACE|\browid\b", statement), name


# --- the runner ----------------------------------------------------------------------------------
def steps(*names):
    return MigrationSet(
        tuple(
            Migration(version=number, name=name, sql=f"CREATE TABLE {name} (x BIGINT);")
            for number, name in enumerate(names, start=1)
        )
    )


async def tables(connection):
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return {row[0] for row in rows} - {"schema_migration"}


async def test_a_database_is_brought_up_to_date_once(connection):
    assert await migrate(connection, steps("a"), where="db") == ()
    assert await migrate(connection, steps("a", "b"), where="db") == ()
    assert await migrate(connection, steps("a", "b"), where="db") == ()
    assert await tables(connection) == {"a", "b"}


async def test_replicas_that_start_at_once_take_each_step_once(empty):
    several = [await asyncpg.connect(empty) for _ in range(4)]
    known = steps("a", "b", "c")
    await asyncio.gather(*(migrate(one, known, where="db") for one in several))
    assert await tables(several[0]) == {"a", "b", "c"}
    for one in several:
        await one.close()


async def test_a_step_that_fails_leaves_nothing_of_itself(connection):
    broken = Migration(version=2, name="b", sql="CREATE TABLE b (x BIGINT); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, MigrationSet((*steps("a").migrations, broken)), where="db")
    assert await tables(connection) == {"a"}
    assert await migrate(connection, steps("a", "b"), where="db") == ()


async def test_a_step_that_was_edited_is_refused(connection):
    await migrate(connection, steps("a"), where="db")
    edited = replace(steps("a").migrations[0], sql="SELECT 2;")
    with pytest.raises(SchemaStrangeError, match="001_a"):
        await migrate(connection, MigrationSet((edited,)), where="db")


async def test_tables_of_somebody_else_are_refused_and_stay(connection):
    await connection.execute("CREATE TABLE customers (x BIGINT)")
    with pytest.raises(SchemaStrangeError, match="not made by Outstation"):
        await migrate(connection, steps("a"), where="db")
    assert await tables(connection) == {"customers"}


async def test_a_ledger_of_another_program_is_refused(connection):
    await connection.execute("CREATE TABLE schema_migration (id BIGINT, name TEXT)")
    with pytest.raises(SchemaStrangeError, match="not made by Outstation"):
        await migrate(connection, steps("a"), where="db")


async def test_a_ledger_with_a_gap_is_refused(connection):
    await migrate(connection, steps("a", "b"), where="db")
    await connection.execute("DELETE FROM schema_migration WHERE version = 1")
    with pytest.raises(SchemaStrangeError, match="missing"):
        await migrate(connection, steps("a", "b"), where="db")


async def test_an_older_program_runs_beside_additions_of_a_newer_one(connection):
    await migrate(connection, steps("a", "b"), where="db")
    assert await migrate(connection, steps("a"), where="db") == ()


async def test_an_older_program_is_refused_once_the_newer_one_took_something_away(connection):
    await migrate(connection, steps("a", "b", "post_c"), where="db")
    with pytest.raises(SchemaRefusedError, match="version 3, but this program knows only up to 1"):
        await migrate(connection, steps("a"), where="db")


async def test_a_post_step_waits_until_the_last_old_program_has_stopped(connection):
    await migrate(connection, steps("a"), where="db")
    newer = steps("a", "b", "post_c", "post_d")
    waiting = await migrate(connection, newer, where="db")
    assert [step.name for step in waiting] == ["post_c", "post_d"]
    assert await tables(connection) == {"a", "b"}
    assert await migrate(connection, newer, where="db", finish=True) == ()
    assert await tables(connection) == {"a", "b", "post_c", "post_d"}


async def test_a_post_step_of_the_release_before_waits_no_longer(connection):
    await migrate(connection, steps("a"), where="db")
    assert await migrate(connection, steps("a", "post_b", "c"), where="db") == ()


async def test_on_a_new_database_nothing_waits(connection):
    assert await migrate(connection, steps("a", "post_b"), where="db") == ()
