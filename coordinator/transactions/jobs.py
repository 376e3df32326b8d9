"""Jobs and executions as people see them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.contract.agents import MovingView
from coordinator.contract.common import to_time
from coordinator.contract.job_parts import DependencyBody
from coordinator.contract.job_spec import SpecBody, from_spec
from coordinator.contract.jobs import (
    Agreement,
    CancelView,
    ExecutionView,
    FactView,
    JobView,
    TaskView,
)
from coordinator.contract.trace import trace_id
from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.agents import moving_at
from coordinator.transactions.job_state import job_state
from coordinator.transactions.rows import read_spec, unpack_result
from coordinator.transactions.sight import sees_agent, sees_job
from coordinator.transactions.words import reason_text
from shared import limits
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.job import ExecutionState, TaskState
from shared.model.selector import Selector

NEWEST = b"\xff" * 16
"""A key after every UUID: where a list that goes from new to old begins."""


def view_job(job: bytes, *, now_ms: WallMs, limit: Selector | None = None) -> Tx[JobView | None]:
    """Return one job, None when there is none of this id within a token's limit."""
    row = yield from fetch_one("job", job)
    if row is None or not (yield from sees_job(job, limit)):
        return None
    counts = yield from fetch("job_counts", job, job)
    rollout = yield from fetch_one("rollout_state", job)
    people = yield from _people(row, now_ms)
    seen = [(state, count) for _, state, count in counts]
    return _job_view(row, seen, people, rollout[0] if rollout else None)


def list_jobs(
    *, before: bytes, size: int, now_ms: WallMs, limit: Selector | None = None, standing: str = ""
) -> Tx[tuple[list[JobView], bool]]:
    """Return up to `size` jobs older than an id, newest first, and whether there are more.

    `standing`: only schedules, or only rules.
    """
    rows = yield from _jobs_before(before, size + 1, limit, standing)
    shown = rows[:size]
    counts: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    if shown:
        for job, state, count in (yield from fetch("job_counts", shown[-1][0], shown[0][0])):
            counts[job].append((state, count))
    rollouts: dict[bytes, int] = {}
    if shown:
        rollouts = dict((yield from fetch("rollout_states", shown[-1][0], shown[0][0])))
    views = []
    for row in shown:
        people = yield from _people(row, now_ms)
        views.append(_job_view(row, counts[row[0]], people, rollouts.get(row[0])))
    return views, len(rows) > size


def view_execution(execution: bytes, limit: Selector | None = None) -> Tx[ExecutionView | None]:
    """Return one execution with its newest history, None when a token's limit has none."""
    row = yield from fetch_one("execution", execution)
    if row is None or not (yield from sees_agent(row[1], limit)):
        return None
    agent = row[1]
    tasks = yield from fetch("task_known", agent, execution)
    most = limits.FACTS_SHOWN
    newest = yield from fetch("receipts_of_execution", agent, execution, most + 1)
    view = _execution_view(row, tasks, newest[:most][::-1], (yield from _moving(row)))
    return replace(view, has_earlier=len(newest) > most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which executions are asked for; empty fields match every one."""

    job: bytes = b""
    agent: str = ""
    state: int | None = None
    limit: Selector | None = None
    """Only those of agents that match."""


def list_executions(
    wanted: Wanted, *, before: bytes, size: int
) -> Tx[tuple[list[ExecutionView], bool]]:
    """Return up to `size` executions older than an id, newest first, and whether there are more.

    They are less where they have many tasks, but one at least.
    """
    rows: list[Row] = []
    seen: dict[str, bool] = {}
    while len(rows) <= size:
        page = yield from _executions_before(wanted, before, size + 1)
        for row in page:
            if wanted.limit is not None and row[1] not in seen:
                seen[row[1]] = yield from sees_agent(row[1], wanted.limit)
        rows += [row for row in page if wanted.limit is None or seen[row[1]]]
        if len(page) <= size:
            break
        before = page[-1][0]
    views: list[ExecutionView] = []
    room = limits.TASKS_LISTED
    for row in rows[:size]:
        if room <= 0:
            break
        tasks = yield from fetch("task_known", row[1], row[0])
        room -= len(tasks)
        views.append(_execution_view(row, tasks, (), (yield from _moving(row))))
    return views, len(rows) > len(views)


def _moving(row: Row) -> Tx[MovingView | None]:
    """Return what is on its way at the agent of an execution that it is at."""
    agent, state = row[1], row[3]
    if state != ExecutionState.IN_PROGRESS:
        return None
    said = yield from fetch_one("health_of_agent", agent)
    return None if said is None else (yield from moving_at(agent, said))


def _executions_before(wanted: Wanted, before: bytes, most: int) -> Tx[Sequence[Row]]:
    state = -1 if wanted.state is None else wanted.state
    if wanted.job:
        query = ("executions_of_job", wanted.job, before, state, wanted.agent, most)
        return (yield from fetch(*query))
    if wanted.agent:
        return (yield from fetch("executions_of_agent", wanted.agent, before, state, most))
    return (yield from fetch("executions_before", before, state, most))


def _jobs_before(before: bytes, most: int, limit: Selector | None, standing: str) -> Tx[list[Row]]:
    """Return up to `most` rows of jobs all of whose agents are within a token's limit."""
    rows: list[Row] = []
    while len(rows) < most:
        page = yield from fetch("jobs_before", before, most, standing)
        for row in page:
            rows += [row] if (yield from sees_job(row[0], limit)) else []
        if len(page) < most:
            break
        before = page[-1][0]
    return rows[:most]


def _people(row: Row, now_ms: WallMs) -> Tx[list[str]]:
    """Return who agreed to a job and still does, or did when it was released."""
    threshold, not_after_ms = row[10], row[5]
    if not threshold:
        return []
    votes = yield from fetch("approvals_of_job", row[0])
    until_ms = min(now_ms, not_after_ms)
    return sorted({vote[1] for vote in votes if vote[3] >= until_ms})


def _job_view(
    row: Row, counts: Sequence[tuple[int, int]], people: list[str], rollout: int | None = None
) -> JobView:
    job, name, digest, spec, targets, not_after_ms, created_ms, created_by, *rest = row
    job_class, author, threshold, released_ms, denied_ms, denied_by, why, expired_ms, *off = rest
    standing, cancel_ms, cancel_by, origin, waits_for, waits_outcome, begun_ms, trace = off
    state = job_state(
        released_ms=released_ms,
        denied_ms=denied_ms,
        expired_ms=expired_ms,
        busy=any(state < OPEN_BELOW for state, _ in counts),
        cancel_ms=cancel_ms,
        rollout=None if rollout is None else RolloutState(rollout),
    )
    if state == "COMPLETED" and waits_for is not None and begun_ms is None:
        state = "SCHEDULED" if expired_ms is None else "EXPIRED"
    known = read_spec(spec)
    waits = None
    if waits_for is not None:
        waits = DependencyBody(job=uuid_text(waits_for), outcome=waits_outcome)
    return JobView(
        id=uuid_text(job),
        name=name,
        digest=digest.hex(),
        state=state,
        created_at=to_time(created_ms),
        created_by=created_by,
        not_after=to_time(not_after_ms),
        targets=targets,
        counts={ExecutionState(state).name: count for state, count in counts},
        spec=SpecBody(name=name) if known is None else from_spec(known),
        job_class=job_class,
        author=author,
        agreement=Agreement(threshold, people, denied_by, why),
        standing=standing,
        canceled_at=None if cancel_ms is None else to_time(cancel_ms),
        canceled_by=cancel_by,
        origin=origin,
        waits_for=waits,
        trace=trace_id(trace).hex(),
        unreadable=known is None,
    )


def _execution_view(
    row: Row, tasks: Sequence[Row], facts: Sequence[Row], on_its_way: MovingView | None
) -> ExecutionView:
    execution, agent, job, state, reason, overdue_ms, created_ms, updated_ms, *rest = row
    detail, since_ms, cancel_ms, cancel_how, superseded_by, trace = rest
    return ExecutionView(
        id=uuid_text(execution),
        job=uuid_text(job),
        agent=agent,
        state=ExecutionState(state).name,
        reason=reason_text(reason),
        late=overdue_ms is not None and state != ExecutionState.OVERDUE,
        created_at=to_time(created_ms),
        updated_at=to_time(updated_ms),
        detail=detail,
        since=None if since_ms is None else to_time(since_ms),
        cancel=None if cancel_ms is None else CancelView(to_time(cancel_ms), cancel_how or None),
        superseded_by=None if superseded_by is None else uuid_text(superseded_by),
        tasks=[_task_view(task) for task in tasks],
        history=[_fact_view(fact) for fact in facts],
        trace=trace_id(trace).hex(),
        moving=on_its_way,
    )


def _task_view(row: Row) -> TaskView:
    device, state, attempt, reason, detail, result, _, _ = row
    return TaskView(
        device=device,
        state=TaskState(state).name,
        attempt=attempt,
        reason=reason_text(reason),
        detail=detail,
        result=unpack_result(result),
    )


def _fact_view(row: Row) -> FactView:
    number, device, state, attempt, reason, detail, wall_ms, received_ms = row
    kind = TaskState if device else ExecutionState
    try:
        name = kind(state).name
    except ValueError:
        name = str(state)  # a newer agent's word; kept, without effect
    return FactView(
        number=number,
        device=device,
        state=name,
        attempt=attempt,
        reason=reason_text(reason),
        detail=detail,
        wall=to_time(wall_ms),
        received_at=to_time(received_ms),
    )
