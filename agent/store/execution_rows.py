"""Executions' rows: written once, folded from their tasks, given their turn, told, ended.

The half of a transaction over the queue that is about whole executions; the other half, over single
attempts, is `agent.store.queue_rows`. An execution's state is never set but by a fold or by an
order about the whole; whatever it moves to is told in the same transaction.
"""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from agent.core.course import Course, Phase
from agent.core.executor import so_far
from agent.core.moment import Moment
from agent.store.contact import save_approved
from agent.store.outbox import Fact, Outbox
from agent.store.standing_rows import StandingRows, seen_tasks
from agent.store.stored import stored, stored_spec
from shared import limits
from shared.errors import Reason
from shared.ids import parse_uuid
from shared.model.job import (
    TERMINAL_EXECUTION,
    ExecutionState,
    JobSpec,
    TaskState,
    check_task_transition,
    fold_tasks,
    may_follow,
)
from shared.runtime.queries import bind, load_queries
from shared.trust.admission import AdmittedJob
from shared.wire.codec import pack

_SQL = load_queries("agent.store", "queries/jobs.sql")
_ANY: Final = -1
_SUPERSEDED: Final = ExecutionState.SUPERSEDED

_Waiting = tuple[int, str, int, int, bytes]
"""A task that waits: its row number, device, attempt, firing and packed course."""


class ExecutionRows:
    """One transaction's view of executions."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now
        self._outbox = Outbox(db)
        self.standing = StandingRows(db, now)
        self.receipts = 0
        """Receipts written so far."""

    # --- written once -----------------------------------------------------------------------------
    def insert(
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

    def describe(self, number: int, job: AdmittedJob) -> bool:
        """Write down what decides turns; tell whether it waits for another job."""
        spec, batch, after = job.spec, job.spec.batch, job.spec.after
        waits_for = None if after is None else parse_uuid(after.job, what="job")
        wanted = _ANY
        if after is not None and after.outcome != "ANY":
            wanted = ExecutionState[after.outcome]
        row = (
            *(job.job, spec.conflict_key, spec.priority, batch.tolerate_ppm),
            *(batch.max_parallel, batch.canary, waits_for, int(wanted), job.trace),
        )
        self._db.execute(_SQL["describe_execution"], bind(number, *row))
        return waits_for is not None

    def first_tasks(self, job: JobSpec, count: int) -> int:
        """Return how many of so many tasks may begin before any has ended."""
        return min(job.batch.canary or count, job.batch.max_parallel or count)

    def tell_again(self, uid: bytes) -> int:
        """Tell where an execution stands if all that was told of it is acknowledged; return 0."""
        row = self._db.execute(_SQL["told_execution"], bind(uid)).fetchone()
        if row is not None:
            number, state, reason = row
            fact = Fact(state=ExecutionState(state), reason=Reason(reason) if reason else None)
            self.tell((number, uid), fact)
        return 0

    # --- folded and told --------------------------------------------------------------------------
    def tell(self, execution: tuple[int, bytes], fact: Fact) -> None:
        """Tell a fact about an execution (row number, id) or a task of it."""
        receipt = self._write(execution[1], fact)
        self._db.execute(_SQL["set_newest_receipt"], bind(execution[0], receipt))

    def task_ended(self, execution: int, firing: int, fact: Fact) -> None:
        """Tell how a task ended, let others have their turn, and what that makes of the whole."""
        seen = self._look(execution)
        told = 0 if firing else self._write(seen.id, fact)
        if firing:
            self.standing.found(execution, firing, fact)
        if seen.has_turns:
            if fact.reason is Reason.NOT_SELECTED:
                # Its place, also that of a canary, is the next one's.
                self._db.execute(_SQL["unblock"], bind(execution, firing, 1))
            else:
                self._next_turn(execution, firing)
            seen = self._look(execution)
        moved = self.refold(execution, firing, fact, seen)
        if told and not moved:  # what it moved to is told later, by a newer receipt
            self._db.execute(_SQL["set_newest_receipt"], bind(execution, told))

    def end_task(self, task: int, execution: int, firing: int, fact: Fact) -> None:
        """End a task that waits; `refold` follows once all of them are ended."""
        assert isinstance(fact.state, TaskState), "a task has a task's state"
        check_task_transition(TaskState.READY, fact.state)
        self._db.execute(_SQL["end_waiting"], bind(task, fact.state, fact.reason or 0))
        if not firing:
            self.tell((execution, self._look(execution).id), fact)

    def turn(self, task: int, execution: int, before: Course, after: Course) -> bool:
        """Let a task that had begun, and waits, go on to its end; False: nothing is left to do.

        Undoing and last steps are done however a job ended, also when nobody wants it any more.
        """
        if not before.has_begun:
            return False
        spec = stored_spec(*self._db.execute(_SQL["spec_of"], bind(execution)).fetchone())
        if not (spec.final_steps or (after.phase is Phase.FAILED and spec.compensation)):
            return False
        due = bind(task, pack(after), self._now.boot_id, self._now.mono_ms)
        self._db.execute(_SQL["turn_course"], due)
        return True

    def refold(self, execution: int, firing: int, cause: Fact, seen: "Seen | None" = None) -> bool:
        """Fold the execution's tasks again; tell it when its state moved on, and whether it did.

        A firing of a standing job moves nothing: once it is over, it is history. `seen` is the
        execution's row where it was read in this transaction already.
        """
        if firing:
            self.standing.firing_ended(execution, firing, cause.detail, cause.result)
            return False
        return self._refold(execution, cause, seen or self._look(execution))

    def move(self, execution: int, uid: bytes, fact: Fact) -> None:
        """Take an execution to a state, if it may go there, and tell it."""
        self._move(execution, uid, self._look(execution).state, fact)

    def wake_dependents(self, job: bytes) -> None:
        """Let the executions that wait for this job look at it again."""
        for (number,) in self._db.execute(_SQL["dependents"], bind(job)).fetchall():
            self.look_at_dependency(number)

    def _look(self, execution: int) -> "Seen":
        return Seen(*self._db.execute(_SQL["execution"], bind(execution)).fetchone())

    def _write(self, execution: bytes, fact: Fact) -> int:
        self.receipts += 1
        return self._outbox.write(execution, fact, self._now.today_ms)

    def _refold(self, execution: int, cause: Fact, row: "Seen") -> bool:
        seen = seen_tasks(self._db, execution, 0)
        outcome = fold_tasks(seen, tolerate_ppm=row.tolerate_ppm)
        reason = outcome.reason
        fact = Fact(
            state=outcome.state,
            attempt=cause.attempt,
            reason=reason,
            detail=cause.detail if reason else "",
        )
        if row.canceled and outcome.state is ExecutionState.CANCELED:
            begun = any(task.attempts for task in seen)
            fact = called_off("stopped" if begun else "not_started")
        return self._move(execution, row.id, row.state, fact)

    def _move(self, execution: int, uid: bytes, before: int, fact: Fact) -> bool:
        assert isinstance(fact.state, ExecutionState), "an execution has an execution's state"
        # What was given back folds to an earlier state; an execution never walks backwards.
        if fact.state == before or not may_follow(ExecutionState(before), fact.state):
            return False
        receipt = self._write(uid, fact)
        row = bind(execution, fact.state, fact.reason or 0, receipt)
        (job,) = self._db.execute(_SQL["set_execution"], row).fetchone()
        if fact.state in TERMINAL_EXECUTION:
            self.wake_dependents(job)
        return True

    # --- whose turn it is -------------------------------------------------------------------------
    def _next_turn(self, execution: int, firing: int) -> None:
        """Let tasks begin whose turn has come, or call them off when too many failed."""
        row = self._db.execute(
            _SQL["turns"], bind(execution, firing, Reason.NOT_SELECTED)
        ).fetchone()
        parallel, canary, tolerate, total, done, failed, at_work = row
        cautious = canary > 0 and done < min(canary, total)
        too_many = failed * 1_000_000 > tolerate * total
        # The first ones may also have been called off: nothing was proven, so nobody follows.
        stuck = cautious and at_work == 0
        if stuck or (failed and (cautious or (too_many and (canary or tolerate)))):
            why = "the first devices failed" if cautious else "more failed than is tolerated"
            blocked = self._db.execute(_SQL["blocked_tasks"], bind(execution, firing)).fetchall()
            self._end_all(execution, blocked, Reason.CANARY_FAILED, why)
            return
        if cautious:
            return
        room = (parallel or total) - at_work
        if room > 0:
            self._db.execute(_SQL["unblock"], bind(execution, firing, room))

    def look_at_dependency(self, number: int) -> None:
        """Begin, go on waiting, or give up, as the job that this one waits for stands."""
        row = self._db.execute(_SQL["dependency"], bind(number)).fetchone()
        job, wanted, uid, parallel, canary = row
        if job is None:
            return  # released already
        found = self._db.execute(_SQL["outcome_of_job"], bind(job)).fetchone()
        state = None if found is None else ExecutionState(found[0])
        if state is None or state not in TERMINAL_EXECUTION:
            fact = Fact(state=ExecutionState.HELD, reason=Reason.WAITING_FOR_JOB)
            self.move(number, uid, fact)
        elif wanted in {_ANY, state}:
            self._db.execute(_SQL["release_dependents"], bind(number))
            every = limits.TASKS_PER_EXECUTION
            self._db.execute(
                _SQL["unblock"], bind(number, 0, min(parallel or every, canary or every))
            )
        else:
            self.end_waiting(number, Reason.DEPENDENCY_FAILED, f"that job ended {state.name}")

    def supersede(self, number: int, conflict_key: str) -> None:
        """End executions that wait under the same key; one at work goes on."""
        if not conflict_key:
            return
        rivals = self._db.execute(_SQL["rivals"], bind(conflict_key, number)).fetchall()
        for rival, uid in rivals:
            if self.standing.end(rival):
                why = f"a newer job has {conflict_key}"
                fact = Fact(state=_SUPERSEDED, reason=Reason.SUPERSEDED, detail=why)
                self.end_waiting(rival, Reason.SUPERSEDED, why)
                self.move(rival, uid, fact)
            elif self._db.execute(_SQL["count_running_of"], bind(rival)).fetchone()[0] == 0:
                self.end_waiting(rival, Reason.SUPERSEDED, f"a newer job has {conflict_key}")

    def end_waiting(self, execution: int, reason: Reason, detail: str) -> None:
        """Call off every task of an execution that waits, in all its firings."""
        waiting = self._db.execute(_SQL["waiting_tasks"], bind(execution)).fetchall()
        self._end_all(execution, waiting, reason, detail)

    def _end_all(
        self, execution: int, tasks: Sequence[_Waiting], reason: Reason, detail: str
    ) -> None:
        firings = set()
        fact = Fact(state=TaskState.CANCELED, reason=reason, detail=detail)
        for task, device, attempt, firing, packed in tasks:
            course = read_course(packed)
            if course.is_ending or self.turn(task, execution, course, course.called_off(reason)):
                continue
            fact = Fact(
                state=TaskState.CANCELED,
                device=device,
                attempt=attempt,
                reason=reason,
                detail=detail,
                result=so_far(course),
            )
            self.end_task(task, execution, firing, fact)
            firings.add(firing)
        for firing in sorted(firings):
            self.refold(execution, firing, fact)


class Seen(NamedTuple):
    """What folds and turns go by: the columns of the query `execution`, the last of `ordered`."""

    id: bytes
    state: int
    tolerate_ppm: int
    canceled: int
    has_turns: int
    """Some tasks wait for others of the same execution."""


def called_off(how: str) -> Fact:
    """Return what is told of an execution that was called off, and how far it had come."""
    return Fact(
        state=ExecutionState.CANCELED, reason=Reason.CANCELED, detail=how, result={"cancel": how}
    )


def read_course(packed: bytes) -> Course:
    """Return where a task stands, as its row says it."""
    return stored(packed, Course, bound=2 * limits.COURSE_BYTES) if packed else Course()
