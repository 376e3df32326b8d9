"""A job is called off: at once where nothing was signed, else its agents are told to stop.

Being asked again changes nothing. What an agent has proved (never delivered, not started, stopped,
too late) comes with its receipts (`coordinator.core.reconcile.how_it_stopped`); until then every
bundle repeats the order (`coordinator.transactions.issue`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.audit import split_actor
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.core.reconcile import NEVER_DELIVERED, OPEN_BELOW
from coordinator.core.rollout_policy import OPEN, RolloutState
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from coordinator.transactions.rollouts_begin import never_begins
from coordinator.transactions.rows import audit
from coordinator.transactions.sight import sees_job
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId, uuid_text
from shared.model.job import ExecutionState
from shared.model.selector import Selector


@dataclass(frozen=True, slots=True)
class CalledOff:
    """What calling a job off brought about."""

    agents: Sequence[AgentId]
    """Who has to be told."""
    settled: str = ""
    """Why there was nothing to call off; empty: it was, now or before."""


def cancel(
    job: bytes, *, actor: str, now_ms: WallMs, limit: Selector | None = None
) -> Tx[CalledOff | None]:
    """Call a job off; None when there is none of this id within a token's limit."""
    row = yield from fetch_one("job", job)
    if row is None or not (yield from sees_job(job, limit)):
        return None
    released_ms, denied_ms, cancel_ms = row[11], row[12], row[17]
    if cancel_ms is not None:
        return CalledOff(())
    if released_ms is None and row[15] is not None:
        return CalledOff((), "nobody agreed to it in time; it never begins")
    if denied_ms is not None:
        return CalledOff((), "somebody denied it; it never begins")
    if released_ms is None:
        yield from execute("job_deny", job, now_ms, split_actor(actor)[0], "it was called off")
    elif (yield from _is_over(job, row)):
        return CalledOff((), "it is over on every agent")
    yield from execute("job_cancel", job, now_ms, split_actor(actor)[0])
    yield from never_begins(job, RolloutState.STOPPED, "its job was called off", now_ms)
    certain = yield from certain_from()
    never = yield from fetch(
        "executions_call_off",
        job,
        ExecutionState.CANCELED,
        Reason.CANCELED,
        now_ms,
        NEVER_DELIVERED,
        certain,
    )
    told = yield from fetch(
        "executions_ask_to_stop", job, now_ms, OPEN_BELOW, ExecutionState.OVERDUE
    )
    yield from audit(
        now_ms,
        actor=actor,
        action="job.cancel",
        object_=f"job:{uuid_text(job)}",
        detail={"never_signed": len(never), "to_be_told": len(told)},
    )
    yield from job_ended(job, now_ms)
    return CalledOff([AgentId(agent) for (agent,) in told])


def _is_over(job: bytes, row: Row) -> Tx[bool]:
    """Tell whether nothing of a job that went out can still be called off."""
    counts = yield from fetch("job_counts", job, job)
    open_ = [s for _, s, _ in counts if s < OPEN_BELOW or s == ExecutionState.OVERDUE]
    rollout = yield from fetch_one("rollout_state", job)
    rolling = rollout is not None and rollout[0] in OPEN
    waits = row[20] is not None and row[22] is None and row[15] is None
    return not open_ and not rolling and not waits
