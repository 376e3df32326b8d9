"""What becomes of the work of an agent that is let in no more: it ends, and nothing is made up.

What was never signed is REMOVED: nobody can have it. What was signed is presumed OVERDUE with the
reason, and stays so, for a word that came all the same would be refused: no job waits for such an
agent, and cleaning takes its jobs like others. Leaves out who may go (`membership`).
"""

from coordinator.core.ports import Tx, fetch
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
