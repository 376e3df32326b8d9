"""The order in which readings become durable: journal, commit, repair; whatever the disk does.

Owns the one file and the one recorder of a store, who may touch them when, and what happens when
the disk refuses: readings wait in memory, bounded, until it is back or its file is replaced.
Leaves out what services ask for (`telemetry`), what happens inside a transaction (`blocks`,
`recovery`), the open rows (`recorder`), the file's life (`telemetry_file`) and when to commit (the
keeper).
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from agent.core.retention import Room, Space
from agent.core.sampler import ChannelTable
from agent.core.settings import TelemetrySettings
from agent.store.account import State, is_new
from agent.store.blocks import Commit, commit
from agent.store.journal import JournalFolder
from agent.store.journal_codec import Held
from agent.store.ledger import Ledger, Loss
from agent.store.recorder import Recorder
from agent.store.recovery import Attach, attach, loss_before
from agent.store.telemetry_file import TelemetryFile, transact
from shared import limits
from shared.clock import Clock, Entropy
from shared.errors import Reason, WorldError
from shared.ids import StoreEpoch
from shared.runtime.logs import Events
from shared.runtime.tasks import to_the_end
from shared.sync.outgoing import Freed

T = TypeVar("T")
FILE_NAME = "telemetry.db"
_PROBE = 64
"""Rows that ask a disk which refused whether it still does."""
EPOCH_BYTES = 16
_log = Events(__name__)


class Committer:
    """A store as its keeper sees it; `TelemetryStore` is what everybody else sees."""

    def __init__(
        self,
        data_dir: Path,
        runtime_dir: Path,
        table: ChannelTable,
        settings: TelemetrySettings,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._file = TelemetryFile(data_dir / FILE_NAME)
        self._open = Recorder(JournalFolder(runtime_dir, data_dir), table.schema)
        self._table, self._settings = table, settings
        self._clock, self._entropy = clock, entropy
        self._trouble: WorldError | None = None
        self._state: State | None = None
        self._epoch = StoreEpoch(entropy.token(EPOCH_BYTES))
        self._ledger = Ledger()
        self._frees: list[Freed] = []
        self._unsynced = False
        """Blocks were sealed, or losses written down, since the disk was last waited for: a power
        cut could undo them, and their numbers would be given again. So it is waited for before a
        contact sees them."""
        self._turn = asyncio.Lock()
        self._begun, self._pressed = asyncio.Event(), asyncio.Event()

    # --- what the keeper does -------------------------------------------------------------------
    async def begun(self) -> None:
        """Return once there is something to commit or to repair."""
        await self._begun.wait()

    async def pressed(self) -> None:
        """Return once a commit should not wait for its interval: much is open."""
        await self._pressed.wait()

    async def keep(self) -> None:
        """Bring a failed database back if there is one, then commit what is open.

        Raises:
            WorldError: the disk still refuses; nothing is lost by it.
        """
        await to_the_end(self._repair())
        await self._commit(rows=True, durable=False)
        self._calm()

    async def close(self) -> None:
        """Commit everything durably and close; what the disk refuses stays in the journal."""
        complete = False
        try:
            await self._commit(rows=True, durable=True, clean=True)
            complete = True
        except WorldError as error:
            _log.event("readings_left_in_journal", level=logging.WARNING, error=error)
        finally:
            self._open.close(remove=complete)
            await self._file.close()

    # --- starting, and starting again -----------------------------------------------------------
    async def _start(self) -> None:
        trouble: WorldError | None = None
        # The database first: if another process has it, its journal is not ours to touch.
        try:
            await self._file.bring_up()
        except WorldError as error:
            trouble = error
        try:
            self._open.start(self._clock, self._entropy)
            if trouble is None:
                await self._attach()
        except WorldError as error:
            trouble = error
        except BaseException:
            await self._file.close()
            raise
        if trouble:
            self._note(trouble)

    async def _attach(self) -> None:
        """Take possession of the open database; settle what earlier processes left."""
        db = self._file.opened
        assert db, "there is a database to take possession of"
        at, epoch = self._clock.now(), self._epoch
        before: Loss | None = None
        if await db.read(is_new):
            before = await asyncio.to_thread(
                loss_before, self._file.path, self._open.held, now_ms=at.wall_ms
            )
            if self._state:
                epoch = StoreEpoch(self._entropy.token(EPOCH_BYTES))
        plan = Attach(
            epoch=epoch,
            journal=self._open.journal,
            last_row=self._open.first_number - 1,
            found=self._open.found,
            before=before,
            at=at,
            interval_ms=self._settings.commit_interval_ms,
            per_day=self._table.readings_per_day,
            room=self._room(),
        )
        state, held = await transact(
            db, lambda connection: attach(connection, self._ledger, plan), durable=True
        )
        if state.epoch != self._epoch:
            self._epoch = state.epoch
            self._frees.clear()  # they name blocks of another file
        self._file.settled = True
        self._taken(state, held, durable=True)
        self._open.settled()

    async def _repair(self) -> None:
        """Bring the database back if it failed, whatever that takes."""
        async with self._turn:
            try:
                await self._file.bring_up()
                if not self._file.settled:
                    await self._attach()
            except WorldError as error:
                self._note(error)
                raise

    # --- committing -----------------------------------------------------------------------------
    async def _commit(
        self, *, rows: bool, durable: bool, seal: bool = False, clean: bool = False
    ) -> None:
        """Write down what is open, if `rows`, and what was freed; with `seal`, no block grows on.

        Raises:
            WorldError: the disk refuses; everything is as before.
        """
        if rows and self._trouble:
            # Everything that waits is encoded in vain while the disk refuses: a little asks it.
            await to_the_end(self._commit_in_turn(rows=_PROBE, durable=False, seal=False))
        most = sys.maxsize if rows else 0
        work = self._commit_in_turn(rows=most, durable=durable, seal=seal, clean=clean)
        await to_the_end(work)

    async def _commit_in_turn(
        self, *, rows: int, durable: bool, seal: bool, clean: bool = False
    ) -> None:
        """Commit at most so many `rows`; 0 leaves all of them open."""
        async with self._turn:
            items = self._open.items()[:rows] if rows else None
            grows = bool(self._state and self._state.sealed < self._state.next_block - 1)
            unsafe = durable and self._unsynced
            if not (items or self._frees or clean or unsafe or (seal and grows)):
                return
            if (db := self._file.usable) is None:
                raise self._trouble or WorldError(Reason.STORE_FAILED, str(self._file.path))
            frees = tuple(self._frees)
            plan = Commit(
                items=items,
                frees=frees,
                schema=self._table.schema,
                at=self._clock.now(),
                room=self._room(),
                seal=seal,
                clean=clean,
            )
            self._open.leaving = items[-1].last if items else 0
            try:
                state, held = await transact(
                    db, lambda connection: commit(connection, self._ledger, plan), durable=durable
                )
            except WorldError as error:
                self._note(error)
                raise
            finally:
                self._open.leaving = 0
            del self._frees[: len(frees)]
            self._taken(state, held, durable=durable)

    def _taken(self, state: State, held: Held, *, durable: bool) -> None:
        """Note what a commit took over."""
        before = self._state
        numbered = before and (state.sealed, state.lost) != (before.sealed, before.lost)
        self._unsynced = not durable and (self._unsynced or bool(numbered))
        self._state = state
        self._file.sound()
        self._open.committed(state.last_row, held)
        self._calm()

    def _calm(self) -> None:
        """The database works: wait for the next reason to commit."""
        self._trouble = None
        self._begun.clear()
        self._pressed.clear()
        self._signal()

    def _signal(self) -> None:
        """Wake the keeper if there is something for it to do."""
        if not self._open.is_empty or self._frees or self._trouble:
            self._begun.set()
        if self._open.is_pressing or len(self._frees) >= limits.PENDING_REPLIES:
            self._pressed.set()

    def _note(self, error: WorldError) -> None:
        """Remember why the database refuses; say so once."""
        if self._trouble is None or self._trouble.reason is not error.reason:
            _log.event("store_refuses", level=logging.ERROR, error=error)
        self._trouble = error
        self._begun.set()

    def _room(self) -> Room:
        """Return what readings may take now."""
        settings, space = self._settings, None
        if settings.storage_min_free_percent:
            with contextlib.suppress(OSError):
                found = os.statvfs(self._file.path.parent)
                space = Space(
                    total=found.f_frsize * found.f_blocks, free=found.f_frsize * found.f_bavail
                )
        return Room(
            max_bytes=settings.storage_max_bytes,
            min_free_percent=settings.storage_min_free_percent,
            space=space,
        )

    # --- reading --------------------------------------------------------------------------------
    async def _settle(self) -> bool:
        """Write down what was freed, and sync what a power cut could undo, before it is shown.

        Returns whether it may be shown: the disk took it.
        """
        rejected = any(one.rejected for one in self._frees)
        await self._try(self._commit(rows=False, durable=self._unsynced or rejected))
        if self._unsynced:  # losses that nobody foresaw: something had to give way
            await self._try(self._commit(rows=False, durable=True))
        return not self._unsynced

    async def _read(
        self, query: Callable[[sqlite3.Connection], T], otherwise: Callable[[], T]
    ) -> T:
        """Return what the database says, or what is true of none while it refuses."""
        if (db := self._file.usable) is None:
            return otherwise()
        try:
            return await db.read(query)
        except WorldError as error:
            self._note(error)
            return otherwise()

    async def _try(self, commit: Coroutine[Any, Any, None]) -> bool:
        """Await a commit whose failure is already noted and loses nothing; tell whether it did."""
        try:
            await commit
        except WorldError:
            return False
        return True
