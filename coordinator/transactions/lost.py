"""What an agent had and has no memory of any more: nobody will ever say how it ended.

Such an execution is presumed OVERDUE, `store_lost`; a receipt that comes all the same counts, as
after every presumption. Leaves out deadlines: `coordinator.transactions.deadlines`.
"""

from coordinator.core.derived import execution_of
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.transactions.dispatch_counts import moved_count
from coordinator.transactions.folding import fold_history
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState
from shared.trust.documents import Report


def presume_lost(
    agent: AgentId, jobs_epoch: bytes, now_ms: WallMs, *, next_receipt: int = limits.INT_MAX
) -> Tx[None]:
    """Presume OVERDUE what an agent had by the word of another jobs store than `jobs_epoch`.

    Or by one of this store from `next_receipt` on: it was put back as it was before. So is what a
    coordinator from a copy may have signed before. An unknown epoch stands for a machine of which
    nobody knows what it remembers: all that it had is presumed.
    """
    overdue, why = ExecutionState.OVERDUE, Reason.STORE_LOST
    rows = yield from fetch(
        "executions_lost", agent, jobs_epoch, overdue, now_ms, why, next_receipt
    )
    for job in sorted({job for (job,) in rows}):
        yield from job_ended(job, now_ms)
    yield from presume_unsure(agent, now_ms)


def presume_unheard(agent: AgentId, report: Report, now_ms: WallMs) -> Tx[None]:
    """Presume what is known beyond a report: of a newer card, by a stick.

    Not so if the report had waited for its answer when the stick was written.
    """
    carried = yield from fetch_one("carried", agent, report.jobs_epoch)
    if carried is None or report.counter > carried[0]:
        yield from presume_lost(agent, report.jobs_epoch, now_ms, next_receipt=report.next_receipt)


def presume_unsure(agent: AgentId, now_ms: WallMs) -> Tx[None]:
    """Presume OVERDUE what a coordinator before the restore may have signed for a lost store.

    Signed once more, it might be done once more: the copy forgot the order, the agent the deed.
    """
    certain = yield from certain_from()
    if not certain:
        return
    yield from _release_unsure(agent, certain)
    overdue, why = ExecutionState.OVERDUE, Reason.STORE_LOST
    rows = yield from fetch("executions_unsure", agent, overdue, now_ms, why, certain)
    for _, execution in rows:
        yield from fold_history(agent, execution, now_ms)
    for job in sorted({job for job, _ in rows}):
        yield from job_ended(job, now_ms)


def _release_unsure(agent: AgentId, certain: bytes) -> Tx[None]:
    """Count as released what the agent was to get of open rollouts older than a restore."""
    for job, stage, created_ms in (yield from fetch("members_unsure", agent, certain)):
        id_ = execution_of(job, agent)
        yield from execute("rollout_execution_insert", agent, id_, job, created_ms, stage)
        yield from execute("rollout_member_released", job, agent, id_)
        yield from moved_count(job, stage, 0, 1, 1)
