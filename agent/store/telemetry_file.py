"""telemetry.db as a file: opened, repaired, or set aside and replaced when it is damaged.

Owns the connection and the decision between looking again and beginning anew. Leaves out what is in
the file: whoever uses a file that is new first takes possession of it (`recovery.attach`).
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from shared.errors import Reason, WorldError
from shared.runtime.db import Database, Opening
from shared.runtime.logs import Events
from shared.runtime.migrations import MigrationSet
from shared.runtime.sqlite import set_aside_corrupt

T = TypeVar("T")
SCHEMA = MigrationSet.load("agent.store", "schema/telemetry")
PAGE_BYTES = 1_024
"""A commit changes a few pages, mostly by a few bytes. Measured on ext4, synced after each: 6.1 kB
instead of 12.2 for a small commit, 14.2 kB instead of 30.3 for one of 12,000 readings."""
_log = Events(__name__)


class TelemetryFile:
    """The database file, which may be another one after every `bring_up`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: Database | None = None
        self.settled = False
        """Set by the owner once what earlier processes left is in this file."""
        self._suspect = False

    async def bring_up(self) -> None:
        """Open the file if it is not, repair it if it failed; a damaged one is replaced.

        Raises:
            WorldError: the disk refuses; the next call tries again.
            MistakeError: another process has the file, or a newer program made it.
        """
        if self._db is None:
            await self._open()
        elif failure := self._db.failure:
            await self._reopen(self._db, failure)

    def sound(self) -> None:
        """Note that a commit succeeded: what looked damaged before was not."""
        self._suspect = False

    @property
    def opened(self) -> Database | None:
        """Return the database, in whatever condition, if it is open."""
        return self._db

    @property
    def usable(self) -> Database | None:
        """Return the database once it is settled."""
        return self._db if self.settled else None

    async def close(self) -> None:
        """Let go of the file; idempotent."""
        db, self._db, self.settled = self._db, None, False
        if db:
            await db.close()

    async def _open(self) -> None:
        try:
            self._db = await _database(self.path)
        except WorldError as error:
            if error.reason is not Reason.STORE_CORRUPT:
                raise
            await self._replace(error)

    async def _reopen(self, db: Database, failure: WorldError) -> None:
        corrupt = failure.reason is Reason.STORE_CORRUPT
        if corrupt and self._suspect:
            # It failed a second time although its structure looked sound.
            await self._replace(failure)
            return
        try:
            await db.reopen()
            self._suspect = corrupt
        except WorldError as error:
            if error.reason is not Reason.STORE_CORRUPT:
                raise
            await self._replace(error)

    async def _replace(self, error: WorldError) -> None:
        """Set the damaged file aside and open a fresh one at once: the site goes on."""
        await self.close()
        self._suspect = False
        try:
            aside = await asyncio.to_thread(set_aside_corrupt, self.path)
        except OSError as failure:
            raise WorldError(Reason.STORE_FAILED, f"{self.path}: {failure}") from error
        _log.event("store_set_aside", level=logging.ERROR, error=error, path=str(aside))
        self._db = await _database(self.path)


async def transact(db: Database, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
    """Run `work` in a transaction, as `Database.transact`.

    What the tables refuse is blamed on the file: nobody else writes it, and what this store has
    counted and numbered by itself fits. Whoever insisted would fail again at each start.
    """

    def blamed(connection: sqlite3.Connection) -> T:
        try:
            return work(connection)
        except sqlite3.IntegrityError as error:
            raise WorldError(Reason.STORE_CORRUPT, f"{db.path}: {error}") from error

    return await db.transact(blamed, durable=durable)


def _database(path: Path) -> Opening:
    return Database.open(path, schema=SCHEMA, exclusive=True, page_size=PAGE_BYTES)
