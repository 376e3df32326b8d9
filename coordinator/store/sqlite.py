"""The store on SQLite: one file, a writer that groups commits, and a connection for reading.

Owns driving transactions and where the statements come from. Readers have a connection of their
own: a long query then never stands before an agent's commit. Leaves out grouping, durability and
migrations, which are `shared.runtime`'s.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, assert_never

from coordinator.core.ports import Many, Query, Row, Step, Together, Tx
from coordinator.store.before_migration import keep_copy
from coordinator.store.differences import without_claims
from coordinator.store.statements import load_statements
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, WorldError
from shared.runtime.db import Database
from shared.runtime.migrations import MigrationSet
from shared.runtime.queries import bind, for_sqlite
from shared.runtime.sqlite import Room

T = TypeVar("T")

SCHEMA = MigrationSet.load("coordinator.store", "schema/sqlite")
_WRITER = Room(limits.FLEET_CACHE_BYTES, limits.FLEET_CHECKPOINT_BYTES)
"""Agents call in any order, so each commit finds its rows all over the file."""


class SqliteStore:
    """`coordinator.core.ports.Store` on one file; other processes may open it meanwhile."""

    def __init__(self, writer: Database, reader: Database) -> None:
        self._writer, self._reader = writer, reader
        self._statements = _statements()
        self.failed = asyncio.Event()
        """Set when nothing works until `recover`."""

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open or create the file and bring its schema up to date.

        Raises:
            WorldError: it is damaged, or the disk does not obey.
            MistakeError: its schema is newer than this program.
        """
        try:
            await asyncio.to_thread(keep_copy, path, SCHEMA.latest)
        except (OSError, sqlite3.Error) as error:
            raise WorldError(
                Reason.STORE_FAILED, f"{path}: no copy could be made before its schema is changed"
            ) from error
        writer = await Database.open(path, schema=SCHEMA, exclusive=False, room=_WRITER)
        try:
            reader = await Database.open(path, schema=SCHEMA, exclusive=False)
        except BaseException:
            await writer.close()
            raise
        return cls(writer, reader)

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        """Run a transaction; see `coordinator.core.ports.Store.run`; all of them share commits."""
        try:
            return await self._writer.transact(
                lambda db: drive(db, self._statements, transaction()), durable=durable
            )
        except WorldError:
            self._note_failure()
            raise

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        """Run a body that only reads; see `coordinator.core.ports.Store.read`."""
        try:
            return await self._reader.read(lambda db: drive(db, self._statements, transaction()))
        except WorldError:
            self._note_failure()
            raise

    async def until_failed(self) -> None:
        """Return once nothing works until `recover`."""
        await self.failed.wait()

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        """Do nothing: SQLite has no partitions, and its counts are kept by triggers."""
        return {}

    async def recover(self) -> None:
        """Open what failed again, after a check of the file.

        Raises:
            WorldError: it still fails.
        """
        for database in (self._writer, self._reader):
            await database.reopen()
        self.failed.clear()

    def line(self) -> None:
        """Return nothing: one process serves a file."""

    async def close(self) -> None:
        """Commit what was asked for, then let go of the file; harmless when repeated."""
        try:
            await self._reader.close()
        finally:
            await self._writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _note_failure(self) -> None:
        if self._writer.failure or self._reader.failure:
            self.failed.set()


@cache
def _statements() -> Mapping[str, str]:
    return dict(for_sqlite(without_claims(load_statements())))


def drive(db: sqlite3.Connection, statements: Mapping[str, str], body: Tx[T]) -> T:
    """Run a body's queries on a connection, in the transaction it is in; return its value."""
    try:
        step = next(body)
        while True:
            step = body.send(_answer(db, statements, step))
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        body.close()


def _answer(db: sqlite3.Connection, statements: Mapping[str, str], step: Step) -> Sequence[Row]:
    match step:
        case Query(name, values):
            return db.execute(statements[name], bind(*values)).fetchall()
        case Many(name, rows):
            db.executemany(statements[name], (bind(*row) for row in rows))
            return ()
        case Together(queries):
            found: Sequence[Row] = ()
            for query in queries:
                found = db.execute(statements[query.name], bind(*query.values)).fetchall()
            return found
        case _:
            assert_never(step)
