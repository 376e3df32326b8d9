"""What becomes of the work of an agent that is let in no more: it ends, and nothing is made up.

What was never signed is REMOVED: nobody can have it. What was signed is presumed OVERDUE with the
reason, and stays so, for a word that came all the same would be refused: no job waits for such an
agent, and cleaning takes its jobs like others. What is queued for it afterwards (it was a target
before it went, and its turn came only now) ends as if it had gone after that. Leaves out who may
go (`membership`).
"""

from collections.abc import Iterable

from coordinator.core.ports import Row, Tx, fetch
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from shared.clock import WallMs
from shared.errors import Reason
from shared.model.job import ExecutionState


def gets_no_more(agent: str, reason: Reason, now_ms: WallMs) -> Tx[None]:
    """Take back what was never signed for an agent; what it has, it may still tell of."""
    certain = yield from certain_from()
    rows = yield from fetch(
        "executions_never_go", agent, ExecutionState.REMOVED, reason, now_ms, certain
    )
    for job in sorted({job for (job,) in rows}):
        yield from job_ended(job, now_ms)


def says_no_more(agent: str, reason: Reason, now_ms: WallMs) -> Tx[None]:
    """Wait no longer for what an agent was given: nobody will ever say what became of it."""
    yield from gets_no_more(agent, reason, now_ms)
    rows = yield from fetch(
        "executions_never_told", agent, ExecutionState.OVERDUE, reason, now_ms, OPEN_BELOW
    )
    for job in sorted({job for (job,) in rows}):
        yield from job_ended(job, now_ms)


def went_before(rows: Iterable[Row], now_ms: WallMs) -> Tx[bool]:
    """End what was queued just now for agents that had gone before; tell whether any had.

    Args:
        rows: (agent, when it was revoked, asked to leave, left), null: never.
        now_ms: the present.
    """
    gone = False
    for agent, revoked_ms, leave_ms, left_ms in sorted(rows):
        if revoked_ms is not None:
            yield from says_no_more(agent, Reason.REVOKED, now_ms)
        elif left_ms is not None:
            yield from says_no_more(agent, Reason.DECOMMISSIONED, now_ms)
        elif leave_ms is not None:
            yield from gets_no_more(agent, Reason.DECOMMISSIONED, now_ms)
        else:
            continue
        gone = True
    return gone
