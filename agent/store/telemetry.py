"""Readings on this machine: recorded at once, committed in blocks, kept until acknowledged.

Owns what services may ask of a store. A row is in the journal when `record` returns, so a kill
loses nothing; it is in the database after the next commit, so a power cut takes one interval. No
failure of a disk reaches those who record or send. Leaves out how readings become durable
(`committer`).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.open_rows import with_open
from agent.core.ports import Depth, PollRow
from agent.core.sampler import ChannelTable
from agent.core.settings import TelemetrySettings
from agent.store.anchors import learn_anchor, untold_anchors
from agent.store.blocks import (
    backlog_bytes,
    pending,
    pending_readings,
    read_blocks,
    unsent_schemas,
    waiting,
    waiting_after,
)
from agent.store.committer import FILE_NAME, Committer
from agent.store.depth import asked_again, depths
from shared import limits
from shared.clock import Clock, Entropy
from shared.errors import Reason, WorldError
from shared.ids import StoreEpoch
from shared.runtime.tasks import to_the_end
from shared.sync.outgoing import Candidate, Freed
from shared.sync.ranges import Range, Ranges
from shared.wire.messages import Anchor, LossRow, Tally

__all__ = ["FILE_NAME", "StoreStatus", "TelemetryStore"]


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


class TelemetryStore(Committer):
    """`agent.core.ports.TelemetryPort` on SQLite; made by `open`, used from one event loop."""

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

    async def hasten(self) -> bool:
        """Commit what is open, durably: all but the routine readings are sealed by it.

        When the disk refuses, it is False: the rows stay open and go with the next commit.
        """
        return await self._try(self._commit(rows=True, durable=True))

    async def waiting(self) -> list[Candidate]:
        """Return sealed blocks that are not acknowledged, bounded; a power cut keeps them all."""
        if self._unsynced and not await self._settle():
            return []
        found = await self._read(waiting, list[Candidate])
        freed, rejected = pending(self._frees)
        gone = {seq for seq, _ in rejected}
        left = [one for one in found if one.seq not in freed and one.seq not in gone]
        if len(left) == len(found) or len(found) < limits.WAITING_BLOCKS:
            return left
        # More may wait between the oldest and the newest that were looked at.
        await self._settle()
        return await self._read(waiting, list[Candidate])

    async def page(self, after: int) -> list[Candidate]:
        """Return sealed blocks above a number that are not acknowledged, lowest first, bounded."""
        await self._settle()
        return await self._read(lambda db: waiting_after(db, after), list[Candidate])

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
        """Return losses that nobody acknowledged, oldest first, bounded; a power cut keeps them."""
        rejected = any(one.rejected for one in self._frees)
        if (rejected or self._unsynced) and not await self._settle():
            return []
        acknowledged = max((one.ledger_to for one in self._frees), default=0)
        found = await self._read(self._ledger.page, list[LossRow])
        return [row for row in found if row.number > acknowledged]

    async def free(self, freed: Freed) -> None:
        """Forget what a reply acknowledged, set aside what it rejected.

        It is written with the next commit; until then every answer here already reckons with it.
        A kill before that lets blocks be sent, and acknowledged, once more. What is to be told
        again is written at once: the coordinator is about to hear that it was.
        """
        self._frees.append(freed)
        self._signal()
        if freed.had is not None:
            await self._settle()

    async def learn(self, anchor: Anchor) -> bool:
        """Keep true time of a boot, durably, if it says something new; return whether it did.

        When the disk refuses it is forgotten: the next contact of that boot measures again.
        """
        if (db := self._file.usable) is None:
            return False
        try:
            return await db.transact(lambda one: learn_anchor(one, anchor), durable=True)
        except WorldError as error:
            self._note(error)
            return False

    async def anchors(self) -> list[Anchor]:
        """Return true times of boots that no answered report has carried, bounded."""
        told = {anchor for freed in self._frees for anchor in freed.anchors}
        found = await self._read(untold_anchors, list[Anchor])
        return [anchor for anchor in found if anchor not in told]

    async def backlog_bytes(self) -> int:
        """Return what waits for a contact, in bytes, as far as one contact could carry it."""
        return await self._read(backlog_bytes, int)

    async def asked(self, wanted: Ranges) -> tuple[list[Candidate], list[Range]]:
        """Return blocks that were asked for again, as far as they are here, and which are gone."""
        if not wanted:
            return [], []
        # What is acknowledged and not forgotten yet is about to go: it counts as gone.
        await self._settle()
        return await self._read(
            lambda db: asked_again(db, wanted), lambda: (list[Candidate](), list[Range]())
        )

    async def depths(self) -> list[Depth]:
        """Return what waits in blocks by priority."""
        return await self._read(depths, list[Depth])

    async def tally(self) -> Tally:
        """Return the account of all readings since the epoch began."""
        return await to_the_end(self._count())

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
