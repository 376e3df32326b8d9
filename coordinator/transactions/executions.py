"""Executions come into being: one for each agent of a job that may go out.

A job with a rollout gets members instead, and executions as the rollout releases them.
"""

from collections.abc import Sequence

from coordinator.core.derived import execution_of
from coordinator.core.ports import Tx, execute_many
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
    yield from execute_many(
        "execution_insert",
        ((agent, execution_of(job, agent), job, now_ms) for agent in agents),
    )
    yield from supersede(job, agents, now_ms)
