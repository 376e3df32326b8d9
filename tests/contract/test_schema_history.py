"""Databases that any earlier program left are opened by this one, with everything in them.

For each step of a schema a database is made that ends there, two rows are put into each of its
tables, and the program of today brings it up to date.
"""

import sqlite3
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agent.store.telemetry_file import SCHEMA as TELEMETRY
from coordinator.store import postgres_schema
from coordinator.store.sqlite import SCHEMA as SQLITE
from shared.runtime import migrations
from shared.runtime.db import Database
from shared.runtime.migrations import MigrationSet
from tests.postgres_parts import database

JOBS = MigrationSet.load("agent.store", "schema/jobs")
POSTGRES = postgres_schema.SCHEMA
NOT_ROWS = {"schema_migration"}
SAYS: Mapping[tuple[str, str], Any] = {
    ("document", "kind"): "root",
    ("enrolment", "state"): "PENDING",
    **{("state", name): 0 for name in ("sealed", "sampled", "suppressed", "delivered")},
    **{("state", name): 0 for name in ("stored", "lost")},
    ("state", "clean"): 1,
    ("anchor", "told"): 1,
}
"""Columns that take only some values."""


def until(schema: MigrationSet, version: int) -> MigrationSet:
    return MigrationSet(schema.migrations[:version])


def value(table: str, column: str, kind: str, number: int) -> Any:
    if column in {"one", "estimated"}:
        return 1
    if (table, column) == ("artifact", "digest"):
        return bytes([number]) * 32
    if (table, column) in SAYS:
        return SAYS[table, column]
    return {
        "INTEGER": number,
        "bigint": number,
        "TEXT": f"{number}",
        "text": f"{number}",
        "BLOB": bytes([number]) * 16,
        "bytea": bytes([number]) * 16,
    }[kind]


def fill(db: sqlite3.Connection) -> dict[str, int]:
    """Put rows into every table; return how many each has then."""
    db.execute("PRAGMA foreign_keys = OFF")
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables = [name for (name,) in db.execute(query) if name not in NOT_ROWS]
    for table in tables:
        columns = db.execute(f"PRAGMA table_info({table})").fetchall()
        for number in (1, 2):
            row = [value(table, name, kind, number) for _, name, kind, *_ in columns]
            marks = ", ".join("?" * len(row))
            db.execute(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING", row)
    return count(db, tables)


def count(db: sqlite3.Connection, tables: list[str]) -> dict[str, int]:
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        pytest.param(schema, version, id=f"{name}-{version}")
        for name, schema in (("jobs", JOBS), ("telemetry", TELEMETRY), ("coordinator", SQLITE))
        for version in range(1, schema.latest + 1)
    ],
)
async def test_a_file_of_an_earlier_program_is_opened_with_all_that_is_in_it(
    tmp_path: Path, schema: MigrationSet, version: int
) -> None:
    path = tmp_path / "old.db"
    db = sqlite3.connect(path, isolation_level=None)
    migrations.migrate(db, until(schema, version), where="old")
    before = fill(db)
    db.close()
    assert all(before.values()), "a row for each table"
    async with Database.open(path, schema=schema, exclusive=True, quick_check=True) as opened:
        today = {
            name
            for (name,) in await opened.read(
                lambda one: one.execute("SELECT name FROM sqlite_schema").fetchall()
            )
        }
        kept = [name for name in before if name in today]
        after = await opened.read(lambda one: count(one, kept))
    assert {name: n for name, n in after.items() if n < before[name]} == {}
    assert len(kept) >= len(before) - 1, "hardly any table is ever given up"


COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""


async def fill_postgres(connection: asyncpg.Connection) -> dict[str, int]:
    """Put a row into every table; return how many each has then."""
    # Rows are made up: nothing refers to anything, and no trigger adds them up.
    await connection.execute("SET session_replication_role = replica")
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind in await connection.fetch(COLUMNS):
        if table not in NOT_ROWS:
            tables.setdefault(table, []).append((name, kind))
    for table, columns in tables.items():
        names = ", ".join(f'"{name}"' for name, _ in columns)
        marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        row = [value(table, name, kind, 1) for name, kind in columns]
        await connection.execute(
            f'INSERT INTO "{table}" ({names}) OVERRIDING SYSTEM VALUE VALUES ({marks})'
            " ON CONFLICT DO NOTHING",
            *row,
        )
    await connection.execute("SET session_replication_role = DEFAULT")
    return {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in tables}


async def test_each_step_on_postgresql_keeps_what_the_steps_before_left() -> None:
    async with database(template="template0") as url:
        connection = await asyncpg.connect(url)
        try:
            versions = range(1, POSTGRES.latest + 1)
            await postgres_schema.migrate(connection, until(POSTGRES, 1), where="old", finish=True)
            for _, version in pairwise(versions):
                before = await fill_postgres(connection)
                assert all(before.values())
                await postgres_schema.migrate(
                    connection, until(POSTGRES, version), where="old", finish=True
                )
                for name, rows in before.items():
                    left = await connection.fetchval(f'SELECT count(*) FROM "{name}"')
                    assert left >= rows, f"{name} at step {version}"
        finally:
            await connection.close()
