"""Schema as numbered files: which ones a database has, which it lacks, and when to refuse it.

Owns loading `NNN_name.sql`, their checksums, and applying them to SQLite one transaction each.
Leaves out the connection (`shared.runtime.sqlite`) and PostgreSQL's runner.
"""

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from shared.errors import MistakeError, Reason
from shared.runtime.queries import folder_of

APPLICATION_ID = 0x4F757453
"""``OutS``: how SQLite's header (offset 68) marks a file as one of ours."""

_FILE = re.compile(r"(\d{3})_([a-z0-9_]+)\.sql")
_DEFINITIONS = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL
) STRICT
"""


class SchemaRefusedError(MistakeError):
    """A database that this program must not touch: newer than it, changed, or not ours."""

    reason = Reason.SCHEMA_NEWER


class SchemaStrangeError(SchemaRefusedError):
    """A database that no program of ours left like this: somebody else's, or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of a schema."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> bytes:
        """Return the checksum that a database keeps of the step it took."""
        return hashlib.sha256(self.sql.encode()).digest()


@dataclass(frozen=True, slots=True)
class MigrationSet:
    """All steps of one schema, numbered 1, 2, 3, ... without a gap."""

    migrations: tuple[Migration, ...]

    def __post_init__(self) -> None:
        versions = [step.version for step in self.migrations]
        assert versions == list(range(1, len(versions) + 1)), f"gap or repetition in {versions}"
        assert versions, "a schema has at least one step"

    @property
    def latest(self) -> int:
        """Return the version that a database has after the last step."""
        return len(self.migrations)

    @classmethod
    def load(cls, package: str, folder: str) -> Self:
        """Return the steps packaged as ``folder/NNN_name.sql``, e.g. ``("agent.store", "schema")``.

        Raises AssertionError when a file's name or the numbering is wrong: the files are ours.
        """
        steps = []
        for file in (folder_of(package) / folder).iterdir():
            if file.name.endswith(".sql"):
                parts = _FILE.fullmatch(file.name)
                assert parts, f"{file.name} is not called NNN_name.sql"
                text = file.read_text("utf-8")
                steps.append(Migration(version=int(parts[1]), name=parts[2], sql=text))
        return cls(tuple(sorted(steps, key=lambda step: step.version)))


def migrate(db: sqlite3.Connection, schema: MigrationSet, *, where: str) -> int:
    """Bring a database to the latest version; return how many steps it took.

    `db` is in autocommit mode and `synchronous` is FULL. A power cut leaves a whole number of
    steps done.

    Raises:
        SchemaRefusedError: the database is newer.
        SchemaStrangeError: its past was rewritten, or it is not ours.
        sqlite3.Error: the disk or a statement failed; the step in hand was rolled back.
    """
    version = admit(db, schema, where=where)
    for step in schema.migrations[version:]:
        _apply(db, step)
    return schema.latest - version


def check_schema(db: sqlite3.Connection, schema: MigrationSet, *, where: str) -> None:
    """Compare every definition in a migrated database with what the steps make: 2 ms.

    A bit that fell over in one renames a column: the file opens, and its first statement fails.

    Raises:
        SchemaStrangeError: one differs, lacks or is too many.
    """
    if db.execute(_DEFINITIONS).fetchall() != made_by(schema):
        raise SchemaStrangeError(
            "this database's tables are not those that its steps make",
            where=where,
            mend="move this file away; a new one is made",
        )


def made_by(schema: MigrationSet) -> list[Any]:
    """Return every definition that the steps make in an empty database."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as ideal:
        migrate(ideal, schema, where=":memory:")
        return ideal.execute(_DEFINITIONS).fetchall()


def statements(sql: str) -> Iterator[str]:
    r"""Yield the statements of a script; each one ends at the end of a line.

    >>> list(statements("CREATE TABLE a(x);\nCREATE TABLE b(y); -- why\n"))
    ['CREATE TABLE a(x);', 'CREATE TABLE b(y); -- why']
    """
    # Not executescript(): that commits the transaction it is called in.
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""
    leftover = [line for line in pending.splitlines() if not line.lstrip().startswith("--")]
    assert not "".join(leftover).strip(), f"unfinished statement: {pending.strip()[:80]!r}"


def admit(db: sqlite3.Connection, schema: MigrationSet, *, where: str) -> int:
    """Return the database's version; nothing is changed.

    Raises:
        SchemaRefusedError: the database is newer.
        SchemaStrangeError: its past was rewritten, or it is not ours.
    """
    version = int(_value(db, "PRAGMA user_version"))
    marked = _value(db, "PRAGMA application_id") == APPLICATION_ID
    tables = _value(db, "SELECT count(*) FROM sqlite_schema")
    if not marked and (version or tables):
        raise SchemaStrangeError(
            "this database was not made by Outstation",
            where=where,
            mend="name another file or move this one away",
        )
    if version > schema.latest:
        ((newest,),) = _taken(db, "SELECT max(version) FROM schema_migration", where)
        # The past first: a bit that fell over in the version alone makes no newer program.
        _compare_past(db, schema.migrations, where)
        refused = SchemaRefusedError if newest == version else SchemaStrangeError
        raise refused(
            f"this database has schema version {version}, but this program knows only up to "
            f"{schema.latest}",
            where=where,
            mend="run the newer program, or put back the copy made before the update",
        )
    if version:
        _compare_past(db, schema.migrations[:version], where)
    return version


def _compare_past(db: sqlite3.Connection, known: tuple[Migration, ...], where: str) -> None:
    """Refuse a database that took other steps than the ones this program would have taken."""
    taken = dict(_taken(db, "SELECT version, sha256 FROM schema_migration", where))
    for step in known:
        if taken.get(step.version) != step.sha256:
            raise SchemaStrangeError(
                f"step {step.version:03}_{step.name} of this database's schema is not the one in "
                "this program",
                where=where,
                mend="run the program that made it; a released step is never edited",
            )


def _taken(db: sqlite3.Connection, query: str, where: str) -> list[Any]:
    """Return what the database says of the steps that made it."""
    try:
        return db.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such"):
            raise
        # One damaged bit in the name of a column, and nothing else would notice.
        raise SchemaStrangeError(
            "this database does not say which steps made it",
            where=where,
            mend="move this file away; a new one is made",
        ) from error


def _apply(db: sqlite3.Connection, step: Migration) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(_LEDGER)
        for statement in statements(step.sql):
            db.execute(statement)
        db.execute(
            "INSERT INTO schema_migration VALUES (?, ?, ?)", (step.version, step.name, step.sha256)
        )
        db.execute(f"PRAGMA user_version = {step.version}")
        assert db.in_transaction, f"step {step.version} ended the transaction itself"
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _value(db: sqlite3.Connection, query: str) -> int:
    value: int = db.execute(query).fetchone()[0]
    return value
