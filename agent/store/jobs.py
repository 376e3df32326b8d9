"""The agent's queue in jobs.db: admitted once, worked on by one, ended once, told to the outbox.

Every method is one transaction. A receipt is written in the transaction of the fact it tells, so
neither exists without the other. Leaves out decisions (`agent.core.queue`, `agent.core.executor`)
and what the coordinator has seen (`agent.store.contact`).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.course import Course
from agent.core.executor import Claim, Conclusion
from agent.core.moment import Moment
from agent.core.queue import Problem
from agent.store.contact import forget_approved, read_counters, save_counters
from agent.store.jobs_file import JobsFile
from agent.store.queue_rows import Planned, QueueRows
from shared import limits
from shared.clock import MonoMs
from shared.errors import Reason
from shared.model.job import ExecutionState, TaskState
from shared.runtime.queries import bind, load_queries
from shared.trust.admission import Admitted
from shared.trust.counters import Counters
from shared.wire.codec import pack

__all__ = ["Claimed", "JobStore", "Planned", "QueueCounts", "Taken", "count_queue"]

_SQL = load_queries("agent.store", "queries/jobs.sql")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What there is to do now, and when to look again if nothing else happens before."""

    claims: tuple[Claim, ...]
    next_due_ms: MonoMs | None
    receipts: int
    """Receipts this wrote: expired and begun executions."""
    held: int = 0
    """Tasks this held back: by a wall clock alone they are too late."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a bundle's jobs."""

    new: int
    """Executions that were not known before."""
    put_off: int = 0
    """Jobs that the queue had no room for."""


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many tasks and executions stand where, and how many receipts wait."""

    tasks: Mapping[TaskState, int] = field(default_factory=dict)
    executions: Mapping[ExecutionState, int] = field(default_factory=dict)
    receipts: int = 0


class JobStore:
    """Executions, tasks and receipts of one agent."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def admit(self, admitted: Admitted, planned: Sequence[Planned], *, now: Moment) -> Taken:
        """Take a bundle, in one durable transaction.

        An execution that is known already is not begun again; if everything about it had been
        acknowledged, the coordinator has forgotten, and is told where it stands. Where the queue
        cannot hold all jobs, what is called off is, and jobs are taken as far as they fit; the
        bundle's number is not, so it may come again, as a stick does, and no receipt is written
        of the others, so they are granted again.
        """

        def work(db: sqlite3.Connection) -> Taken:
            before = read_counters(db)
            if before is not None and _reach(before) >= _reach(admitted.counters):
                return Taken(0)
            queue = QueueRows(db, now)
            # First what is called off: it may make room for what comes.
            for execution in admitted.cancels:
                queue.cancel(execution)
            taken = _take(db, planned, now)
            queue = QueueRows(db, now)
            refused = [
                queue.reject(one.execution, None, Problem(one.reason, one.detail))
                for one in admitted.refused
            ]
            if not taken.put_off:
                save_counters(db, admitted.counters)
                forget_approved(db, admitted.floor_ms)
            return Taken(taken.new + sum(refused), taken.put_off)

        taken = await self._file.transact(work, durable=True)
        if not taken.put_off:
            await self._file.keep(admitted.counters)
        return taken

    async def claim(self, now: Moment, *, room: int, durable: bool = False) -> Claimed:
        """Begin an attempt at up to `room` due tasks, one per idle device.

        Tasks that are due but whose execution may no longer begin end here instead, or are held
        back. `durable`: a power cut that one of them is the cause of is counted.
        """

        def work(db: sqlite3.Connection) -> Claimed:
            queue = QueueRows(db, now)
            queue.end_late()
            claims, next_due_ms = queue.claim(room)
            return Claimed(tuple(claims), next_due_ms, queue.receipts, queue.held)

        # Not durable as a rule: after a power cut the task is READY again and nothing of it was
        # told. What does harm twice is made durable right before its first byte, by `note`.
        return await self._file.transact(work, durable=durable)

    async def settle(self, now: Moment) -> bool:
        """Let go what was held back and need not be any more; tell whether anything still is."""

        def work(db: sqlite3.Connection) -> bool:
            return QueueRows(db, now).settle()

        # Not durable: after a power cut everything is looked at anyway.
        return await self._file.transact(work, durable=False)

    async def release(self, reason: Reason, now: Moment) -> None:
        """Make due now whatever waits for this reason."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["release_held"], bind(int(reason), now.boot_id, now.mono_ms))

        await self._file.transact(work, durable=False)

    async def begun(self, claim: Claim, now: Moment) -> None:
        """Tell that an attempt that has gates passed them."""

        def work(db: sqlite3.Connection) -> None:
            QueueRows(db, now).begun(claim)

        await self._file.transact(work, durable=False)

    async def note(self, claim: Claim, course: Course, *, durable: bool) -> bool:
        """Write down how far an attempt has come; False when it is not the current one.

        Durable before the first byte of an effect that must not happen twice, and after it.
        """
        packed = pack(course)

        def work(db: sqlite3.Connection) -> bool:
            noted = db.execute(_SQL["note_course"], bind(claim.task, claim.attempt, packed))
            return noted.rowcount == 1

        return await self._file.transact(work, durable=durable)

    async def canceled(self) -> frozenset[tuple[bytes, int]]:
        """Return the executions at work, and their firings, that were called off."""

        def query(db: sqlite3.Connection) -> frozenset[tuple[bytes, int]]:
            return frozenset(db.execute(_SQL["canceled_at_work"]).fetchall())

        return await self._file.read(query)

    async def finish(self, claim: Claim, conclusion: Conclusion, now: Moment) -> bool:
        """End an attempt, durably and with its receipts; False when it is not the current one."""

        def work(db: sqlite3.Connection) -> bool:
            return QueueRows(db, now).finish(claim, conclusion)

        return await self._file.transact(work, durable=True)

    async def give_back(self, now: Moment) -> int:
        """Give back every claim that has not ended: it goes on where it stands, and did not fail.

        What was cut off in the middle of an effect that must not happen twice has failed.
        """

        def work(db: sqlite3.Connection) -> int:
            return QueueRows(db, now).recover(crashed=False)

        # Not durable: after a power cut the same is found out again.
        return await self._file.transact(work, durable=False)

    async def recover(self, now: Moment, *, crashed: bool) -> int:
        """Put right what an earlier life left; return how many tasks it left running.

        With `crashed` each of them counts a crash; the one that took the process down
        `limits.CRASHES` times is quarantined and the rest goes on. Due times of another boot
        are converted to this one's.
        """

        def work(db: sqlite3.Connection) -> int:
            queue = QueueRows(db, now)
            count = queue.recover(crashed=crashed)
            queue.rebase()  # also of what was given back: it would wait for an uptime of before
            return count

        return await self._file.transact(work, durable=True)

    async def heal(self) -> None:
        """Make a broken database usable again, as `JobsFile.heal`."""
        await self._file.heal()

    async def counts(self) -> QueueCounts:
        """Return how the queue stands."""
        return await self._file.read(count_queue)


def count_queue(db: sqlite3.Connection) -> QueueCounts:
    """Return how a queue stands; works on any open jobs.db."""
    tasks = {TaskState(state): n for state, n in db.execute(_SQL["count_tasks"]).fetchall()}
    executions = {
        ExecutionState(state): n for state, n in db.execute(_SQL["count_executions"]).fetchall()
    }
    return QueueCounts(tasks, executions, db.execute(_SQL["count_receipts"]).fetchone()[0])


def _take(db: sqlite3.Connection, planned: Sequence[Planned], now: Moment) -> Taken:
    """Take jobs in their order, up to the first that there is no room for.

    Those after it may have been ordered because of it, or in its place.
    """
    all_new = _try(db, planned, now, limits.QUEUE_TASKS)
    if all_new is not None:
        return Taken(all_new)
    new = 0
    for place, item in enumerate(planned):
        # What adds no task is taken however many there are.
        bound = max(limits.QUEUE_TASKS, QueueRows(db, now).count_open())
        one_new = _try(db, [item], now, bound)
        if one_new is None:
            return Taken(new, put_off=len(planned) - place)
        new += one_new
    return Taken(new)


def _try(db: sqlite3.Connection, planned: Sequence[Planned], now: Moment, bound: int) -> int | None:
    """Take jobs and return how many were new; None when more tasks wait than may: none was taken.

    What they take the place of is over by then, so it counts no more.
    """
    db.execute(_SQL["try_jobs"])
    queue = QueueRows(db, now)
    new = sum(queue.admit(item) for item in planned)
    fits = queue.count_open() <= bound
    if not fits:
        db.execute(_SQL["undo_jobs"])
    db.execute(_SQL["take_jobs"])
    return new if fits else None


def _reach(counters: Counters) -> tuple[int, int, int]:
    return counters.epoch, counters.restore_epoch, counters.bundle_seq
