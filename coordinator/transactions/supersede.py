"""Newer jobs take the place of older ones that wait under the same conflict key.

Never signed: SUPERSEDED at once, nobody can have it. Signed: it is called off, every bundle says
so, and only the agent's receipt tells what came of it; one that is known to be at work goes on.
What another open job of the agent waits for is left alone: chains are kept whole. Leaves out what
is needless for other reasons (`coordinator.core.minimal_plan`).
"""

from collections.abc import Sequence

from coordinator.core.minimal_plan import Dropped
from coordinator.core.ports import Tx, execute_many, fetch, fetch_one
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.restored import certain_from
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState


def supersede(job: bytes, agents: Sequence[AgentId], now_ms: WallMs) -> Tx[None]:
    """Drop what a job replaces on agents that it has executions for since now.

    A job that was submitted before, and released only now, does not replace a newer one: its own
    execution is dropped then. Not so where that one ended there and was never done, or never came
    there and cannot go now, for its rollout is paused or its time is over: neither would arrive.
    """
    row = yield from fetch_one("conflict_key_of_job", job)
    key = row[0] if row else ""
    if not key:
        return
    certain = yield from certain_from()
    state, reason = ExecutionState.SUPERSEDED, Reason.SUPERSEDED
    rivals = yield from fetch("rivals_waiting", key, job)
    yield from execute_many(
        "execution_late",
        ((agent, job, key, state, reason, now_ms, certain) for agent in agents),
    )
    yield from execute_many(
        "executions_supersede",
        ((agent, job, key, state, reason, now_ms, certain) for agent in agents),
    )
    yield from execute_many(
        "executions_call_back", ((agent, job, key, now_ms, certain) for agent in agents)
    )
    for one in sorted({job, *(rival for (rival,) in rivals)}):
        yield from job_ended(one, now_ms)


def drop(agent: AgentId, dropped: Sequence[Dropped], now_ms: WallMs) -> Tx[None]:
    """Mark executions of one agent that need not be done, none of which was ever signed."""
    yield from execute_many(
        "execution_drop",
        (
            (agent, one.execution, one.by, ExecutionState.SUPERSEDED, Reason.SUPERSEDED, now_ms)
            for one in dropped
        ),
    )
    for one in dropped:
        row = yield from fetch_one("execution_known", agent, one.execution)
        assert row is not None, "it waited in this transaction"
        yield from job_ended(row[0], now_ms)
