"""PostgreSQL's schema: which steps a database has, which it lacks, which wait, and when to refuse.

Several replicas may start at once: each step is one transaction under one advisory lock, and looks
again at what was done before it does anything. A step is additive unless its name begins with
``post_``: additive ones run before the new program serves, while the old one still does; a post
step takes away what only the old program used, so those at the end wait until a person says that
the last old program has stopped. Leaves out loading the files (`shared.runtime.migrations`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from shared import limits
from shared.runtime.migrations import (
    APPLICATION_ID,
    Migration,
    MigrationSet,
    SchemaRefusedError,
    SchemaStrangeError,
)

SCHEMA = MigrationSet.load("coordinator.store", "schema/postgres")

POST = "post_"
"""What the name of a step begins with that has to wait for the last old program."""

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version BIGINT PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA NOT NULL
)
"""
_TABLES = """
SELECT c.relname FROM pg_catalog.pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
"""
_LEDGER_COLUMNS = """
SELECT a.attname FROM pg_catalog.pg_attribute a
WHERE a.attrelid = 'schema_migration'::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """One line of a database's ledger."""

    name: str
    sha256: bytes


async def migrate(
    connection: asyncpg.Connection,
    schema: MigrationSet,
    *,
    where: str,
    finish: bool = False,
) -> tuple[Migration, ...]:
    """Bring a database up to date; return the steps that wait for the last old program to stop.

    Args:
        connection: outside of a transaction, as the owner of the tables.
        schema: the steps that this program knows.
        where: the database's name in sentences.
        finish: the last old program has stopped: nothing waits.

    Raises:
        SchemaRefusedError: a newer program finished its steps here.
        SchemaStrangeError: its past was rewritten, or it is not ours.
        asyncpg.PostgresError, OSError: the step in hand was rolled back.
    """
    while True:
        async with connection.transaction():
            await connection.execute(
                f"SET LOCAL lock_timeout = '{limits.POSTGRES_MIGRATE_S}s';"
                " SET LOCAL statement_timeout = 0;"
                f" SELECT pg_advisory_xact_lock({APPLICATION_ID})"
            )
            taken = await _taken(connection, where)
            finish = finish or not taken  # on a new database no old program runs
            steps = pending(schema, taken, where=where, finish=finish)
            if not steps:
                break
            await _apply(connection, steps[0])
    return tuple(step for step in schema.migrations if step.version not in taken)


def pending(
    schema: MigrationSet, taken: Mapping[int, Taken], *, where: str, finish: bool
) -> Sequence[Migration]:
    """Return the steps to take now, in order.

    Steps of a newer program that were only added do not hurt this one; one that took something
    away does.

    Raises:
        SchemaRefusedError, SchemaStrangeError: the database must not be touched.
    """
    for step in schema.migrations:
        known = taken.get(step.version)
        if known is not None and known.sha256 != step.sha256:
            raise SchemaStrangeError(
                f"step {step.version:03}_{step.name} of this database's schema is not the one in "
                "this program",
                where=where,
                mend="run the program that made it; a released step is never edited",
            )
    if sorted(taken) != list(range(1, len(taken) + 1)):
        raise SchemaStrangeError(
            "steps of this database's schema are missing from its ledger",
            where=where,
            mend="put back a copy; nobody but this program writes to schema_migration",
        )
    newer = [version for version in taken if version > schema.latest]
    if any(taken[version].name.startswith(POST) for version in newer):
        raise SchemaRefusedError(
            f"this database has schema version {max(newer)}, but this program knows only up to "
            f"{schema.latest}",
            where=where,
            mend="run the newer program, or put back the copy made before the update",
        )
    lacking = [step for step in schema.migrations if step.version not in taken]
    while lacking and not finish and lacking[-1].name.startswith(POST):
        lacking.pop()
    return lacking


async def _taken(connection: asyncpg.Connection, where: str) -> Mapping[int, Taken]:
    """Return the database's ledger, made if the database is empty; refuse somebody else's."""
    tables = {row[0] for row in await connection.fetch(_TABLES)}
    strange = SchemaStrangeError(
        "this database was not made by Outstation",
        where=where,
        mend="name an empty database; one database is one fleet",
    )
    if tables and "schema_migration" not in tables:
        raise strange
    await connection.execute(_LEDGER)
    columns = [row[0] for row in await connection.fetch(_LEDGER_COLUMNS)]
    if columns != ["version", "name", "sha256"]:
        raise strange
    rows = await connection.fetch("SELECT version, name, sha256 FROM schema_migration")
    return {row[0]: Taken(row[1], row[2]) for row in rows}


async def _apply(connection: asyncpg.Connection, step: Migration) -> None:
    await connection.execute(step.sql)
    assert connection.is_in_transaction(), f"step {step.version} ended the transaction itself"
    await connection.execute(
        "INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)",
        step.version,
        step.name,
        step.sha256,
    )
