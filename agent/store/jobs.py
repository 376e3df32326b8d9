"""The agent's queue in jobs.db: admitted once, worked on by one, ended once, told to the outbox.

Every method is one transaction. A receipt is written in the transaction of the fact it tells, so
neither exists without the other. Leaves out decisions (`agent.core.queue`, `agent.core.executor`)
and what the coordinator has seen (`agent.store.contact`).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from agent.core.executor import Claim, Conclusion
from agent.core.moment import Moment
from agent.core.queue import Due, Problem, due_in, expire, rebased, settle
from agent.store.contact import forget_approved, read_counters, save_approved, save_counters
from agent.store.jobs_file import JobsFile
from agent.store.outbox import Fact, tell
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import (
    ExecutionState,
    JobSpec,
    TaskState,
    check_task_transition,
    may_follow,
)
from shared.runtime.queries import bind, load_queries
from shared.trust.admission import Admitted, AdmittedJob
from shared.trust.counters import Counters
from shared.wire.codec import unpack

_SQL = load_queries("agent.store", "queries/jobs.sql")


@dataclass(frozen=True, slots=True)
class Planned:
    """An admitted job and what this agent's devices make of it."""

    job: AdmittedJob
    plan: tuple[DeviceId, ...] | Problem


@dataclass(frozen=True, slots=True)
class Claimed:
    """What there is to do now, and when to look again if nothing else happens before."""

    claims: tuple[Claim, ...]
    next_due_ms: MonoMs | None
    receipts: int
    """Receipts this wrote: expired and begun executions."""


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

    async def admit(self, admitted: Admitted, planned: Sequence[Planned], *, now: Moment) -> int:
        """Take a bundle, in one durable transaction; return how many executions were new.

        An execution that is known already is not begun again; if everything about it had been
        acknowledged, the coordinator has forgotten, and is told where it stands.

        Raises:
            WorldError: STORE_FULL when the queue cannot hold it all; nothing was taken.
        """

        def work(db: sqlite3.Connection) -> int:
            before = read_counters(db)
            if before is not None and _reach(before) >= _reach(admitted.counters):
                return 0
            save_counters(db, admitted.counters)
            forget_approved(db, admitted.floor_ms)
            queue = _Queue(db, now)
            new = sum(queue.admit(item) for item in planned)
            for one in admitted.refused:
                new += queue.reject(one.execution, None, Problem(one.reason, one.detail))
            if queue.count_open() > limits.QUEUE_TASKS:
                raise WorldError(Reason.STORE_FULL, "too many tasks wait")
            return new

        new = await self._file.transact(work, durable=True)
        await self._file.keep(admitted.counters)
        return new

    async def claim(self, now: Moment, *, room: int) -> Claimed:
        """Begin an attempt at up to `room` due tasks, one per idle device.

        Tasks that are due but whose execution may no longer begin end here instead.
        """

        def work(db: sqlite3.Connection) -> Claimed:
            queue = _Queue(db, now)
            queue.end_late()
            rows = db.execute(_SQL["claim"], bind(now.mono_ms, room)).fetchall()
            claims = tuple(queue.begin(*row) for row in sorted(rows))
            due = db.execute(_SQL["next_due"]).fetchone()[0]
            return Claimed(claims, None if due is None else MonoMs(due), queue.receipts)

        # Not durable: after a power cut the task is READY again and nothing of it was told. Both
        # actions there are do no harm twice.
        return await self._file.transact(work, durable=False)

    async def finish(self, claim: Claim, conclusion: Conclusion, now: Moment) -> bool:
        """End an attempt, durably and with its receipts; False when it is not the current one."""

        def work(db: sqlite3.Connection) -> bool:
            return _Queue(db, now).finish(claim, conclusion)

        return await self._file.transact(work, durable=True)

    async def give_back(self) -> int:
        """Undo every claim that has not ended: work was interrupted on purpose, not tried."""

        def work(db: sqlite3.Connection) -> int:
            return db.execute(_SQL["give_back"]).rowcount

        return await self._file.transact(work, durable=False)

    async def recover(self, now: Moment, *, crashed: bool) -> int:
        """Put right what an earlier life left; return how many tasks it left running.

        With `crashed` each of them counts a crash; the one that took the process down
        `limits.CRASHES` times is quarantined and the rest goes on. Due times of another boot
        are converted to this one's.
        """

        def work(db: sqlite3.Connection) -> int:
            queue = _Queue(db, now)
            queue.rebase()
            return queue.recover(crashed=crashed)

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


class _Queue:
    """The steps of one transaction over the queue's tables."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now
        self.receipts = 0

    def admit(self, item: Planned) -> int:
        job = item.job
        if isinstance(item.plan, Problem):
            return self.reject(job.execution, job, item.plan)
        state = ExecutionState.DELIVERED
        number = self._insert(job.execution, job, state)
        if number is None:
            return self._tell_again(job.execution)
        due = due_in(job.spec.delay_s * 1000, self._now)
        for device in item.plan:
            self._db.execute(_SQL["insert_task"], bind(number, device, *_due_row(due)))
        self._tell((number, job.execution), Fact(state=state))
        return 1

    def reject(self, uid: bytes, job: AdmittedJob | None, problem: Problem) -> int:
        state = ExecutionState.REJECTED
        number = self._insert(uid, job, state, problem.reason)
        if number is None:
            return self._tell_again(uid)
        self._tell((number, uid), Fact(state=state, reason=problem.reason, detail=problem.detail))
        return 1

    def count_open(self) -> int:
        count: int = self._db.execute(_SQL["count_open_tasks"]).fetchone()[0]
        return count

    def end_late(self) -> None:
        late = self._db.execute(_SQL["late_tasks"], bind(self._now.mono_ms, self._now.today_ms))
        causes: dict[int, Fact] = {}
        for task, execution, device, attempt, reason in late.fetchall():
            state, why = expire(attempt, Reason(reason) if reason else None)
            check_task_transition(TaskState.READY, state)
            self._db.execute(_SQL["end_waiting"], bind(task, state, why))
            fact = Fact(state=state, device=device, attempt=attempt, reason=why, detail=_TOO_LATE)
            self._tell_task(execution, fact)
            causes[execution] = fact
        # All of an execution's tasks first: half of them would not fold to EXPIRED.
        for execution, cause in causes.items():
            self._refold(execution, cause)

    def begin(self, task: int, execution: int, device: str, attempt: int, crashes: int) -> Claim:
        row = self._db.execute(_SQL["execution"], bind(execution)).fetchone()
        uid, _, spec, not_after_ms, job_class, grace_s = row
        self._refold(execution, Fact(state=TaskState.RUNNING, attempt=attempt))
        return Claim(
            task=task,
            execution=uid,
            device=DeviceId(device),
            attempt=attempt,
            crashes=crashes,
            spec=unpack(spec, JobSpec, bound=limits.SPEC_BYTES),
            job_class=job_class,
            grace_s=grace_s,
            not_after_ms=WallMs(not_after_ms),
        )

    def finish(self, claim: Claim, end: Conclusion) -> bool:
        check_task_transition(TaskState.RUNNING, end.state)
        due = (None,) * 4 if end.due is None else _due_row(end.due)
        fence = bind(claim.task, claim.attempt, end.state, end.reason or 0, *due)
        row = self._db.execute(_SQL["end_attempt"], fence).fetchone()
        if row is None:
            return False
        execution, device = row
        fact = Fact(
            state=end.state,
            device=device,
            attempt=claim.attempt,
            reason=end.reason,
            detail=end.detail,
            result=end.result,
        )
        if end.state is TaskState.READY:
            self._refold(execution, fact)
        else:
            self._ended(execution, fact)
        return True

    def recover(self, *, crashed: bool) -> int:
        rows = self._db.execute(_SQL["running_tasks"]).fetchall()
        for task, execution, device, attempt, crashes in rows:
            poisoned = crashed and crashes + 1 >= limits.CRASHES
            state = TaskState.QUARANTINED if poisoned else TaskState.READY
            reason = Reason.POISONED if poisoned else None
            check_task_transition(TaskState.RUNNING, state)
            self._db.execute(_SQL["recover_task"], bind(task, state, reason or 0, int(crashed)))
            detail = f"the agent went down {crashes + 1} times while it ran" if poisoned else ""
            fact = Fact(state=state, device=device, attempt=attempt, reason=reason, detail=detail)
            if poisoned:
                self._ended(execution, fact)
            else:
                self._refold(execution, fact)
        return len(rows)

    def rebase(self) -> None:
        foreign = self._db.execute(_SQL["foreign_dues"], bind(self._now.boot_id)).fetchall()
        for task, boot, mono, today, delay in foreign:
            due = rebased(Due(boot, MonoMs(mono), WallMs(today), delay), self._now)
            self._db.execute(_SQL["set_due"], bind(task, *_due_row(due)))

    def _insert(
        self, uid: bytes, job: AdmittedJob | None, state: ExecutionState, reason: int = 0
    ) -> int | None:
        """Return the new row's number, or None when the execution is known already."""
        if job is None:
            content = (b"", sha256().digest(), 0, "", 0)
        else:
            digest = sha256(job.spec_bytes).digest()
            content = (job.spec_bytes, digest, job.not_after_ms, job.job_class, job.grace_s)
            if job.approved_until_ms is not None:
                save_approved(self._db, digest, uid, job.approved_until_ms)
        row = bind(uid, *content, state, reason)
        found = self._db.execute(_SQL["insert_execution"], row).fetchone()
        return None if found is None else int(found[0])

    def _tell_again(self, uid: bytes) -> int:
        row = self._db.execute(_SQL["told_execution"], bind(uid)).fetchone()
        if row is not None:
            number, state, reason = row
            fact = Fact(state=ExecutionState(state), reason=Reason(reason) if reason else None)
            self._tell((number, uid), fact)
        return 0

    def _ended(self, execution: int, fact: Fact) -> None:
        """Tell how a task ended, then what that makes of its execution."""
        self._tell_task(execution, fact)
        self._refold(execution, fact)

    def _tell_task(self, execution: int, fact: Fact) -> None:
        uid = self._db.execute(_SQL["execution"], bind(execution)).fetchone()[0]
        self._tell((execution, uid), fact)

    def _refold(self, execution: int, cause: Fact) -> None:
        """Fold the execution's tasks again; tell it when its state moved on."""
        uid, state, *_ = self._db.execute(_SQL["execution"], bind(execution)).fetchone()
        rows = self._db.execute(_SQL["tasks_of"], bind(execution)).fetchall()
        outcome = settle((TaskState(s), n, Reason(r) if r else None) for s, n, r in rows)
        # What was given back folds to an earlier state; an execution never walks backwards.
        if outcome.state == state or not may_follow(ExecutionState(state), outcome.state):
            return
        held = outcome.state is ExecutionState.HELD
        reason = outcome.reason or (cause.reason if held else None)
        self._db.execute(_SQL["set_execution"], bind(execution, outcome.state, reason or 0))
        detail = cause.detail if reason else ""
        self._tell(
            (execution, uid),
            Fact(state=outcome.state, attempt=cause.attempt, reason=reason, detail=detail),
        )

    def _tell(self, execution: tuple[int, bytes], fact: Fact) -> None:
        tell(self._db, execution, fact, self._now.today_ms)
        self.receipts += 1


def _reach(counters: Counters) -> tuple[int, int, int]:
    return counters.epoch, counters.restore_epoch, counters.bundle_seq


_TOO_LATE = "not_after has passed"


def _due_row(due: Due) -> tuple[bytes, int, int, int]:
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms
