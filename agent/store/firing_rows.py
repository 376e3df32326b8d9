"""Firings' rows: a standing job's tasks, made each time that it fires, beside earlier ones or not.

Runs inside a transaction of `agent.store.standing`. What becomes of a firing stands in
`agent.store.standing_rows`. Leaves out when something fires (`agent.core.standing`,
`agent.core.rules`).
"""

import sqlite3
from collections.abc import Sequence

from agent.core.moment import Moment
from agent.core.queue import Due, due_in
from agent.store.execution_rows import ExecutionRows
from agent.store.standing_rows import Standing, Tale, due_row
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import ExecutionState, fold_tasks
from shared.model.schedule import Overlap
from shared.runtime.queries import bind, load_queries
from shared.words import some

_SQL = load_queries("agent.store", "queries/standing.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")


class FiringRows:
    """One transaction's view of firings."""

    def __init__(self, db: sqlite3.Connection, now: Moment) -> None:
        self._db, self._now = db, now
        self._executions = ExecutionRows(db, now)
        self.standing = self._executions.standing

    def fire(
        self,
        standing: Standing,
        nominal: WallMs,
        devices: Sequence[DeviceId],
        *,
        delay_ms: int = 0,
        beside: bool = False,
    ) -> bool:
        """Make a firing's tasks; False when that nominal time has fired before.

        Where the one before is still at work, the overlap policy decides; what it skips is told.
        A rule has no nominal times: its firing takes the next free one. `beside`: it is made up
        together with others, which it does not push out.
        """
        number = self._db.execute(_SQL["next_firing"], bind(standing.number)).fetchone()[0]
        while not self._note_fired(standing.number, nominal, number):
            if standing.spec.schedule is not None:
                return False
            nominal = WallMs(nominal + 1)
        self._db.execute(
            _SQL["forget_fired"], bind(standing.number, number - limits.FIRED_REMEMBERED)
        )
        if not beside and not self._makes_room(standing):
            self._skip(standing, nominal, ExecutionState.CANCELED, Reason.OVERLAPPED)
        elif not devices:
            # Nothing is attached that it could work on: told, not passed over in silence.
            none = fold_tasks([])
            self._skip(standing, nominal, none.state, none.reason)
        elif self._count_tasks() + len(devices) > limits.FIRINGS_TASKS:
            # A site may be locked for a week: what is ordered has to find room all the same.
            why = f"{some(limits.FIRINGS_TASKS, 'task')} of schedules and rules wait"
            self._skip(standing, nominal, ExecutionState.CANCELED, Reason.OVERLAPPED, why)
        else:
            self._make_tasks(standing, number, devices, due_in(delay_ms, self._now))
        return True

    def _make_tasks(
        self, standing: Standing, number: int, devices: Sequence[DeviceId], due: Due
    ) -> None:
        spec = standing.spec
        first = min(spec.batch.canary or len(devices), spec.batch.max_parallel or len(devices))
        for place, device in enumerate(devices):
            blocked = int(place >= first)
            row = bind(standing.number, device, number, spec.priority, blocked, *due_row(due))
            self._db.execute(_JOBS["insert_task"], row)

    def _skip(
        self,
        standing: Standing,
        nominal: WallMs,
        state: ExecutionState,
        reason: Reason | None,
        detail: str = "",
    ) -> None:
        """Tell a firing that has no tasks."""
        tale = Tale(state=state, reason=reason, first_ms=nominal, last_ms=nominal, detail=detail)
        self.standing.tell(standing.number, tale)

    def _count_tasks(self) -> int:
        count: int = self._db.execute(_SQL["tasks_of_firings"]).fetchone()[0]
        return count

    def _note_fired(self, execution: int, nominal: WallMs, number: int) -> bool:
        noted = self._db.execute(_SQL["note_fired"], bind(execution, nominal, number))
        return noted.rowcount == 1

    def _makes_room(self, standing: Standing) -> bool:
        """Tell whether a firing may have tasks beside those of earlier ones."""
        schedule = standing.spec.schedule
        # A rule's firings are of different devices, each of which does one thing at a time.
        overlap = Overlap.ALLOW if schedule is None else schedule.overlap
        number = standing.number
        if overlap is Overlap.ALLOW:
            return True
        if self._db.execute(_SQL["open_firings"], bind(number)).fetchone()[0] == 0:
            return True
        if overlap is Overlap.QUEUE_ONE:
            return bool(self._db.execute(_SQL["waiting_firings"], bind(number)).fetchone()[0] == 0)
        if overlap is Overlap.CANCEL_RUNNING:
            self._call_off_firings(number)
            return True
        return False

    def _call_off_firings(self, execution: int) -> None:
        """End the tasks of earlier firings that wait; those at work stop at a safe point.

        Of what had begun the last steps are done, and an undoing comes to its end.
        """
        self._db.execute(_SQL["cancel_firings"], bind(execution))
        self._executions.end_waiting(execution, Reason.CANCELED, "the next one began")
