"""The queue's rows: the steps of one transaction over executions, tasks and receipts.

Runs inside a transaction of `agent.store.jobs` and is never used alone. Every change of a task is
folded into its execution (`agent.store.execution_rows`), and both are told to the outbox.
"""

import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from agent.core.course import Course, Ended
from agent.core.executor import Claim, Conclusion, so_far
from agent.core.moment import Moment
from agent.core.program import Program
from agent.core.queue import Due, Problem, due_in, expire, rebased
from agent.store.execution_rows import (
    ExecutionRows,
    Seen,
    called_off,
    read_course,
)
from agent.store.outbox import Fact
from agent.store.stored import stored_spec
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import (
    TERMINAL_EXECUTION,
    ExecutionState,
    TaskState,
    check_task_transition,
)
from shared.runtime.queries import bind, load_queries
from shared.trust.admission import AdmittedJob
from shared.wire.codec import pack

_SQL = load_queries("agent.store", "queries/jobs.sql")
_TOO_LATE: Final = "not_after has passed"
_CALLED_OFF: Final = "it was called off while it ran"
_TOO_MANY_STAND: Final = Problem(
    Reason.STORE_QUOTA, f"{limits.STANDING_JOBS} schedules and rules stand on this agent"
)


@dataclass(frozen=True, slots=True)
class Planned:
    """An admitted job and what this agent's devices make of it."""

    job: AdmittedJob
    plan: tuple[DeviceId, ...] | Problem


class QueueRows:
    """One transaction's view of the queue."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now
        self._executions = ExecutionRows(db, now)
        self.held = 0
        """Tasks that were held back so far."""

    @property
    def receipts(self) -> int:
        """Return how many receipts were written so far."""
        return self._executions.receipts

    # --- admission --------------------------------------------------------------------------------
    def admit(self, item: Planned) -> int:
        """Take one job; return 1 when it was new."""
        job, plan = item.job, item.plan
        if isinstance(plan, Problem):
            return self.reject(job.execution, job, plan)
        standing = self._executions.standing
        if job.spec.is_standing and not standing.has_room(job.spec.conflict_key):
            return self.reject(job.execution, job, _TOO_MANY_STAND)
        number = self._executions.insert(job.execution, job, ExecutionState.DELIVERED)
        if number is None:
            return self._executions.tell_again(job.execution)
        waits = self._executions.describe(number, job)
        self._executions.tell((number, job.execution), Fact(state=ExecutionState.DELIVERED))
        if job.spec.is_standing:
            self._executions.supersede(number, job.spec.conflict_key)
            standing.begin(number)
            return 1
        first = self._executions.first_tasks(job.spec, len(plan))
        due = due_in(job.spec.delay_s * 1000, self._now)
        for place, device in enumerate(plan):
            blocked = waits or place >= first
            row = bind(number, device, 0, job.spec.priority, int(blocked), *_due_row(due))
            self._db.execute(_SQL["insert_task"], row)
        # Its tasks are there first: it may wait for the very job that it takes the place of.
        self._executions.supersede(number, job.spec.conflict_key)
        if waits:
            self._executions.look_at_dependency(number)
        return 1

    def reject(self, uid: bytes, job: AdmittedJob | None, problem: Problem) -> int:
        """Write down that a job was refused; return 1 when it was new."""
        state = ExecutionState.REJECTED
        number = self._executions.insert(uid, job, state, problem.reason)
        if number is None:
            return self._executions.tell_again(uid)
        fact = Fact(state=state, reason=problem.reason, detail=problem.detail)
        self._executions.tell((number, uid), fact)
        if job is not None:
            self._executions.describe(number, job)
            self._executions.wake_dependents(job.job)
        return 1

    def count_open(self) -> int:
        """Return how many tasks wait or are at work."""
        count: int = self._db.execute(_SQL["count_open_tasks"]).fetchone()[0]
        return count

    def cancel(self, uid: bytes) -> None:
        """Call an execution off, with one of four proven outcomes in its receipt.

        What never came will not begin when it comes; what waits ends here; what is at work stops
        at its next safe point; what is over stays as it is.
        """
        found = self._db.execute(_SQL["find_execution"], bind(uid)).fetchone()
        if found is None:
            number = self._executions.insert(uid, None, ExecutionState.CANCELED, Reason.CANCELED)
            assert number is not None, "it was looked for in this transaction"
            outcome = called_off("never_delivered")
            self._executions.tell((number, uid), outcome)
            return
        number, state = found
        if ExecutionState(state) in TERMINAL_EXECUTION:
            self._executions.tell_again(uid)
            return
        self._db.execute(_SQL["mark_canceled"], bind(number))
        stood = self._executions.standing.end(number)
        self._executions.end_waiting(number, Reason.CANCELED, "it was called off before it began")
        if stood:
            # A firing at work stops at its next safe point and is history then.
            self._executions.move(number, uid, called_off("stopped"))

    def arm(self, number: int, uid: bytes) -> None:
        """Tell that a standing job is in force: it waits for its times."""
        self._executions.move(number, uid, Fact(state=ExecutionState.HELD))

    def end_standing(
        self, number: int, uid: bytes, state: ExecutionState, reason: Reason | None
    ) -> None:
        """End a standing job that will not fire again; its open firings come to their end."""
        self._executions.standing.end(number)
        self._executions.move(number, uid, Fact(state=state, reason=reason))

    # --- attempts ---------------------------------------------------------------------------------
    def end_late(self) -> None:
        """End waiting tasks whose execution may no longer begin.

        Where only a wall clock says so they are held back: it may be years ahead. What has
        something to put in order does that by any clock: it is not left half-way for months.
        """
        latest_ms = max(self._now.today_ms, self._now.proven_ms)
        late = self._db.execute(_SQL["late_tasks"], bind(self._now.mono_ms, latest_ms))
        causes: dict[tuple[int, int], Fact] = {}
        for task, execution, device, attempt, reason, firing, packed, end_ms in late.fetchall():
            course = read_course(packed)
            turned = course.expired(_TOO_LATE)
            if course.is_ending or self._executions.turn(task, execution, course, turned):
                continue
            if not self._now.is_over(end_ms):
                self._hold_back(task, end_ms)
                continue
            state, why = expire(attempt, Reason(reason) if reason else None)
            fact = Fact(
                state=state,
                device=device,
                attempt=attempt,
                reason=why,
                detail=_TOO_LATE,
                result=so_far(course),
            )
            self._executions.end_task(task, execution, firing, fact)
            causes[execution, firing] = fact
        # All of an execution's tasks first: half of them would not fold to EXPIRED.
        for (execution, firing), cause in causes.items():
            self._executions.refold(execution, firing, cause)

    def _hold_back(self, task: int, end_ms: int) -> None:
        """Let a task wait until it is over for certain, by powered time, or is let go before."""
        until_ms = self._now.mono_ms + end_ms - self._now.proven_ms + 1
        self._db.execute(_SQL["hold_back"], bind(task, until_ms))
        self.held += 1

    def settle(self) -> bool:
        """Let go what was held back and need not be any more; tell whether anything still is."""
        now = self._now
        may_begin_ms = max(now.today_ms, now.proven_ms)
        row = bind(now.boot_id, now.mono_ms, may_begin_ms, now.proven_ms)
        self._db.execute(_SQL["settle_held_back"], row)
        return bool(self._db.execute(_SQL["is_held_back"]).fetchone()[0])

    def claim(self, room: int) -> tuple[list[Claim], MonoMs | None]:
        """Begin attempts at the first due tasks of devices that have none running.

        Returns:
            The claims, most urgent first, and when there is something to do for a device that is
            idle then; None: not before something ends or comes.
        """
        if room <= 0:
            return [], None
        heads = self._db.execute(_SQL["heads"], bind(self._now.mono_ms)).fetchall()
        due = sorted(head[:3] for head in heads if head[2] is not None)
        claims = [self._begin(number) for _, _, number in due[:room]]
        later = [head[3] for head in heads if head[2] is None]
        if len(due) > room:
            later.append(self._now.mono_ms)
        # Who waits for another job is in no device's lane, but may wait no longer than allowed.
        proven_ms = self._now.proven_ms
        (ends_ms,) = self._db.execute(_SQL["dependents_end"], bind(proven_ms)).fetchone()
        if ends_ms is not None:
            later.append(self._now.mono_ms + ends_ms - proven_ms + 1)
        return claims, MonoMs(min(later)) if later else None

    def _begin(self, task: int) -> Claim:
        row = self._db.execute(_SQL["claim"], bind(task)).fetchone()
        execution, device, attempt, crashes, firing, course = row
        found = self._db.execute(_SQL["ordered"], bind(execution)).fetchone()
        spec, digest, not_after_ms, job_class, grace_s, trace, *looked = found
        seen, job = Seen(*looked), stored_spec(spec, digest)
        if not (job.window or job.preconditions):
            fact = Fact(state=TaskState.RUNNING, attempt=attempt)
            self._executions.refold(execution, firing, fact, seen)
        return Claim(
            task=task,
            execution=seen.id,
            device=DeviceId(device),
            attempt=attempt,
            crashes=crashes,
            spec=job,
            job_class=job_class,
            grace_s=grace_s,
            not_after_ms=WallMs(not_after_ms),
            firing=firing,
            course=read_course(course),
            trace=trace,
        )

    def begun(self, claim: Claim) -> None:
        """Tell that an attempt passed its gates: only now is it in progress."""
        number = self._db.execute(_SQL["find_execution"], bind(claim.execution)).fetchone()[0]
        fact = Fact(state=TaskState.RUNNING, attempt=claim.attempt)
        self._executions.refold(number, claim.firing, fact)

    def finish(self, claim: Claim, end: Conclusion) -> bool:
        """End an attempt; False when it is not the current one."""
        check_task_transition(TaskState.RUNNING, end.state)
        due = (None,) * 4 if end.due is None else _due_row(end.due)
        course = None if end.course is None else pack(end.course)
        fence = bind(
            *(claim.task, claim.attempt, end.state, end.reason or 0, *due),
            *(int(end.untried), int(end.verifying), course),
        )
        row = self._db.execute(_SQL["end_attempt"], fence).fetchone()
        if row is None:
            return False
        execution, device, firing = row
        fact = Fact(
            state=end.state,
            device=device,
            attempt=claim.attempt,
            reason=end.reason,
            detail=end.detail,
            result=end.result,
        )
        if end.state is not TaskState.READY:
            self._executions.task_ended(execution, firing, fact)
            return True
        stands = end.course or claim.course
        if not stands.is_ending and self._is_off(execution, firing):
            fact = self._called_off(claim.task, execution, firing, stands, fact)
        self._executions.refold(execution, firing, fact)
        return True

    def _called_off(
        self, task: int, execution: int, firing: int, stands: Course, fact: Fact
    ) -> Fact:
        """End what was called off while it worked and would go on later; return what to tell."""
        off = stands.called_off(Reason.CANCELED)
        if self._executions.turn(task, execution, stands, off):
            return fact
        fact = replace(
            fact,
            state=TaskState.CANCELED,
            reason=Reason.CANCELED,
            detail=_CALLED_OFF,
            result=so_far(stands),
        )
        self._executions.end_task(task, execution, firing, fact)
        return fact

    def recover(self, *, crashed: bool) -> int:
        """Put right what an earlier life left running; return how many tasks that was."""
        rows = self._db.execute(_SQL["running_tasks"]).fetchall()
        for task, execution, device, attempt, crashes, firing, packed, canceled in rows:
            course = read_course(packed)
            poison = ""
            if crashed and crashes + 1 >= limits.CRASHES:
                poison = f"the agent went down {crashes + 1} times while it ran"
            after, end = course, None
            if course.intent or poison or canceled:
                spec = stored_spec(*self._db.execute(_SQL["spec_of"], bind(execution)).fetchone())
                program = Program.of(spec)
                after, end = program.cut_off(course, poison=poison, canceled=bool(canceled))
            end = end or Ended(TaskState.READY)
            check_task_transition(TaskState.RUNNING, end.state)
            changed = None if after is course else pack(after)
            row = bind(task, end.state, end.reason or 0, int(crashed), changed)
            self._db.execute(_SQL["recover_task"], row)
            fact = Fact(
                state=end.state,
                device=device,
                attempt=attempt,
                reason=end.reason,
                detail=end.detail,
                result=so_far(after),
            )
            if end.state is TaskState.READY:
                self._executions.refold(execution, firing, fact)
            else:
                self._executions.task_ended(execution, firing, fact)
        return len(rows)

    def _is_off(self, execution: int, firing: int) -> bool:
        (off,) = self._db.execute(_SQL["called_off"], bind(execution, firing)).fetchone()
        return bool(off)

    def rebase(self) -> None:
        """Convert due times of another boot to this one's."""
        foreign = self._db.execute(_SQL["foreign_dues"], bind(self._now.boot_id)).fetchall()
        for task, boot, mono, today, delay in foreign:
            due = rebased(Due(boot, MonoMs(mono), WallMs(today), delay), self._now)
            self._db.execute(_SQL["set_due"], bind(task, *_due_row(due)))


def _due_row(due: Due) -> tuple[bytes, int, int, int]:
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms
