"""Readings on this machine: recorded at once, committed in blocks, kept until acknowledged.

Owns the order of recording, committing and reading. A row is in
the journal when `record` returns, so a kill loses nothing; it is in the database after the next
commit, so a power cut takes one interval. No failure of a disk reaches those who record or send:
readings wait in memory, bounded, until the disk is back or its file is replaced. Leaves out what
happens inside a transaction (`blocks`, `recovery`), the open rows (`recorder`), the file's life
(`telemetry_file`) and when to commit (the keeper).
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agent.core.open_rows import with_open
from agent.core.ports import PollRow
from agent.core.sampler import ChannelTable
from agent.core.settings import TelemetrySettings
from agent.store.account import State, is_new
from agent.store.blocks import (
    Commit,
    backlog_bytes,
    commit,
    pending,
    pending_readings,
    read_blocks,
    unsent_schemas,
    waiting,
)
from agent.store.journal import JournalFolder
from agent.store.journal_codec import Held
from agent.store.ledger import Ledger, Loss
from agent.store.recorder import Recorder
from agent.store.recovery import Attach, attach, loss_before
from agent.store.telemetry_file import TelemetryFile
from shared import limits
from shared.clock import Clock, Entropy
from shared.errors import Reason, WorldError
from shared.ids import StoreEpoch
from shared.runtime.logs import Events
from shared.runtime.tasks import to_the_end
from shared.sync.outgoing import Candidate, Freed
from shared.sync.ranges import Ranges
from shared.wire.messages import LossRow, Tally

T = TypeVar("T")
FILE_NAME = "telemetry.db"
EPOCH_BYTES = 16
_log = Events(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """How the store is, for people."""

    epoch: StoreEpoch
    next_block: int
    open_readings: int
    """Recorded and in the journal, not in the database yet."""
    trouble: str
    """Why the database refuses; empty while it works. Readings wait in memory meanwhile."""
    journal: str
    """Why a kill could lose readings; empty while it could not."""


class TelemetryStore:
    """`agent.core.ports.TelemetryPort` on SQLite; made by `open`, used from one event loop."""

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
        """Blocks were sealed since the disk was last waited for: a power cut could undo them, and
        their numbers would be given again. So it is waited for before a contact sees them."""
        self._turn = asyncio.Lock()
        self._begun, self._pressed = asyncio.Event(), asyncio.Event()

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        runtime_dir: Path,
        table: ChannelTable,
        settings: TelemetrySettings,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> "TelemetryStore":
        """Open `data_dir`/telemetry.db and take back what a kill left in `runtime_dir`.

        A damaged database is set aside; where the disk refuses altogether, readings are kept in
        memory and the journal until `keep` succeeds.

        Raises:
            MistakeError: the database is open elsewhere or from a newer program, or the runtime
                directory belongs to somebody else.
        """
        store = cls(data_dir, runtime_dir, table, settings, clock=clock, entropy=entropy)
        try:
            await to_the_end(store._start())
        except asyncio.CancelledError:
            await store._file.close()
            raise
        return store

    # --- what services see ----------------------------------------------------------------------
    @property
    def epoch(self) -> StoreEpoch:
        """Return the epoch of the database file in use."""
        return self._epoch

    @property
    def next_block(self) -> int:
        """Return the number the next sealed block will get."""
        return self._state.sealed + 1 if self._state else 1

    @property
    def status(self) -> StoreStatus:
        """Return how the store is now."""
        return StoreStatus(
            epoch=self._epoch,
            next_block=self.next_block,
            open_readings=self._open.readings,
            trouble=str(self._trouble or ""),
            journal=self._open.error,
        )

    async def record(self, row: PollRow) -> None:
        """Take one poll; when this returns, kill -9 no longer loses it. Never waits for a disk."""
        self._open.add(row, otherwise=self._trouble.reason if self._trouble else Reason.STORE_BUSY)
        self._signal()

    async def seal(self) -> None:
        """Commit what is open as numbered blocks, durably: a contact may announce them.

        When the disk refuses, the rows stay open and the next call tries again.
        """
        await self._try(self._commit(rows=True, durable=True, seal=True))

    async def waiting(self) -> list[Candidate]:
        """Return sealed blocks that are not acknowledged, bounded; a power cut keeps them all."""
        if self._unsynced:
            await self._settle()
        found = await self._read(waiting, list[Candidate])
        freed, rejected = pending(self._frees)
        gone = {seq for seq, _ in rejected}
        left = [one for one in found if one.seq not in freed and one.seq not in gone]
        if len(left) == len(found) or len(found) < limits.WAITING_BLOCKS:
            return left
        # More may wait between the oldest and the newest that were looked at.
        await self._settle()
        return await self._read(waiting, list[Candidate])

    async def blocks(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the bytes of these blocks, in order; missing and altered ones are left out."""
        wanted = tuple(numbers)
        sound, altered = await self._read(
            lambda db: read_blocks(db, wanted), lambda: (list[bytes](), list[int]())
        )
        if altered:
            rejected = tuple((seq, Reason.BLOCK_CHECKSUM) for seq in altered)
            # Like a reply that rejects them: their loss goes into the ledger.
            await self.free(Freed(Ranges(), rejected, 0, 0, ()))
        return sound

    async def unsent_schemas(self) -> list[bytes]:
        """Return encoded schemas that stored blocks need and no reply has confirmed."""
        found = await self._read(unsent_schemas, list[bytes])
        if not self._frees or not (found or any(one.schemas_wanted for one in self._frees)):
            return found
        await self._settle()
        return await self._read(unsent_schemas, list[bytes])

    async def ledger(self) -> list[LossRow]:
        """Return loss-ledger rows that are not acknowledged, oldest first, bounded."""
        if any(one.rejected for one in self._frees):
            await self._settle()
        acknowledged = max((one.ledger_to for one in self._frees), default=0)
        found = await self._read(self._ledger.page, list[LossRow])
        return [row for row in found if row.number > acknowledged]

    async def free(self, freed: Freed) -> None:
        """Forget what a reply acknowledged, set aside what it rejected.

        It is written with the next commit; until then every answer here already reckons with it.
        A kill before that lets blocks be sent, and acknowledged, once more.
        """
        self._frees.append(freed)
        self._signal()

    async def backlog_bytes(self) -> int:
        """Return what waits for a contact, in bytes, as far as one contact could carry it."""
        return await self._read(backlog_bytes, int)

    async def tally(self) -> Tally:
        """Return the account of all readings since the epoch began."""
        return await to_the_end(self._count())

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
            max_bytes=self._settings.storage_max_bytes,
        )
        state, held = await db.transact(
            lambda connection: attach(connection, self._ledger, plan), durable=True
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
        work = self._commit_in_turn(rows=rows, durable=durable, seal=seal, clean=clean)
        await to_the_end(work)

    async def _commit_in_turn(self, *, rows: bool, durable: bool, seal: bool, clean: bool) -> None:
        async with self._turn:
            items = self._open.items() if rows else None
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
                max_bytes=self._settings.storage_max_bytes,
                seal=seal,
                clean=clean,
            )
            self._open.leaving = items[-1].last if items else 0
            try:
                state, held = await db.transact(
                    lambda connection: commit(connection, self._ledger, plan), durable=durable
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
        sealed = self._state is not None and state.sealed != self._state.sealed
        self._unsynced = not durable and (self._unsynced or sealed)
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

    # --- reading --------------------------------------------------------------------------------
    async def _settle(self) -> None:
        """Write down what was freed, and sync what a power cut could undo, before it is shown."""
        await self._try(self._commit(rows=False, durable=self._unsynced))

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

    async def _try(self, commit: Coroutine[Any, Any, None]) -> None:
        """Await a commit whose failure is already noted and loses nothing."""
        with contextlib.suppress(WorldError):
            await commit

    async def _count(self) -> Tally:
        async with self._turn:
            frees = tuple(self._frees)
            acked, refused = await self._read(
                lambda db: pending_readings(db, frees), lambda: (0, 0)
            )
            # Every change of the account passes through here, so the last commit's is current.
            state = self._state
            items = self._open.items(after=state.last_row if state else 0)
        counted = state.tally if state else Tally(0, 0, 0, 0, 0)
        return with_open(counted, items, acked=acked, refused=refused)
