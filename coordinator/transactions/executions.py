"""Executions come into being: one for each agent of a job that may go out.

A job with a rollout gets members instead, and executions as the rollout releases them.
"""

from collections.abc import Sequence

from coordinator.core.ports import Tx, execute_many
from coordinator.transactions.rollouts_begin import begin, policy_of
from coordinator.transactions.supersede import supersede
from shared.clock import Entropy, WallMs
from shared.ids import AgentId, ExecutionId, JobId, uuid7


def insert_executions(
    job: JobId, agents: Sequence[AgentId], *, now_ms: WallMs, entropy: Entropy
) -> Tx[None]:
    """Queue a job for agents; it goes out with their next contacts, or as its rollout says."""
    policy = yield from policy_of(job)
    if policy is not None:
        yield from begin(job, policy, agents, now_ms)
        return
    ids = [ExecutionId(uuid7(now_ms, entropy.token(10))) for _ in agents]
    yield from execute_many(
        "execution_insert",
        ((agent, id_, job, now_ms) for agent, id_ in zip(agents, ids, strict=True)),
    )
    yield from supersede(job, agents, now_ms)
