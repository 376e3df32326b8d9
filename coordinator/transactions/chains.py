"""A job that waits for another one's end on the whole fleet goes out, or never does.

Its targets are known and kept from the beginning, so people approve what will be done; its
executions come into being once the other job has ended as wished. If that ended otherwise, this
one is called off. A job can only wait for one that exists already, so there is no circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.contract.jobs import JobState
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.executions import insert_executions
from coordinator.transactions.jobs import view_job
from coordinator.transactions.rollouts_begin import never_begins
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, JobId, uuid_text

ACTOR = "coordinator"
_ENDED: frozenset[JobState] = frozenset({"DENIED", "EXPIRED", "COMPLETED", "CANCELED", "ABORTED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of a job whose wait is over."""

    done: bool = False
    """It went out, or was called off."""
    taken: bool = False
    """Another replica lets it go at this moment: nothing was done."""
    agents: Sequence[AgentId] = ()
    """Whom to wake."""


def ready_chains(now_ms: WallMs) -> Tx[list[tuple[bytes, bool]]]:
    """Return jobs whose wait is over, and whether the other one ended as they wish."""
    rows = yield from fetch("chains_waiting", limits.TRIGGER_BATCH)
    ready = []
    for job, other, wanted in rows:
        how = yield from _how_it_ended(other, now_ms)
        if how:
            ready.append((job, wanted in {"ANY", how}))
    return ready


def begin_chain(job: bytes, *, wished: bool, now_ms: WallMs) -> Tx[Begun]:
    """Let a job go out whose wait is over, or call it off; nothing where somebody else does."""
    if (yield from fetch_one("chain_claim", job)) is None:
        return Begun(taken=True)
    if (yield from fetch_one("job_begun", job, now_ms)) is None:
        return Begun()
    agents = []
    if wished:
        rows = yield from fetch("targets_of_job", job)
        agents = sorted(AgentId(agent) for (agent,) in rows)
        yield from insert_executions(JobId(job), agents, now_ms=now_ms)
    else:
        yield from execute("job_cancel", job, now_ms, ACTOR)
        why = "the job that it waited for ended otherwise"
        yield from never_begins(job, RolloutState.STOPPED, why, now_ms)
    yield from audit(
        now_ms,
        actor=ACTOR,
        action="job.begin" if wished else "job.cancel",
        object_=f"job:{uuid_text(job)}",
        detail={"why": "the job that it waited for ended" + ("" if wished else " otherwise")},
    )
    return Begun(done=True, agents=agents)


def _how_it_ended(job: bytes, now_ms: WallMs) -> Tx[str]:
    """Return SUCCEEDED, FAILED, or nothing while it goes on."""
    view = yield from view_job(job, now_ms=now_ms)
    if view is None or view.state not in _ENDED:
        return "" if view is not None else "FAILED"
    return "SUCCEEDED" if view.succeeded_everywhere else "FAILED"
