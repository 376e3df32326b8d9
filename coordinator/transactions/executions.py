"""Executions come into being: one for each agent of a job that may go out.

A job with a rollout gets members instead, and executions as the rollout releases them.
"""

from collections.abc import Sequence

from coordinator.core.derived import execution_of
from coordinator.core.ports import Tx, execute_many, fetch
from coordinator.transactions.folding import fold_history
from coordinator.transactions.gone import went_before
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from coordinator.transactions.rollouts_begin import begin, policy_of
from coordinator.transactions.supersede import supersede
from shared.clock import WallMs
from shared.ids import AgentId, JobId


def insert_executions(job: JobId, agents: Sequence[AgentId], *, now_ms: WallMs) -> Tx[None]:
    """Queue a job for agents; it goes out with their next contacts, or as its rollout says."""
    policy = yield from policy_of(job)
    if policy is not None:
        yield from begin(job, policy, agents, now_ms)
        return
    made = [(agent, execution_of(job, agent)) for agent in agents]
    yield from execute_many(
        "execution_insert", ((agent, execution, job, now_ms) for agent, execution in made)
    )
    yield from recall(job, made, now_ms)
    yield from supersede(job, agents, now_ms)
    yield from went_before((yield from fetch("gone_of_job", job)), now_ms)


def recall(job: JobId, made: Sequence[tuple[AgentId, bytes]], now_ms: WallMs) -> Tx[None]:
    """Fold in what was told of executions by those who had them before a restore."""
    if job < (yield from certain_from()):
        for agent, execution in made:
            yield from fold_history(agent, execution, now_ms)
        yield from job_ended(job, now_ms)
