"""What jobs.db knows of the agent itself: restarts that were asked for, work that may go.

Every method is one transaction. Never forgets what is not over, or not acknowledged.
"""

import sqlite3

from agent.core.tidying import Over, Tidying, to_forget
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.clock import WallMs
from shared.runtime.queries import bind, load_queries

_SQL = load_queries("agent.store", "queries/caretaker.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")


class CaretakerStore:
    """The rows behind `agent.services.caretaker`."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def restart_asked(self, mark: bytes) -> bytes | None:
        """Return which process was asked to restart under this mark, None: none was."""

        def query(db: sqlite3.Connection) -> bytes | None:
            row = db.execute(_SQL["restart_asked"], bind(mark)).fetchone()
            return None if row is None else bytes(row[0])

        return await self._file.read(query)

    async def ask_restart(self, mark: bytes, process: bytes) -> None:
        """Note, durably, that this process was asked to restart."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["ask_restart"], bind(mark, process))
            db.execute(_SQL["forget_restarts"], bind(limits.RESTARTS_KEPT))

        await self._file.transact(work, durable=True)

    async def tidy(self, wish: Tidying, *, now_ms: WallMs, dry_run: bool) -> tuple[int, int]:
        """Forget executions that are over; return how many, and the bytes of their orders."""

        def work(db: sqlite3.Connection) -> tuple[int, int]:
            acknowledged = db.execute(_JOBS["oldest_receipt"]).fetchone()[0]
            rows = db.execute(_SQL["over"], bind(acknowledged)).fetchall()
            over = (Over(number, size, WallMs(until)) for number, size, until in rows)
            gone = to_forget(over, wish, now_ms=now_ms)
            if not dry_run:
                for one in gone:
                    db.execute(_SQL["forget"], bind(one.number))
            return len(gone), sum(one.bytes for one in gone)

        return await self._file.transact(work, durable=False)
