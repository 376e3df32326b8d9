"""Standing jobs in jobs.db: looked at, fired and ended, each in one transaction.

The public side of `agent.store.standing_rows` and `agent.store.firing_rows`. A firing and the note
that it fired are one transaction, so a nominal time fires at most once whatever is cut off.
"""

import sqlite3
from collections.abc import Sequence

from agent.core.moment import Moment
from agent.core.queue import Due
from agent.core.rules import RuleMemory
from agent.core.standing import Agenda
from agent.store.firing_rows import FiringRows
from agent.store.jobs_file import JobsFile
from agent.store.queue_rows import QueueRows
from agent.store.standing_rows import Standing, StandingRows, Tale
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import ExecutionState


class StandingStore:
    """The standing jobs' part of jobs.db."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def load(self, now: Moment) -> list[Standing]:
        """Return every standing job in force."""

        def query(db: sqlite3.Connection) -> list[Standing]:
            return StandingRows(db, now).all()

        return await self._file.read(query)

    async def follow(
        self,
        standing: Standing,
        todo: Agenda,
        devices: Sequence[DeviceId],
        *,
        now: Moment,
        delays_ms: Sequence[int],
    ) -> int:
        """Do what a schedule's agenda says; return how many firings it began.

        One that is no longer in force begins none.

        Args:
            standing: the job.
            todo: its agenda.
            devices: those it works on.
            now: when.
            delays_ms: how long each firing's tasks are put off, by jitter.
        """

        def work(db: sqlite3.Connection) -> int:
            firings = FiringRows(db, now)
            rows = firings.standing
            if not rows.in_force(standing.number):
                return 0
            if todo.missed is not None:
                missed = todo.missed
                tale = Tale(
                    state=ExecutionState.EXPIRED,
                    reason=Reason.MISSED,
                    first_ms=missed.first_ms,
                    last_ms=missed.last_ms,
                    count=missed.count,
                )
                rows.tell(standing.number, tale)
            fired = 0
            for nominal, delay in zip(todo.fire, delays_ms, strict=True):
                fired += firings.fire(standing, nominal, devices, delay_ms=delay, beside=fired > 0)
            if todo.fire:
                rows.note_runs(standing.number, todo.runs)
            rows.dealt_with(standing.number, todo.last_ms, todo.due)
            return fired

        durable = bool(todo.fire) or todo.missed is not None
        return await self._file.transact(work, durable=durable)

    async def fire_rule(
        self,
        standing: Standing,
        device: DeviceId,
        memory: RuleMemory,
        tale: Tale | None,
        *,
        now: Moment,
    ) -> bool:
        """Let a rule fire for a device: its alarm is told, its steps become a task.

        Returns whether it did; one that is no longer in force does not.

        Args:
            standing: the job.
            device: the one that made its condition true; its steps work on it.
            memory: what the rule remembers from now on.
            tale: the alarm; None where there is none.
            now: when.
        """

        def work(db: sqlite3.Connection) -> bool:
            firings = FiringRows(db, now)
            rows = firings.standing
            if not rows.in_force(standing.number):
                return False
            rows.remember(standing.number, device, memory)
            if tale is not None:
                rows.tell(standing.number, tale)
            if standing.spec.steps:
                firings.fire(standing, now.today_ms, [device])
            return True

        return await self._file.transact(work, durable=True)

    async def remember(
        self,
        standing: Standing,
        device: DeviceId,
        memory: RuleMemory,
        tale: Tale | None,
        now: Moment,
    ) -> None:
        """Keep what a rule remembers, and tell what it held back."""

        def work(db: sqlite3.Connection) -> None:
            rows = StandingRows(db, now)
            rows.remember(standing.number, device, memory)
            if tale is not None:
                rows.tell(standing.number, tale)

        await self._file.transact(work, durable=False)

    async def put_off(self, standing: Standing, due: Due | None, now: Moment) -> None:
        """Note when a schedule is looked at next."""

        def work(db: sqlite3.Connection) -> None:
            StandingRows(db, now).dealt_with(standing.number, standing.last_ms, due)

        await self._file.transact(work, durable=False)

    async def end(self, standing: Standing, state: ExecutionState, now: Moment) -> None:
        """End a standing job that will never fire again."""

        def work(db: sqlite3.Connection) -> None:
            reason = Reason.JOB_EXPIRED if state is ExecutionState.EXPIRED else None
            QueueRows(db, now).end_standing(standing.number, standing.execution, state, reason)

        await self._file.transact(work, durable=True)

    async def arm(self, standing: Standing, now: Moment) -> None:
        """Tell that a standing job is in force and waits for its times."""

        def work(db: sqlite3.Connection) -> None:
            QueueRows(db, now).arm(standing.number, standing.execution)

        await self._file.transact(work, durable=False)
