"""Which agents a job failed on, and what was done about it.

Failed is what ended otherwise than wished, as far as the agent said so: what was called off,
replaced or never heard of is not. Where nobody knows whether a device did it (`unknown_effect`) a
person has to ask for it: nothing is repeated by itself. Leaves out submitting.
"""

from collections.abc import Mapping, Sequence

import msgspec

from coordinator.contract.audit import Detail
from coordinator.contract.common import to_time
from coordinator.contract.repeats import JobEvent
from coordinator.core.ports import Tx, fetch, fetch_one
from coordinator.transactions.rows import unpack_result
from coordinator.transactions.sight import sees_job
from shared.errors import Reason
from shared.ids import AgentId, uuid_text
from shared.model.job import ExecutionState, Value
from shared.model.selector import Selector

FAILED = frozenset(
    {
        *(ExecutionState.FAILED, ExecutionState.TIMED_OUT, ExecutionState.REJECTED),
        *(ExecutionState.ROLLED_BACK, ExecutionState.ROLLBACK_FAILED),
        *(ExecutionState.QUARANTINED, ExecutionState.EXPIRED),
    }
)


def failed_agents(job: bytes, *, unknown_effects: bool) -> Tx[Sequence[AgentId]]:
    """Return the agents on which a job failed."""
    found: list[AgentId] = []
    for state in sorted(FAILED):
        rows = yield from fetch("agents_in_state", job, state)
        unsure = set() if unknown_effects else (yield from _unsure(job, state))
        found += [
            AgentId(agent)
            for agent, reason in rows
            if unknown_effects or (reason != Reason.UNKNOWN_EFFECT and agent not in unsure)
        ]
    return found


def _unsure(job: bytes, state: ExecutionState) -> Tx[set[str]]:
    """Return the agents that do not know of some step whether it was done.

    Such a job may have been undone, or have failed for something else since: its reason is that.
    """
    rows = yield from fetch("results_in_state", job, state)
    return {agent for agent, result in rows if _has_unknown(unpack_result(result))}


def _has_unknown(result: Mapping[str, Value]) -> bool:
    unknown = Reason.UNKNOWN_EFFECT.text
    return any(value == unknown and name.endswith(".reason") for name, value in result.items())


def list_job_events(
    job: bytes, *, before: int, size: int, limit: Selector | None = None
) -> Tx[tuple[list[JobEvent], bool] | None]:
    """Return up to `size` things done about a job, newest first, and whether there are more.

    None when there is no such job within a token's limit.
    """
    if (yield from fetch_one("job", job)) is None or not (yield from sees_job(job, limit)):
        return None
    rows = yield from fetch("audit_of_object", f"job:{uuid_text(job)}", before, size + 1)
    events = [
        JobEvent(number, to_time(at_ms), who, what, msgspec.json.decode(why, type=Detail))
        for number, at_ms, who, what, why in rows[:size]
    ]
    return events, len(rows) > size
