"""The queue's rows: the steps of one transaction over executions, tasks and receipts.

Runs inside a transaction of `agent.store.jobs` and is never used alone. Every change of a task is
folded into its execution here, and both are told to the outbox.
"""

import sqlite3
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from agent.core.course import Course
from agent.core.executor import Claim, Conclusion
from agent.core.moment import Moment
from agent.core.queue import Due, Problem, due_in, expire, rebased
from agent.store.contact import save_approved
from agent.store.outbox import Fact, tell
from agent.store.standing_rows import StandingRows
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason
from shared.ids import DeviceId, parse_uuid
from shared.model.job import (
    TERMINAL_EXECUTION,
    ExecutionState,
    JobSpec,
    TaskSeen,
    TaskState,
    check_task_transition,
    fold_tasks,
    may_follow,
)
from shared.runtime.queries import bind, load_queries
from shared.trust.admission import AdmittedJob
from shared.wire.codec import pack, unpack

_SQL = load_queries("agent.store", "queries/jobs.sql")
_TOO_LATE: Final = "not_after has passed"
_ANY: Final = -1
_SUPERSEDED: Final = ExecutionState.SUPERSEDED


@dataclass(frozen=True, slots=True)
class Planned:
    """An admitted job and what this agent's devices make of it."""

    job: AdmittedJob
    plan: tuple[DeviceId, ...] | Problem


class QueueRows:
    """One transaction's view of the queue."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now
        self._standing = StandingRows(db, now)
        self.receipts = 0
        """Receipts written so far."""

    # --- admission --------------------------------------------------------------------------------
    def admit(self, item: Planned) -> int:
        """Take one job; return 1 when it was new."""
        job, plan = item.job, item.plan
        if isinstance(plan, Problem):
            return self.reject(job.execution, job, plan)
        number = self._insert(job.execution, job, ExecutionState.DELIVERED)
        if number is None:
            return self._tell_again(job.execution)
        waits = self._describe(number, job)
        self._tell((number, job.execution), Fact(state=ExecutionState.DELIVERED))
        self._supersede(number, job.spec.conflict_key)
        if job.spec.is_standing:
            self._standing.begin(number)
            return 1
        batch = job.spec.batch
        first = min(batch.canary or len(plan), batch.max_parallel or len(plan))
        due = due_in(job.spec.delay_s * 1000, self._now)
        for place, device in enumerate(plan):
            blocked = waits or place >= first
            row = bind(number, device, 0, job.spec.priority, int(blocked), *_due_row(due))
            self._db.execute(_SQL["insert_task"], row)
        if waits:
            self._look_at_dependency(number)
        return 1

    def reject(self, uid: bytes, job: AdmittedJob | None, problem: Problem) -> int:
        """Write down that a job was refused; return 1 when it was new."""
        state = ExecutionState.REJECTED
        number = self._insert(uid, job, state, problem.reason)
        if number is None:
            return self._tell_again(uid)
        self._tell((number, uid), Fact(state=state, reason=problem.reason, detail=problem.detail))
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
            number = self._insert(uid, None, ExecutionState.CANCELED, Reason.CANCELED)
            assert number is not None, "it was looked for in this transaction"
            outcome = _called_off("never_delivered")
            self._tell((number, uid), outcome)
            return
        number, state = found
        if ExecutionState(state) in TERMINAL_EXECUTION:
            self._tell_again(uid)
            return
        self._db.execute(_SQL["mark_canceled"], bind(number))
        stood = self._standing.end(number)
        self._end_waiting(number, Reason.CANCELED, "it was called off before it began")
        if stood:
            # A firing at work stops at its next safe point and is history then.
            self._move(number, uid, _called_off("stopped"))

    def arm(self, number: int, uid: bytes) -> None:
        """Tell that a standing job is in force: it waits for its times."""
        self._move(number, uid, Fact(state=ExecutionState.HELD))

    def end_standing(
        self, number: int, uid: bytes, state: ExecutionState, reason: Reason | None
    ) -> None:
        """End a standing job that will not fire again; its open firings come to their end."""
        self._standing.end(number)
        self._move(number, uid, Fact(state=state, reason=reason))

    # --- attempts ---------------------------------------------------------------------------------
    def end_late(self) -> None:
        """End waiting tasks whose execution may no longer begin."""
        late = self._db.execute(_SQL["late_tasks"], bind(self._now.mono_ms, self._now.today_ms))
        causes: dict[tuple[int, int], Fact] = {}
        for task, execution, device, attempt, reason, firing in late.fetchall():
            state, why = expire(attempt, Reason(reason) if reason else None)
            fact = Fact(state=state, device=device, attempt=attempt, reason=why, detail=_TOO_LATE)
            self._end_task(task, execution, firing, fact)
            causes[execution, firing] = fact
        # All of an execution's tasks first: half of them would not fold to EXPIRED.
        for (execution, firing), cause in causes.items():
            self._refold(execution, firing, cause)

    def begin(self, claimed: tuple[Any, ...]) -> Claim:
        """Return the claim of a task that was just marked as running: the row of `claim`."""
        task, execution, device, attempt, crashes, firing, course = claimed
        row = self._db.execute(_SQL["execution"], bind(execution)).fetchone()
        uid, _, spec, not_after_ms, job_class, grace_s, _, _ = row
        job = unpack(spec, JobSpec, bound=limits.SPEC_BYTES)
        if not (job.window or job.preconditions):
            self._refold(execution, firing, Fact(state=TaskState.RUNNING, attempt=attempt))
        return Claim(
            task=task,
            execution=uid,
            device=DeviceId(device),
            attempt=attempt,
            crashes=crashes,
            spec=job,
            job_class=job_class,
            grace_s=grace_s,
            not_after_ms=WallMs(not_after_ms),
            firing=firing,
            course=_course(course),
        )

    def begun(self, claim: Claim) -> None:
        """Tell that an attempt passed its gates: only now is it in progress."""
        number = self._db.execute(_SQL["find_execution"], bind(claim.execution)).fetchone()[0]
        fact = Fact(state=TaskState.RUNNING, attempt=claim.attempt)
        self._refold(number, claim.firing, fact)

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
        if end.state is TaskState.READY:
            self._refold(execution, firing, fact)
        else:
            self._task_ended(execution, firing, fact)
        return True

    def recover(self, *, crashed: bool) -> int:
        """Put right what an earlier life left running; return how many tasks that was."""
        rows = self._db.execute(_SQL["running_tasks"]).fetchall()
        for task, execution, device, attempt, crashes, firing, course, canceled in rows:
            state, reason, detail = _recovered(
                _course(course), crashes + int(crashed), crashed=crashed, canceled=bool(canceled)
            )
            check_task_transition(TaskState.RUNNING, state)
            self._db.execute(_SQL["recover_task"], bind(task, state, reason or 0, int(crashed)))
            if state is TaskState.READY and not crashed:
                self._db.execute(_SQL["untry"], bind(task))
            fact = Fact(state=state, device=device, attempt=attempt, reason=reason, detail=detail)
            if state is TaskState.READY:
                self._refold(execution, firing, fact)
            else:
                self._task_ended(execution, firing, fact)
        return len(rows)

    def rebase(self) -> None:
        """Convert due times of another boot to this one's."""
        foreign = self._db.execute(_SQL["foreign_dues"], bind(self._now.boot_id)).fetchall()
        for task, boot, mono, today, delay in foreign:
            due = rebased(Due(boot, MonoMs(mono), WallMs(today), delay), self._now)
            self._db.execute(_SQL["set_due"], bind(task, *_due_row(due)))

    # --- whose turn it is -------------------------------------------------------------------------
    def _next_turn(self, execution: int, firing: int) -> None:
        """Let tasks begin whose turn has come, or call them off when too many failed."""
        row = self._db.execute(_SQL["turns"], bind(execution, firing)).fetchone()
        parallel, canary, tolerate, total, done, failed, at_work = row
        if parallel == 0 and canary == 0 and tolerate == 0:
            return
        cautious = canary > 0 and done < min(canary, total)
        too_many = failed * 1_000_000 > tolerate * total
        if failed and (cautious or (too_many and (canary or tolerate))):
            why = "the first devices failed" if cautious else "more failed than is tolerated"
            self._end_waiting(execution, Reason.CANARY_FAILED, why, blocked_only=True)
            return
        if cautious:
            return
        room = (parallel or total) - at_work
        if room > 0:
            self._db.execute(_SQL["unblock"], bind(execution, firing, room))

    def _look_at_dependency(self, number: int) -> None:
        """Begin, go on waiting, or give up, as the job that this one waits for stands."""
        row = self._db.execute(_SQL["dependency"], bind(number)).fetchone()
        job, wanted, uid = row
        found = self._db.execute(_SQL["outcome_of_job"], bind(job)).fetchone()
        state = None if found is None else ExecutionState(found[0])
        if state is None or state not in TERMINAL_EXECUTION:
            fact = Fact(state=ExecutionState.HELD, reason=Reason.WAITING_FOR_JOB)
            self._move(number, uid, fact)
        elif wanted in {_ANY, state}:
            self._db.execute(_SQL["release_dependents"], bind(number))
            self._db.execute(_SQL["unblock"], bind(number, 0, limits.TASKS_PER_EXECUTION))
        else:
            self._end_waiting(number, Reason.DEPENDENCY_FAILED, f"that job ended {state.name}")

    def _supersede(self, number: int, conflict_key: str) -> None:
        """End executions that wait under the same key; one at work goes on."""
        if not conflict_key:
            return
        rivals = self._db.execute(_SQL["rivals"], bind(conflict_key, number)).fetchall()
        for rival, uid in rivals:
            if self._standing.end(rival):
                why = f"a newer job has {conflict_key}"
                fact = Fact(state=_SUPERSEDED, reason=Reason.SUPERSEDED, detail=why)
                self._end_waiting(rival, Reason.SUPERSEDED, why)
                self._move(rival, uid, fact)
            elif self._db.execute(_SQL["count_running_of"], bind(rival)).fetchone()[0] == 0:
                self._end_waiting(rival, Reason.SUPERSEDED, f"a newer job has {conflict_key}")

    def _end_waiting(
        self, execution: int, reason: Reason, detail: str, *, blocked_only: bool = False
    ) -> None:
        """Call off every task of an execution that waits, in all its firings."""
        query = "blocked_tasks" if blocked_only else "waiting_tasks"
        firings = set()
        fact = Fact(state=TaskState.CANCELED, reason=reason, detail=detail)
        for task, device, attempt, firing in self._db.execute(
            _SQL[query], bind(execution)
        ).fetchall():
            state = TaskState.CANCELED
            fact = Fact(state=state, device=device, attempt=attempt, reason=reason, detail=detail)
            self._end_task(task, execution, firing, fact)
            firings.add(firing)
        for firing in sorted(firings):
            self._refold(execution, firing, fact)

    # --- rows and receipts ------------------------------------------------------------------------
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

    def _describe(self, number: int, job: AdmittedJob) -> bool:
        """Write down what decides turns; tell whether it waits for another job."""
        spec, batch, after = job.spec, job.spec.batch, job.spec.after
        waits_for = None if after is None else parse_uuid(after.job, what="job")
        wanted = _ANY
        if after is not None and after.outcome != "ANY":
            wanted = ExecutionState[after.outcome]
        row = (
            *(job.job, spec.conflict_key, spec.priority, batch.tolerate_ppm),
            *(batch.max_parallel, batch.canary, waits_for, int(wanted)),
        )
        self._db.execute(_SQL["describe_execution"], bind(number, *row))
        return waits_for is not None

    def _tell_again(self, uid: bytes) -> int:
        row = self._db.execute(_SQL["told_execution"], bind(uid)).fetchone()
        if row is not None:
            number, state, reason = row
            fact = Fact(state=ExecutionState(state), reason=Reason(reason) if reason else None)
            self._tell((number, uid), fact)
        return 0

    def _task_ended(self, execution: int, firing: int, fact: Fact) -> None:
        """Tell how a task ended, let others have their turn, and what that makes of the whole."""
        if not firing:
            self._tell_task(execution, fact)
        self._next_turn(execution, firing)
        self._refold(execution, firing, fact)

    def _end_task(self, task: int, execution: int, firing: int, fact: Fact) -> None:
        assert isinstance(fact.state, TaskState), "a task has a task's state"
        check_task_transition(TaskState.READY, fact.state)
        self._db.execute(_SQL["end_waiting"], bind(task, fact.state, fact.reason or 0))
        if not firing:
            self._tell_task(execution, fact)

    def _tell_task(self, execution: int, fact: Fact) -> None:
        uid = self._db.execute(_SQL["execution"], bind(execution)).fetchone()[0]
        self._tell((execution, uid), fact)

    def _refold(self, execution: int, firing: int, cause: Fact) -> None:
        """Fold the execution's tasks again; tell it when its state moved on.

        A firing of a standing job moves nothing: once it is over, it is history.
        """
        if firing:
            self._standing.firing_ended(execution, firing, cause.detail, cause.result)
            return
        row = self._db.execute(_SQL["execution"], bind(execution)).fetchone()
        uid, _, _, _, _, _, tolerate, canceled = row
        rows = self._db.execute(_SQL["tasks_of"], bind(execution, firing)).fetchall()
        seen = [
            TaskSeen(TaskState(state), attempts, Reason(reason) if reason else None, bool(checks))
            for state, attempts, reason, checks in rows
        ]
        outcome = fold_tasks(seen, tolerate_ppm=tolerate)
        reason = outcome.reason
        fact = Fact(
            state=outcome.state,
            attempt=cause.attempt,
            reason=reason,
            detail=cause.detail if reason else "",
        )
        if canceled and outcome.state is ExecutionState.CANCELED:
            begun = any(task.attempts for task in seen)
            fact = _called_off("stopped" if begun else "not_started")
        self._move(execution, uid, fact)

    def _move(self, execution: int, uid: bytes, fact: Fact) -> None:
        """Take an execution to a state, if it may go there, and tell it."""
        state = ExecutionState(self._db.execute(_SQL["execution"], bind(execution)).fetchone()[1])
        assert isinstance(fact.state, ExecutionState), "an execution has an execution's state"
        # What was given back folds to an earlier state; an execution never walks backwards.
        if fact.state == state or not may_follow(state, fact.state):
            return
        self._db.execute(_SQL["set_execution"], bind(execution, fact.state, fact.reason or 0))
        self._tell((execution, uid), fact)
        if fact.state in TERMINAL_EXECUTION:
            self._wake_dependents(execution)

    def _wake_dependents(self, execution: int) -> None:
        job = self._db.execute(_SQL["job_of"], bind(execution)).fetchone()[0]
        for number, _, _ in self._db.execute(_SQL["dependents"], bind(job)).fetchall():
            self._look_at_dependency(number)

    def _tell(self, execution: tuple[int, bytes], fact: Fact) -> None:
        tell(self._db, execution, fact, self._now.today_ms)
        self.receipts += 1


def _recovered(
    course: Course, crashes: int, *, crashed: bool, canceled: bool
) -> tuple[TaskState, Reason | None, str]:
    """Return what becomes of a task that was running when the process ended."""
    if course.intent:
        detail = f"{course.intent}: cut off; the device may or may not have done it"
        return TaskState.FAILED, Reason.UNKNOWN_EFFECT, detail
    if crashed and crashes >= limits.CRASHES:
        detail = f"the agent went down {crashes} times while it ran"
        return TaskState.QUARANTINED, Reason.POISONED, detail
    if canceled:
        return TaskState.CANCELED, Reason.CANCELED, "it was called off while it ran"
    return TaskState.READY, None, ""


def _called_off(how: str) -> Fact:
    return Fact(
        state=ExecutionState.CANCELED, reason=Reason.CANCELED, detail=how, result={"cancel": how}
    )


def _course(packed: bytes) -> Course:
    return unpack(packed, Course, bound=2 * limits.COURSE_BYTES) if packed else Course()


def _due_row(due: Due) -> tuple[bytes, int, int, int]:
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms
