"""jobs.db: opened, healed, and replaced when it is damaged, so that the agent keeps running.

Owns the file and its epoch. Beside it lies a second copy of the counters that must never go back
(`shared.trust.counters`): a fresh file begins above them. What the rows mean stands in
`agent.store.jobs` and `agent.store.contact`.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from msgspec.structs import replace

from agent.store.stored import UnreadableRowError, check_words, stored_counters, with_checksum
from shared import limits
from shared.clock import Entropy
from shared.errors import Reason, WorldError
from shared.runtime.db import Database
from shared.runtime.files import sync_directory
from shared.runtime.logs import Events
from shared.runtime.migrations import MigrationSet
from shared.runtime.queries import bind, load_queries
from shared.runtime.sqlite import quick_check, set_aside_corrupt
from shared.trust.counters import FILE_BYTES, Counters, Slots, next_write, read_slots

T = TypeVar("T")

NAME: Final = "jobs.db"
COUNTERS_NAME: Final = "counters"
_RESERVED_REPORTS: Final = 256
"""Report numbers reserved in one write of their file: one flash write per 256 contacts."""

_PROBATION: Final = 1_000
"""Transactions after a failure that may have been the disk's for once: some days' worth."""

_PAGE_BYTES: Final = 1_024
"""Every contact commits one row twice: larger pages would only write what did not change."""

_SQL = load_queries("agent.store", "queries/contact.sql")
_log = Events(__name__)


def jobs_schema() -> MigrationSet:
    """Return the steps that make a jobs.db; read when a file is opened, and dropped then."""
    return MigrationSet.load("agent.store", "schema/jobs")


class JobsFile:
    """The agent's jobs.db, whichever file that is at the moment."""

    def __init__(self, directory: Path, entropy: Entropy) -> None:
        self._directory, self._entropy = directory, entropy
        self._path = directory / NAME
        self._database: Database | None = None
        self._healing = asyncio.Lock()
        self._suspected = 0
        """For how many transactions it still has to prove that it was not damaged after all."""
        self._slots = read_slots(b"")
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
        self._slots = await asyncio.to_thread(read_counters, self._directory / COUNTERS_NAME)
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
        """Run `work` in a transaction, as `Database.transact`.

        What the tables refuse is blamed on the file: what is numbered by itself fits.
        """

        def blamed(db: sqlite3.Connection) -> T:
            try:
                return work(db)
            except sqlite3.IntegrityError as error:
                raise UnreadableRowError(Reason.STORE_CORRUPT, f"{self._path}: {error}") from error

        value = await self._usable().transact(blamed, durable=durable)
        self._suspected = max(0, self._suspected - 1)
        return value

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run read-only work, as `Database.read`."""
        return await self._usable().read(query)

    @property
    def second(self) -> Counters | None:
        """Return the counters in the file beside the database; None when it is not readable."""
        return self._slots.counters

    async def keep(self, counters: Counters) -> None:
        """Keep counters outside the database as well, joined with what is there; never lower.

        Called before a report is frozen, so that its number is reserved, and after a bundle was
        admitted: naming a bundle that was not admitted would hide its jobs from the coordinator.

        Raises:
            WorldError: the disk did not take it; the database's copy stands.
        """
        before = self._slots.counters
        after = counters if before is None else before.joined(counters)
        if after.counter > (before.counter if before else 0):
            after = replace(after, counter=after.counter + _RESERVED_REPORTS - 1)
        # Time alone goes on too often to be worth a write of its own.
        if before is not None and replace(after, floor_ms=0) == replace(before, floor_ms=0):
            return
        path = self._directory / COUNTERS_NAME
        self._slots = await asyncio.to_thread(write_counters, path, self._slots, after)

    def _usable(self) -> Database:
        if self._database is None:
            raise WorldError(Reason.STORE_FAILED, self.trouble or f"{self._path} is not open")
        return self._database

    async def _mend(self) -> None:
        if self._database is None:
            self._database = await self._open_or_replace()
        elif failure := self._database.failure:
            await self._reopen(self._database, failure)

    async def _reopen(self, database: Database, failure: WorldError) -> None:
        """Open a failed file again; what is damaged is replaced.

        So is one with a row that was never written, which SQLite finds whole, and one that looked
        sound and soon fails again: no check reads what its texts say.
        """
        is_corrupt = failure.reason is Reason.STORE_CORRUPT
        is_certain = isinstance(failure, UnreadableRowError) or (is_corrupt and self._suspected)
        damage: WorldError | None = failure
        if not is_certain:
            damage = await self._damage_of(database, with_indexes=is_corrupt)
        if damage is not None:
            await database.close()
            self._database = None  # opened anew if the next is refused
            self._database = await self._replace(damage)
        elif is_corrupt:
            self._suspected = _PROBATION

    async def _damage_of(self, database: Database, *, with_indexes: bool) -> WorldError | None:
        """Open a file again; return what is wrong with it."""
        try:
            await database.reopen()
            if with_indexes:
                check = partial(quick_check, where=str(self._path), with_indexes=True)
                await database.read(check)
        except WorldError as error:
            if error.reason is not Reason.STORE_CORRUPT:
                raise
            return error
        return None

    async def _open_or_replace(self) -> Database:
        try:
            return await self._begun(await self._open())
        except WorldError as error:
            if error.reason is not Reason.STORE_CORRUPT:
                raise
            return await self._replace(error)

    async def _replace(self, damage: WorldError) -> Database:
        """Set a damaged file aside, and begin a fresh one."""
        try:
            aside = await asyncio.to_thread(set_aside_corrupt, self._path)
        except OSError as refused:
            raise WorldError(Reason.STORE_FAILED, f"{self._path}: {refused}") from damage
        self.losses, self._suspected = self.losses + 1, 0
        _log.event("jobs_lost", level=logging.ERROR, kept_as=str(aside), cause=str(damage))
        return await self._begun(await self._open())

    async def _begun(self, database: Database) -> Database:
        try:
            await database.transact(self._begin, durable=True)
        except BaseException:
            await database.close()
            raise
        return database

    async def _open(self) -> Database:
        return await Database.open(
            self._path,
            schema=jobs_schema(),
            exclusive=True,
            page_size=_PAGE_BYTES,
            quick_check=True,
        )

    def _begin(self, db: sqlite3.Connection) -> None:
        """Write the one row of a fresh file; an existing one keeps its own, if it can be read."""
        check_words(db)
        second = self._slots.counters
        if second is None:
            # Enrolment writes the second copy: a gateway without either has lost both.
            counter, packed, since_ms = 0, None, limits.INT_MAX
        else:
            # One number is left out: a coordinator sees a gap, which is no offence, and never a
            # successor that does not name its predecessor, which would be a clone's mark.
            counter = second.counter + 1 if second.counter else 0
            fresh = second.counter == second.bundle_seq == 0
            since_ms = 0 if fresh else second.floor_ms + 1
            packed = with_checksum(second)
        db.execute(_SQL["begin"], bind(self._entropy.token(16), counter, packed, since_ms))
        kept = db.execute(_SQL["counters"]).fetchone()[0]
        if second is not None and _is_behind(kept, second):
            # A copy from before was put back: what ran under approvals since then it cannot know.
            db.execute(_SQL["forgot_approved"], bind(second.floor_ms + 1))


def _is_behind(kept: bytes | None, second: Counters) -> bool:
    """Tell whether bundles were admitted that the database does not know of."""
    first = stored_counters(kept)
    if first is None:
        return True
    return (first.epoch, first.restore_epoch, first.bundle_seq) < (
        second.epoch,
        second.restore_epoch,
        second.bundle_seq,
    )


def read_counters(path: Path) -> Slots:
    """Return what the counters' file holds, whatever state it is in."""
    try:
        with path.open("rb") as file:
            return read_slots(file.read(FILE_BYTES))
    except OSError:
        return read_slots(b"")


def write_counters(path: Path, slots: Slots, counters: Counters) -> Slots:
    """Write `counters` over the older slot, durably; return what the file holds then.

    Raises:
        WorldError: the disk did not take it.
    """
    offset, data = next_write(slots, counters)
    try:
        made = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, data, offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made:
            sync_directory(path.parent)
    except OSError as error:
        raise WorldError(Reason.STORE_FAILED, f"{path}: {error}") from error
    return Slots(slots.generation + 1, counters, 1 - slots.newer)


def begin_counters(directory: Path, counters: Counters) -> None:
    """Write the first counters of a key that was just enrolled; older ones are never lowered.

    Raises:
        WorldError: the disk did not take it.
    """
    path = directory / COUNTERS_NAME
    slots = read_counters(path)
    if slots.counters is not None:
        counters = slots.counters.joined(counters)
    write_counters(path, slots, counters)
