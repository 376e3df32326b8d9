"""What becomes of executions that have not begun when their job may no longer begin.

Never signed: EXPIRED, nobody can have it. Signed, or older than a restore, whose copy may not know
that it was: OVERDUE, which is only supposed; the agent's
receipt, whenever it comes, is what counts. A standing job that its agent has is never late: it
did what it was for while it stood, and its agent says when it ended.
"""

from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from coordinator.transactions.rollouts_begin import never_begins
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import JobId
from shared.model.job import ExecutionState


def next_deadline() -> Tx[WallMs | None]:
    """Return when the next job is over, None when no job waits for its end."""
    row = yield from fetch_one("job_next_deadline")
    return row[0] if row else None


def expire(now_ms: WallMs) -> Tx[list[JobId]]:
    """Settle what has not begun of some jobs whose time is over; return those jobs.

    What another replica settles at this moment is left to it.
    """
    rows = yield from fetch("jobs_due", now_ms, limits.DEADLINE_BATCH)
    if not rows:
        return []
    certain = yield from certain_from()
    for job, standing in rows:
        busy = yield from fetch_one("job_is_busy", job)
        yield from execute(
            "executions_expire",
            job,
            ExecutionState.QUEUED,
            ExecutionState.EXPIRED,
            Reason.JOB_EXPIRED,
            now_ms,
            certain,
        )
        yield from execute(
            "executions_overdue",
            job,
            ExecutionState.IN_PROGRESS,
            ExecutionState.OVERDUE,
            now_ms,
            standing,
        )
        yield from execute("job_expired", job, now_ms)
        why = "the time in which its job may begin is over"
        yield from never_begins(job, RolloutState.EXPIRED, why, now_ms)
        if busy is not None:  # what ended before was told then
            yield from job_ended(job, now_ms)
    return [JobId(job) for job, _ in rows]
