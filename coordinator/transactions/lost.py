"""What an agent began and has no memory of any more: nobody will ever say how it ended.

Such an execution is presumed OVERDUE, `store_lost`; a receipt that comes all the same counts, as
after every presumption. Leaves out what had not begun: `coordinator.transactions.deadlines`.
"""

from coordinator.core.ports import Tx, fetch
from coordinator.transactions.happenings import job_ended
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState


def presume_lost(agent: AgentId, jobs_epoch: bytes, now_ms: WallMs) -> Tx[None]:
    """Presume OVERDUE what was begun under an earlier jobs store than `jobs_epoch`.

    An unknown epoch stands for a machine of which nobody knows what it remembers: all that was
    begun is presumed.
    """
    rows = yield from fetch(
        "executions_lost", agent, jobs_epoch, ExecutionState.OVERDUE, now_ms, Reason.STORE_LOST
    )
    for job in sorted({job for (job,) in rows}):
        yield from job_ended(job, now_ms)
