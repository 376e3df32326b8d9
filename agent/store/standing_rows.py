"""Rows of standing jobs: those in force, and what becomes of firings as history.

Runs inside a transaction of `agent.store.jobs` or `agent.store.standing`. A firing's tasks live as
long as it does; afterwards it is a *tale*. Several firings in a row that ended alike are one tale,
so that months of history fit into a contact, and a tale becomes a receipt only when a report takes
it. What a firing found out about a device is a tale of that device, for as long as it is the same.
Leaves out how firings become tasks (`agent.store.firing_rows`).
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.findings import is_finding, same_finding
from agent.core.fired import Run
from agent.core.moment import Moment
from agent.core.queue import TOLD_AS, Due
from agent.core.rules import RuleMemory
from agent.store.outbox import Fact, Outbox
from agent.store.stored import stored, stored_spec
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import DeviceId
from shared.model.job import ExecutionState, JobSpec, TaskSeen, TaskState, Value, fold_tasks
from shared.runtime.queries import bind, load_queries
from shared.wire.codec import pack, unpack
from shared.words import some

_SQL = load_queries("agent.store", "queries/standing.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A standing job in force."""

    number: int
    execution: bytes
    spec: JobSpec
    not_after_ms: WallMs
    last_ms: WallMs
    due: Due | None
    memories: Mapping[DeviceId, RuleMemory] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    """What a schedule has fired."""
    trace: bytes = b""
    """The trace id of the request behind it, for the log alone; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """How one or several firings ended."""

    state: ExecutionState
    first_ms: WallMs
    last_ms: WallMs
    count: int = 1
    device: str = ""
    reason: Reason | None = None
    detail: str = ""
    result: Mapping[str, Value] = field(default_factory=dict)


class StandingRows:
    """One transaction's view of standing jobs."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now

    def begin(self, execution: int) -> None:
        """Put a standing job into force."""
        self._db.execute(_SQL["begin_standing"], bind(execution, self._now.today_ms))

    def end(self, execution: int) -> bool:
        """Let a standing job fire no more; tell whether it was in force."""
        return self._db.execute(_SQL["end_standing"], bind(execution)).rowcount == 1

    def has_room(self, conflict_key: str) -> bool:
        """Tell whether one more may be in force, in the place of any with the same conflict key."""
        (count,) = self._db.execute(_SQL["count_standing"], bind(conflict_key)).fetchone()
        return bool(count < limits.STANDING_JOBS)

    def in_force(self, execution: int) -> bool:
        """Tell whether a standing job is in force still: it may be called off since it was read."""
        return bool(self._db.execute(_SQL["in_force"], bind(execution)).fetchone()[0])

    def all(self) -> list[Standing]:
        """Return every standing job in force."""
        rows = self._db.execute(_SQL["all_standing"]).fetchall()
        return [self._standing(*row) for row in rows]

    def dealt_with(self, execution: int, last_ms: WallMs, due: Due | None) -> None:
        """Note up to where a schedule's nominal times are dealt with, and when to look again."""
        members = (None,) * 4 if due is None else due_row(due)
        self._db.execute(_SQL["look_again"], bind(execution, last_ms, *members))

    def note_runs(self, execution: int, runs: Sequence[Run]) -> None:
        """Note which nominal times have fired."""
        self._db.execute(_SQL["note_runs"], bind(execution, pack([list(run) for run in runs])))

    def remember(self, execution: int, device: DeviceId, memory: RuleMemory) -> None:
        """Keep what a rule has to remember over a restart."""
        self._db.execute(_SQL["remember"], bind(execution, device, pack(memory)))

    def firing_ended(self, execution: int, firing: int, detail: str, result: object) -> None:
        """Turn a firing whose tasks are all over into history, once; one that is not stays."""
        seen = seen_tasks(self._db, execution, firing)
        if not seen:
            # It is history: the end of one task may have called off all that was left.
            return
        if any(task.state in {TaskState.READY, TaskState.RUNNING} for task in seen):
            return
        (tolerate,) = self._db.execute(_SQL["tolerated"], bind(execution)).fetchone()
        outcome = fold_tasks(seen, tolerate_ppm=tolerate)
        meant = [task for task in seen if task.reason is not Reason.NOT_SELECTED]
        failed = sum(task.state is not TaskState.DONE for task in meant)
        if len(seen) > 1:
            detail = f"{failed} of {some(len(meant), 'device')} failed; {detail}" if failed else ""
        at = self._nominal(execution, firing)
        # What was found out about a device is told by itself, see `found`.
        one = len(seen) == 1 and isinstance(result, Mapping) and not is_finding(result)
        tale = Tale(
            state=outcome.state,
            reason=outcome.reason,
            first_ms=at,
            last_ms=at,
            detail=detail,
            result=dict(result) if one and isinstance(result, Mapping) else {},
        )
        self.tell(execution, tale)
        self._db.execute(_SQL["drop_firing"], bind(execution, firing))

    def found(self, execution: int, firing: int, fact: Fact) -> None:
        """Tell what a task of a firing found out about its device, if it did."""
        if not is_finding(fact.result):
            return
        at = self._nominal(execution, firing)
        done = fact.state is TaskState.DONE
        tale = Tale(
            state=ExecutionState.SUCCEEDED if done else ExecutionState.FAILED,
            reason=fact.reason,
            first_ms=at,
            last_ms=at,
            device=fact.device or TOLD_AS,
            detail=fact.detail,
            result=fact.result,
        )
        self.tell(execution, tale)

    def tell(self, execution: int, tale: Tale) -> None:
        """Add to the history: to its newest tale where that ended alike, else as a new one."""
        found = self._db.execute(_SQL["newest_tale"], bind(execution, tale.device)).fetchone()
        reason, result = int(tale.reason or 0), pack(dict(tale.result))
        alike = found is not None and found[1:4] == (tale.state, reason, tale.detail)
        if alike and tale.device and is_finding(tale.result):
            alike = same_finding(_found_out(found[4]), tale.result)
        if alike:
            row = bind(
                found[0], tale.last_ms, tale.first_ms, tale.count, self._now.today_ms, result
            )
            self._db.execute(_SQL["extend_tale"], row)
            return
        row = bind(
            *(execution, tale.device, tale.state, reason, tale.first_ms, tale.last_ms),
            *(tale.count, self._now.today_ms, tale.detail, result),
        )
        self._db.execute(_SQL["tell_tale"], row)
        if self._db.execute(_SQL["count_tales"]).fetchone()[0] > limits.TALES:
            self._shorten()

    def _nominal(self, execution: int, firing: int) -> WallMs:
        """Return a firing's nominal time; of one that is no longer remembered, the present."""
        nominal = self._db.execute(_SQL["nominal_of"], bind(execution, firing)).fetchone()
        return WallMs(nominal[0] if nominal else self._now.today_ms)

    def _shorten(self) -> None:
        """Make one of the two oldest tales of whoever has most: what happened stays counted."""
        execution, device = self._db.execute(_SQL["most_talkative"]).fetchone()
        older, newer = self._db.execute(_SQL["tales_of"], bind(execution, device, 2)).fetchall()
        alike = older[1:3] == newer[1:3]
        state = older[1] if alike else max(older[1], newer[1])
        reason = older[2] if alike else max(older[2], newer[2])
        row = bind(newer[0], state, reason, older[3], older[5] + newer[5], int(alike))
        self._db.execute(_SQL["merge_tale"], row)
        self._db.execute(_SQL["told_tale"], bind(older[0]))

    def _standing(
        self, number: int, uid: bytes, spec: bytes, digest: bytes, not_after: int, *rest: object
    ) -> Standing:
        last, boot, mono, today, delay, runs, trace = rest
        due = None
        if isinstance(boot, bytes):
            assert isinstance(mono, int), "a due time is whole or not there"
            assert isinstance(today, int), "a due time is whole or not there"
            assert isinstance(delay, int), "a due time is whole or not there"
            due = Due(boot, MonoMs(mono), WallMs(today), delay)
        assert isinstance(last, int), "the column is an integer"
        assert isinstance(runs, bytes), "the column is a blob"
        assert isinstance(trace, bytes), "the column is a blob"
        memories = self._db.execute(_SQL["rule_memories"], bind(number)).fetchall()
        return Standing(
            number=number,
            execution=uid,
            spec=stored_spec(spec, digest),
            not_after_ms=WallMs(not_after),
            last_ms=WallMs(last),
            due=due,
            runs=stored(runs, tuple[Run, ...], bound=limits.SPEC_BYTES),
            trace=trace,
            memories={
                DeviceId(device): stored(memory, RuleMemory, bound=limits.SPEC_BYTES)
                for device, memory in memories
            },
        )


def seen_tasks(db: sqlite3.Connection, execution: int, firing: int) -> list[TaskSeen]:
    """Return what a fold has to know of the tasks of an execution, or of one firing of it."""
    rows = db.execute(_JOBS["tasks_of"], bind(execution, firing)).fetchall()
    return [
        TaskSeen(TaskState(state), attempts, Reason(reason) if reason else None, bool(checks))
        for state, attempts, reason, checks in rows
    ]


def flush_tales(db: sqlite3.Connection, room: int) -> None:
    """Turn as many tales as there is room for into receipts, the newest first.

    Called in the transaction that freezes a report: until then a tale can still grow.
    """
    outbox = Outbox(db)
    for row in db.execute(_SQL["tales"], bind(max(0, room))).fetchall():
        number, execution, uid, device, state, reason, first, last, count, wall, detail, body = row
        fact = Fact(
            state=ExecutionState(state),
            reason=Reason(reason) if reason else None,
            detail=detail,
            result={
                **({"device": device} if device else {}),
                **_found_out(body),
            },
            firings=(first, last, count),
        )
        receipt = outbox.write(uid, fact, WallMs(wall))
        db.execute(_JOBS["set_newest_receipt"], bind(execution, receipt))
        db.execute(_SQL["told_tale"], bind(number))


def _found_out(body: bytes) -> dict[str, Value]:
    """Return a tale's result; one that damage made unreadable is told without it."""
    try:
        return unpack(body, dict[str, Value], bound=limits.REPORT_BYTES)
    except RefusedError:
        return {}


def count_tales(db: sqlite3.Connection) -> int:
    """Return how many tales wait for a report."""
    count: int = db.execute(_SQL["count_tales"]).fetchone()[0]
    return count


def due_row(due: Due) -> tuple[bytes, int, int, int]:
    """Return a due time as rows have it."""
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms
