"""jobs.db: opened, healed, and replaced when it is damaged, so that the agent keeps running.

Owns the file and its epoch. Beside it lies a small copy of the counters that must never go back:
a fresh file begins above them. What the rows mean stands in `agent.store.jobs` and
`agent.store.contact`.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar
from zlib import crc32

import msgspec

from shared.clock import Entropy
from shared.errors import Reason, RefusedError, WorldError
from shared.runtime.db import Database
from shared.runtime.files import write_atomically
from shared.runtime.logs import Events
from shared.runtime.migrations import MigrationSet
from shared.runtime.queries import bind, load_queries
from shared.runtime.sqlite import set_aside_corrupt
from shared.wire.codec import pack, unpack

T = TypeVar("T")

NAME: Final = "jobs.db"
_FLOORS_NAME: Final = "jobs.floors"
_RESERVED_REPORTS: Final = 256
"""Report numbers reserved in one write of the floors: one flash write per 256 contacts."""

_PAGE_BYTES: Final = 1_024
"""Every contact commits one row twice: larger pages would only write what did not change."""

_SQL = load_queries("agent.store", "queries/contact.sql")
_log = Events(__name__)


class Floors(msgspec.Struct, frozen=True, array_like=True):
    """What survives the loss of jobs.db: nothing below these is used or accepted again."""

    counter: int = 0
    """No report above this was ever frozen."""
    bundle_seq: int = 0
    floor_ms: int = 0


class JobsFile:
    """The agent's jobs.db, whichever file that is at the moment."""

    def __init__(self, directory: Path, entropy: Entropy) -> None:
        self._directory, self._entropy = directory, entropy
        self._path = directory / NAME
        self._database: Database | None = None
        self._healing = asyncio.Lock()
        self._floors = Floors()
        self.trouble = ""
        """Why nothing works; empty while it does."""
        self.losses = 0
        """How often a damaged file was set aside since the agent started."""

    async def open(self) -> Self:
        """Open the file, or a fresh one in place of a damaged one.

        Where the disk refuses even that, `heal` tries again; until then nothing works here.

        Raises:
            MistakeError: another process has it, or a newer program made it.
        """
        self._floors = await asyncio.to_thread(_read_floors, self._directory / _FLOORS_NAME)
        try:
            self._database = await self._open_or_replace()
        except WorldError as error:
            self.trouble = str(error)
            _log.event("jobs_unavailable", level=logging.ERROR, cause=str(error))
        return self

    async def close(self) -> None:
        """Close the file; harmless when repeated."""
        if self._database is not None:
            await self._database.close()

    async def heal(self) -> None:
        """Make a broken database usable again; without a failure this does nothing.

        Raises:
            WorldError: the disk still fails.
        """
        async with self._healing:
            try:
                await self._mend()
            except WorldError as error:
                self.trouble = str(error)
                raise
            self.trouble = ""

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        """Run `work` in a transaction, as `Database.transact`."""
        return await self._usable().transact(work, durable=durable)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run read-only work, as `Database.read`."""
        return await self._usable().read(query)

    async def keep_floors(self, *, counter: int, bundle_seq: int, floor_ms: int) -> None:
        """Keep counters outside the database as well.

        Called before a report is frozen, so that its number is reserved, and after a bundle was
        admitted: naming a bundle that was not admitted would hide its jobs from the coordinator.
        """
        floors = self._floors
        if counter <= floors.counter and bundle_seq <= floors.bundle_seq:
            return
        reserved = max(floors.counter, counter + _RESERVED_REPORTS - 1)
        after = Floors(
            counter=reserved if counter > floors.counter else floors.counter,
            bundle_seq=max(floors.bundle_seq, bundle_seq),
            floor_ms=max(floors.floor_ms, floor_ms),
        )
        await asyncio.to_thread(_write_floors, self._directory / _FLOORS_NAME, after)
        self._floors = after

    def _usable(self) -> Database:
        if self._database is None:
            raise WorldError(Reason.STORE_FAILED, self.trouble or f"{self._path} is not open")
        return self._database

    async def _mend(self) -> None:
        if self._database is None:
            self._database = await self._open_or_replace()
        elif self._database.failure is not None:
            try:
                await self._database.reopen()
            except WorldError as error:
                if error.reason is not Reason.STORE_CORRUPT:
                    raise
                await self._database.close()
                self._database = await self._open_or_replace()

    async def _open_or_replace(self) -> Database:
        try:
            database = await self._open()
        except WorldError as error:
            if error.reason is not Reason.STORE_CORRUPT:
                raise
            try:
                aside = await asyncio.to_thread(set_aside_corrupt, self._path)
            except OSError as refused:
                raise WorldError(Reason.STORE_FAILED, f"{self._path}: {refused}") from error
            self.losses += 1
            _log.event("jobs_lost", level=logging.ERROR, kept_as=str(aside), cause=str(error))
            database = await self._open()
        try:
            await database.transact(self._begin, durable=True)
        except BaseException:
            await database.close()
            raise
        return database

    async def _open(self) -> Database:
        schema = MigrationSet.load("agent.store", "schema/jobs")
        return await Database.open(
            self._path, schema=schema, exclusive=True, page_size=_PAGE_BYTES, quick_check=True
        )

    def _begin(self, db: sqlite3.Connection) -> None:
        """Write the one row of a fresh file; an existing one keeps its own."""
        floors = self._floors
        # One number is left out: a coordinator sees a gap, which is no offence, and never a
        # successor that does not name its predecessor, which would be a clone's mark.
        counter = floors.counter + 1 if floors.counter else 0
        row = (self._entropy.token(16), counter, floors.bundle_seq, floors.floor_ms)
        db.execute(_SQL["begin"], bind(*row))


def _read_floors(path: Path) -> Floors:
    with contextlib.suppress(OSError, RefusedError, ValueError):
        data = path.read_bytes()
        if int.from_bytes(data[-4:]) == crc32(data[:-4]):
            return unpack(data[:-4], Floors, bound=len(data))
    return Floors()


def _write_floors(path: Path, floors: Floors) -> None:
    data = pack(floors)
    try:
        write_atomically(path, data + crc32(data).to_bytes(4))
    except OSError as error:
        raise WorldError(Reason.STORE_FAILED, f"{path}: {error}") from error
