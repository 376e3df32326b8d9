"""What jobs.db keeps of sticks: the numbers of reports that left on them, and what they brought.

Nothing here touches the chain of online reports: a stick that is lost leaves no trace in it. What
is written need not survive a power cut: a number given twice names two parcels that each say what
was true, and a forgotten digest only keeps an answer from proving that the coordinator is alive
and from freeing readings, which then are on the next stick again.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.core.contact import Standing
from agent.store.contact import read_epoch, read_standing, save_time
from agent.store.jobs_file import JobsFile
from agent.store.receipts import receipts_after, settle_receipts
from agent.store.standing_rows import flush_tales
from shared import limits
from shared.clock import WallMs
from shared.errors import RefusedError
from shared.runtime.queries import bind, load_queries
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.trust.carried import Return
from shared.trust.envelope import document_hash
from shared.trust.floor import TimeKept
from shared.wire.codec import pack, unpack
from shared.wire.messages import Receipt

_SQL = load_queries("agent.store", "queries/carried.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one carried report is made of, beside readings."""

    number: int
    standing: Standing
    receipts: Sequence[Receipt]
    receipts_from: int


@dataclass(frozen=True, slots=True)
class Left:
    """A report that left on a stick, as it is remembered."""

    silent_ms: int
    """Silence when it was made; below zero: a later word is known of."""
    newest: bool
    sealed: int
    """The highest number that a block had."""
    ledger_to: int
    """The highest number that a row of the loss ledger had, as far as the report told."""


Make = Callable[[Parcel], bytes]
"""Makes the envelope of a carried report; pure."""


class CarriedStore:
    """The sticks' part of jobs.db."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def leave(
        self,
        make: Make,
        at: WallMs,
        *,
        told_to: int,
        silent_ms: int,
        sealed: int,
        ledger_to: int,
    ) -> bytes:
        """Number and make the next carried report; return its envelope.

        Args:
            make: called in the transaction.
            at: the present, for what is told anew.
            told_to: the last receipt that is on the stick already.
            silent_ms, sealed, ledger_to: remembered with it, as `Left` says.

        Raises:
            WorldError: the disk does not take it.
        """

        def work(db: sqlite3.Connection) -> bytes:
            [(number,)] = db.execute(_SQL["carried_reserve"]).fetchall()
            standing = read_standing(db)
            flush_tales(db, limits.RECEIPTS_PER_REPORT)
            receipts = receipts_after(db, told_to, at)
            first = db.execute(_SQL["first_receipt"]).fetchone()[0]
            envelope = make(Parcel(number, standing, receipts, first))
            digest, answered_ms = document_hash(envelope), standing.answered_ms
            row = bind(number, digest, silent_ms, answered_ms, sealed, ledger_to)
            db.execute(_SQL["carried_remember"], row)
            db.execute(_SQL["carried_prune"], bind(number - limits.CARRIED_REMEMBERED))
            return envelope

        return await self._file.transact(work, durable=False)

    async def find(self, digest: bytes) -> Left | None:
        """Return what is remembered of a carried report; None: it is too old, or not ours."""

        def query(db: sqlite3.Connection) -> Left | None:
            row = db.execute(_SQL["carried_found"], bind(digest)).fetchone()
            if row is None:
                return None
            silent_ms, answered_ms, newest, sealed, ledger_to = row
            heard_since = read_standing(db).answered_ms != answered_ms
            return Left(-1 if heard_since else silent_ms, bool(newest), sealed, ledger_to)

        return await self._file.read(query)

    async def told(self) -> int:
        """Return the highest number that a receipt of this store ever had."""

        def query(db: sqlite3.Connection) -> int:
            newest: int = db.execute(_JOBS["newest_receipt"]).fetchone()[0]
            return newest

        return await self._file.read(query)

    async def asked(self, telemetry_epoch: bytes) -> Ranges:
        """Return which blocks of a telemetry store the newest stick asked for again."""

        def query(db: sqlite3.Connection) -> Ranges:
            row = db.execute(_SQL["asked"]).fetchone()
            if row is None or row[0] != telemetry_epoch:
                return Ranges()
            try:
                spans = unpack(row[1], list[tuple[int, int]], bound=limits.DOCUMENT_BYTES)
            except RefusedError:
                return Ranges()  # the next stick asks again
            return Ranges.joined((first, last) for first, last in spans if first <= last)

        return await self._file.read(query)

    async def settle(
        self, freed: Freed, answer: Return, epoch: bytes, kept: TimeKept, *, heard_ms: int
    ) -> int:
        """Note what a return frees; return how many receipts that were.

        Args:
            freed: by the return.
            answer: the return, which may ask for blocks again.
            epoch: jobs epoch whose receipts it speaks of.
            kept: what is known of time now.
            heard_ms: by how much silence became shorter.
        """

        def work(db: sqlite3.Connection) -> int:
            save_time(db, kept)
            wanted = answer.wanted[: limits.WANTED_RANGES]
            db.execute(_SQL["ask"], bind(answer.telemetry_epoch, pack(wanted)))
            if heard_ms:
                db.execute(_SQL["carried_heard"], bind(heard_ms))
            if read_epoch(db) != epoch:
                return 0
            return settle_receipts(db, freed, WallMs(answer.now_ms))

        return await self._file.transact(work, durable=True)


def shorter(kept: TimeKept, left: Left | None) -> int:
    """Return by how much an answer shortens silence: all that passed before its report was made."""
    return 0 if left is None else max(0, min(left.silent_ms, kept.silent_ms))
