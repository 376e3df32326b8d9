"""Stragglers: members of a stage that nobody reached by its deadline.

Carried forward, they join the next stage at its end, under its limits: what was not signed is
taken back, what was signed may arrive at any time and only counts there. Dropped, what was not
signed is REMOVED; what was signed is called off and presumed OVERDUE until its agent says more.
"""

from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.rollout import PutOff
from coordinator.core.rollout_policy import Policy
from coordinator.transactions.dispatch_counts import give_room, moved_count
from coordinator.transactions.restored import certain_from
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, JobId
from shared.model.job import ExecutionState

DROPPED = -1
"""The stage of who takes no part any more."""


def put_off(job: JobId, policy: Policy, act: PutOff, now_ms: WallMs) -> Tx[list[AgentId]]:
    """Do what was decided about the stragglers of a stage; return who has to be told to stop."""
    certain = yield from certain_from()
    if act.waiting:
        yield from _move_waiting(job, act)
    if act.drop:
        return (yield from _drop(job, act.stage, certain, now_ms))
    yield from _carry(job, policy, act.stage, certain)
    return []


def _move_waiting(job: JobId, act: PutOff) -> Tx[None]:
    """Move members that were not released: to the next stage, or out of the rollout."""
    after = DROPPED if act.drop else act.stage + 1
    offset = limits.INT_MAX >> 24
    rows = yield from fetch(
        "rollout_waiting_moved", job, act.stage, after, offset, limits.ROLLOUT_RELEASES
    )
    yield from moved_count(job, act.stage, -len(rows), 0, 0)
    if act.drop:
        # Whoever was to begin there before others does not hold them up any more.
        yield from give_room(job, [agent for agent, ready in rows if ready])
    else:
        yield from moved_count(job, after, len(rows), 0, 0)


def _drop(job: JobId, stage: int, certain: bytes, now_ms: WallMs) -> Tx[list[AgentId]]:
    yield from fetch("rollout_remove", job, stage, certain, ExecutionState.REMOVED, now_ms)
    rows = yield from fetch("rollout_drop", job, stage, ExecutionState.OVERDUE, now_ms)
    return [AgentId(agent) for (agent,) in rows]


def _carry(job: JobId, policy: Policy, stage: int, certain: bytes) -> Tx[None]:
    after = stage + 1
    rows = yield from fetch("rollout_withdraw", job, stage, certain, limits.ROLLOUT_RELEASES)
    offset = limits.INT_MAX >> 24
    for (agent,) in rows:
        rank, ready = 0, 1
        if policy.per_site:
            rank, ready = yield from _last_of_site(job, agent)
        yield from execute("rollout_member_again", job, agent, after, offset, rank, ready)
    yield from moved_count(job, stage, -len(rows), -len(rows), -len(rows))
    yield from moved_count(job, after, len(rows), 0, 0)
    if len(rows) == limits.ROLLOUT_RELEASES:
        return
    rows = yield from fetch("rollout_carry", job, stage, after)
    for (agent,) in rows:
        yield from execute("rollout_member_moved", job, agent, after)
    yield from moved_count(job, stage, -len(rows), -len(rows), -len(rows))
    yield from moved_count(job, after, len(rows), len(rows), len(rows))


def _last_of_site(job: JobId, agent: str) -> Tx[tuple[int, int]]:
    """Return the rank of who gives its place back and asks anew, and whether it is ready."""
    row = yield from fetch_one("rollout_site_of", job, agent)
    assert row is not None, "every member of a bounded rollout has a site"
    yield from give_room(job, [agent])
    joined = yield from fetch_one("rollout_site_joined", job, row[0])
    assert joined is not None, "it was read in this transaction"
    members, room = joined
    return members - 1, int(members - 1 < room)
