"""Where the exchange with the coordinator stands: kept in jobs.db, durable before anything leaves.

Owns the frozen report and its chain, what was admitted last, refusals, and which receipts the
coordinator has. Leaves out what a contact says (`agent.core.contact`) and how it travels.
"""

import sqlite3
from collections.abc import Callable, Sequence

from agent.core.contact import Standing
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.runtime.queries import bind, load_queries
from shared.sync.outgoing import Freed, Frozen, thaw
from shared.wire.codec import unpack
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
        return await self._file.read(read_standing)

    async def freeze(self, make: Freeze) -> Frozen:
        """Return the report that waits for its answer; else make, number and keep the next one.

        When this returns, a power cut cannot make the same number name another report.
        """
        standing = await self.standing()
        if standing.pending is not None:
            return standing.pending
        await self._file.keep_floors(
            counter=standing.counter + 1, bundle_seq=0, floor_ms=standing.floor_ms
        )

        def work(db: sqlite3.Connection) -> Frozen:
            now = read_standing(db)
            bodies = db.execute(_JOBS["receipts"], bind(limits.RECEIPTS_PER_REPORT)).fetchall()
            receipts = [unpack(body, Receipt, bound=limits.REPORT_BYTES) for (body,) in bodies]
            frozen = make(now, receipts)
            assert frozen.counter == now.counter + 1, "reports are numbered without a gap"
            row = bind(frozen.counter, frozen.digest, frozen.envelope)
            db.execute(_SQL["freeze"], row)
            return frozen

        return await self._file.transact(work, durable=True)

    async def settle(
        self, sent: Frozen, freed: Freed, *, now_ms: WallMs, up: int, down: int
    ) -> tuple[int, int]:
        """Note that `sent` was answered; return how many receipts this freed, and how many wait.

        Not durable: after a power cut the same report is sent and answered once more.
        """

        def work(db: sqlite3.Connection) -> tuple[int, int]:
            db.execute(_SQL["answered"], bind(sent.counter, now_ms, up, down))
            done = 0
            # A file that replaced a damaged one meanwhile numbers its receipts from 1 again.
            if read_epoch(db) == sent.jobs_epoch:
                done = db.execute(_JOBS["free_receipts"], bind(freed.receipts_to)).rowcount
                oldest = db.execute(_JOBS["oldest_receipt"]).fetchone()[0]
                db.execute(_JOBS["forget_executions"], bind(oldest, limits.EXECUTIONS_KEPT))
            return done, db.execute(_JOBS["count_receipts"]).fetchone()[0]

        return await self._file.transact(work, durable=False)

    async def count_refusal(self, reason: Reason) -> None:
        """Count a document that was refused."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["count_refusal"], bind(int(reason)))

        await self._file.transact(work, durable=False)

    async def count_bytes(self, *, up: int, down: int) -> None:
        """Count what a contact without an answer cost."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["count_bytes"], bind(up, down))

        await self._file.transact(work, durable=False)


def read_epoch(db: sqlite3.Connection) -> bytes:
    """Return the epoch of an open jobs.db."""
    epoch: bytes = db.execute(_SQL["state"]).fetchone()[0]
    return epoch


def read_standing(db: sqlite3.Connection) -> Standing:
    """Return the standing that any open jobs.db holds."""
    row = db.execute(_SQL["state"]).fetchone()
    epoch, counter, previous, pending, seq, floor, answered, up, down = row
    refused = db.execute(_SQL["refusals"]).fetchall()
    return Standing(
        jobs_epoch=epoch,
        counter=counter,
        previous=previous,
        pending=_thawed(pending),
        bundle_seq=seq,
        floor_ms=WallMs(floor),
        answered_ms=None if answered is None else WallMs(answered),
        bytes_up=up,
        bytes_down=down,
        refusals={Reason(reason).text: count for reason, count in refused},
    )


def _thawed(envelope: bytes | None) -> Frozen | None:
    """Return the pending report; one that the disk damaged is given up, its number is not."""
    if envelope is None:
        return None
    try:
        return thaw(envelope)
    except RefusedError:
        return None
