"""What an agent had and has no memory of any more: nobody will ever say how it ended.

Such an execution is presumed OVERDUE, `store_lost`; a receipt that comes all the same counts, as
after every presumption. Leaves out deadlines: `coordinator.transactions.deadlines`.
"""

from coordinator.core.ports import Tx, fetch
from coordinator.transactions.happenings import job_ended
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState


def presume_lost(agent: AgentId, jobs_epoch: bytes, now_ms: WallMs) -> Tx[None]:
    """Presume OVERDUE what an agent had by the word of another jobs store than `jobs_epoch`.

    So is what a coordinator from a copy may have signed before. An unknown epoch stands for a
    machine of which nobody knows what it remembers: all that it had is presumed.
    """
    overdue, why = ExecutionState.OVERDUE, Reason.STORE_LOST
    rows = yield from fetch("executions_lost", agent, jobs_epoch, overdue, now_ms, why)
    # Signed once more, it might be done once more: the copy forgot the order, the agent the deed.
    unsure = yield from fetch("executions_unsure", agent, overdue, now_ms, why)
    for job in sorted({job for (job,) in (*rows, *unsure)}):
        yield from job_ended(job, now_ms)
