"""Where the exchange with the coordinator stands: kept in jobs.db, durable before anything leaves.

Owns the frozen report and its chain, what was admitted last, refusals, and which receipts the
coordinator has. Leaves out what a contact says (`agent.core.contact`) and how it travels.
"""

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from agent.core.budget import Spent
from agent.core.contact import Standing
from agent.store.jobs_file import JobsFile
from agent.store.receipts import receipts_after, settle_receipts
from agent.store.standing_rows import count_tales, flush_tales
from agent.store.stored import stored_counters, with_checksum
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.runtime.queries import bind, load_queries
from shared.sync.outgoing import Freed, Frozen, thaw
from shared.trust.counters import Counters, newest
from shared.trust.floor import TimeKept
from shared.trust.granting import Approved
from shared.trust.keyset import Trust
from shared.wire.codec import pack, unpack
from shared.wire.messages import Receipt

_SQL = load_queries("agent.store", "queries/contact.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")


Freeze = Callable[[Standing, Sequence[Receipt]], Frozen]
"""Makes the next report of the standing and the oldest receipts; pure."""


class ContactStore:
    """The contact's part of jobs.db."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def heal(self) -> None:
        """Make a broken database usable again, as `JobsFile.heal`."""
        await self._file.heal()

    async def standing(self) -> Standing:
        """Return where the exchange stands."""
        standing = await self._file.read(read_standing)
        counters = newest([standing.counters, self._file.second])
        return dataclasses.replace(standing, counters=counters)

    async def load_trust(self) -> tuple[bytes, bytes | None, bytes | None] | None:
        """Return the envelopes of root, catalog and policy; None before any were kept."""

        def query(db: sqlite3.Connection) -> tuple[bytes, bytes | None, bytes | None] | None:
            row: tuple[bytes, bytes | None, bytes | None] | None
            row = db.execute(_SQL["trust"]).fetchone()
            return row

        return await self._file.read(query)

    async def load_time(self) -> TimeKept | None:
        """Return what was last saved of time."""
        return await self._file.read(_read_time)

    async def load_approved(self) -> tuple[Approved, WallMs]:
        """Return the executions admitted under approvals by job, and since when they are known."""

        def query(db: sqlite3.Connection) -> tuple[Approved, WallMs]:
            found: dict[bytes, frozenset[bytes]] = {}
            for job, execution in db.execute(_SQL["approved"]).fetchall():
                found[job] = found.get(job, frozenset()) | {execution}
            return found, WallMs(db.execute(_SQL["approved_since"]).fetchone()[0])

        return await self._file.read(query)

    async def keep_trust(
        self, trust: Trust, counters: Counters | None, kept: TimeKept, *, recovered: bool
    ) -> None:
        """Keep what orders are judged by from now on, in one durable transaction.

        Args:
            trust: the documents.
            counters: how far the agent has come under them; None while it does not know.
            kept: what is known of time.
            recovered: the counters were lost and are now what the coordinator signed.
        """

        def work(db: sqlite3.Connection) -> None:
            catalog = None if trust.catalog is None else trust.catalog.envelope
            policy = None if trust.policy is None else trust.policy.envelope
            db.execute(_SQL["save_trust"], bind(trust.root_envelope, catalog, policy))
            save_time(db, kept)
            if counters is not None:
                save_counters(db, counters)
            if recovered and counters is not None:
                db.execute(_SQL["save_approved_since"], bind(kept.floor_ms + 1))
                db.execute(_SQL["reach_counter"], bind(counters.counter))

        await self._file.transact(work, durable=True)
        if counters is not None:
            await self._file.keep(counters)

    async def keep_time(self, kept: TimeKept) -> None:
        """Save what is known of time; a power cut may undo it."""
        await self._file.transact(lambda db: save_time(db, kept), durable=False)

    async def freeze(self, make: Freeze, at: WallMs) -> Frozen:
        """Return the report that waits for its answer; else make, number and keep the next one.

        When this returns, a power cut cannot make the same number name another report. `at` is the
        present, for what is told anew.
        """
        standing = await self.standing()
        if standing.pending is not None:
            return standing.pending
        if standing.counters is not None:
            number = standing.counter + 1
            await self._file.keep(replace(standing.counters, counter=number))

        def work(db: sqlite3.Connection) -> Frozen:
            now = read_standing(db)
            waiting = db.execute(_JOBS["count_receipts"]).fetchone()[0]
            flush_tales(db, limits.RECEIPTS_PER_REPORT - waiting)
            receipts = receipts_after(db, 0, at)
            written: int = db.execute(_JOBS["newest_receipt"]).fetchone()[0]
            frozen = make(dataclasses.replace(now, next_receipt=written + 1), receipts)
            assert frozen.counter == now.counter + 1, "reports are numbered without a gap"
            row = bind(frozen.counter, frozen.digest, frozen.envelope)
            db.execute(_SQL["freeze"], row)
            return frozen

        return await self._file.transact(work, durable=True)

    async def give_up(self, pending: Frozen) -> None:
        """Send a report no more; its number and its place in the chain stay taken."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["give_up"], bind(pending.digest))

        await self._file.transact(work, durable=False)

    async def settle(
        self,
        sent: Frozen,
        freed: Freed,
        *,
        now_ms: WallMs,
        kept: TimeKept,
        echo: bytes,
        up: int,
        down: int,
        spent: Spent,
    ) -> tuple[int, int]:
        """Note that `sent` was answered; return how many receipts this freed, and how many wait.

        Not durable: after a power cut the same report is sent and answered once more.
        """

        def work(db: sqlite3.Connection) -> tuple[int, int]:
            row = bind(sent.digest, now_ms, up, down, echo, pack(spent))
            db.execute(_SQL["answered"], row)
            save_time(db, kept)
            done = 0
            # A file that replaced a damaged one meanwhile numbers its receipts from 1 again.
            if read_epoch(db) == sent.jobs_epoch:
                done = settle_receipts(db, freed, now_ms)
            waiting = db.execute(_JOBS["count_receipts"]).fetchone()[0]
            return done, waiting + count_tales(db)

        return await self._file.transact(work, durable=False)

    async def count_refusal(self, reason: Reason) -> None:
        """Count a document that was refused."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["count_refusal"], bind(int(reason)))

        await self._file.transact(work, durable=False)

    async def count_bytes(self, *, up: int, down: int, spent: Spent) -> None:
        """Count what a contact without an answer cost."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["count_bytes"], bind(up, down, pack(spent)))

        await self._file.transact(work, durable=False)


def read_epoch(db: sqlite3.Connection) -> bytes:
    """Return the epoch of an open jobs.db."""
    epoch: bytes = db.execute(_SQL["state"]).fetchone()[0]
    return epoch


def read_standing(db: sqlite3.Connection) -> Standing:
    """Return the standing that any open jobs.db holds."""
    row = db.execute(_SQL["state"]).fetchone()
    epoch, counter, previous, pending, echo, counters, answered, up, down, spent, heard = row
    refused = db.execute(_SQL["refusals"]).fetchall()
    return Standing(
        jobs_epoch=epoch,
        counter=counter,
        previous=previous,
        pending=_thawed(pending),
        echo=echo,
        heard_epoch=heard,
        counters=stored_counters(counters),
        answered_ms=None if answered is None else WallMs(answered),
        bytes_up=up,
        bytes_down=down,
        refusals={Reason(reason).text: count for reason, count in refused},
        spent=_spent(spent),
    )


def save_counters(db: sqlite3.Connection, counters: Counters) -> Counters:
    """Write counters, joined with what is there; return what is there then."""
    before = read_counters(db)
    after = counters if before is None else before.joined(counters)
    db.execute(_SQL["save_counters"], bind(with_checksum(after)))
    return after


def read_counters(db: sqlite3.Connection) -> Counters | None:
    """Return the database's copy of the counters; None when it never knew any."""
    return stored_counters(db.execute(_SQL["counters"]).fetchone()[0])


def save_time(db: sqlite3.Connection, kept: TimeKept) -> None:
    """Write what is known of time."""
    row = bind(kept.floor_ms, kept.silent_ms, kept.boot_id, kept.mono_ms)
    db.execute(_SQL["save_time"], row)


def save_approved(db: sqlite3.Connection, job: bytes, execution: bytes, until_ms: int) -> None:
    """Remember an execution that was admitted under approvals."""
    db.execute(_SQL["approve"], bind(job, execution, until_ms))


def forget_approved(db: sqlite3.Connection, floor_ms: int) -> None:
    """Forget executions whose approvals have certainly ended."""
    db.execute(_SQL["forget_approved"], bind(floor_ms))


def _read_time(db: sqlite3.Connection) -> TimeKept | None:
    row = db.execute(_SQL["time_kept"]).fetchone()
    if row is None:
        return None
    return TimeKept(
        floor_ms=WallMs(row[0]), silent_ms=row[1], boot_id=row[2], mono_ms=MonoMs(row[3])
    )


def _spent(data: bytes | None) -> Spent:
    """Return the packed count; one that the disk damaged begins anew."""
    if data is None:
        return Spent()
    try:
        return unpack(data, Spent, bound=limits.COUNTER_SLOT_BYTES)
    except RefusedError:
        return Spent()


def _thawed(envelope: bytes | None) -> Frozen | None:
    """Return the pending report; one that the disk damaged is given up, its number is not."""
    if envelope is None:
        return None
    try:
        return thaw(envelope)
    except RefusedError:
        return None
