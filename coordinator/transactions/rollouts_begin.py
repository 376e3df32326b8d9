"""A rollout comes into being: its policy with its job, its members once the job may go out.

Or never, and then it ends when its job does: there is no step that would notice. Leaves out what
happens to them then (`coordinator.transactions.dispatch`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from coordinator.core.cohorts import Candidate, Member, plan
from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.rollout_policy import OPEN, Policy, Progress, RolloutState
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, JobId, uuid_text
from shared.model.selector import Selector
from shared.wire.codec import pack, unpack

ACTOR = "rollout"


def store_policy(job: JobId, policy: Policy, limit: Selector | None, now_ms: WallMs) -> Tx[None]:
    """Keep what was asked of a job's rollout; it begins when the job is released.

    `limit`: of the token that asked; who joins later has to be within it too.
    """
    kept = policy if limit is None else replace(policy, limit=limit.text)
    progress = Progress()
    yield from execute("rollout_insert", job, pack(kept), pack(progress), progress.state, now_ms)


def policy_of(job: bytes) -> Tx[Policy | None]:
    """Return what was asked of a job's rollout, None when it goes to everybody at once."""
    row = yield from fetch_one("rollout_policy", job)
    return None if row is None else read_policy(row[0])


def read_policy(packed: bytes) -> Policy:
    """Return a stored policy."""
    return unpack(packed, Policy, bound=limits.ROLLOUT_POLICY_BYTES)


def read_progress(packed: bytes) -> Progress:
    """Return a stored progress."""
    return unpack(packed, Progress, bound=limits.ROLLOUT_POLICY_BYTES)


def begin(job: JobId, policy: Policy, agents: Iterable[AgentId], now_ms: WallMs) -> Tx[None]:
    """Give the agents of a released job their places; the dispatcher does the rest."""
    chosen = yield from candidates(policy, agents)
    members = plan(chosen, policy.stages, policy.seed)
    sizes = Counter(member.stage for member in members)
    yield from execute_many(
        "rollout_stage_insert", ((job, stage, sizes[stage]) for stage in range(len(policy.stages)))
    )
    yield from execute_many(
        "rollout_member_insert",
        # In the order of their key: else each lands on another page.
        (member_row(job, one, policy) for one in sorted(members, key=lambda one: one.agent)),
    )
    if policy.per_site:
        sites = Counter(member.site for member in members)
        yield from execute_many(
            "rollout_site_insert",
            ((job, site, number, policy.per_site) for site, number in sites.items()),
        )
    yield from execute("rollout_begin", job, now_ms)


def never_begins(job: bytes, state: RolloutState, why: str, now_ms: WallMs) -> Tx[None]:
    """End the rollout of a job that is over and never went out; one that began ends by its steps.

    Args:
        job: whose.
        state: how it ends.
        why: for people.
        now_ms: the present.
    """
    row = yield from fetch_one("rollout", job)
    if row is None or row[5] is not None:
        return
    policy, before = read_policy(row[1]), read_progress(row[2])
    if before.state not in OPEN:
        return
    after = pack(replace(before, state=state, why=why))
    yield from execute("rollout_save", job, row[3], after, state, None, why, now_ms)
    yield from audit(
        now_ms,
        actor=ACTOR,
        action=f"rollout.{state.name.lower()}",
        object_=f"job:{uuid_text(job)}",
        detail={"stage": policy.stages[before.stage].name, "why": why},
    )


def member_row(
    job: JobId, member: Member, policy: Policy, room: int | None = None
) -> tuple[bytes, str, int, int, str, int, int]:
    """Return a member as it is stored; it is ready if its site has room up to its rank."""
    room = policy.per_site if room is None else room
    ready = not policy.per_site or member.rank < room
    return (job, member.agent, member.stage, member.place, member.site, member.rank, int(ready))


def candidates(policy: Policy, agents: Iterable[str]) -> Tx[Sequence[Candidate]]:
    """Return agents with what cohorts are made by."""
    sites: dict[str, str] = dict((yield from fetch("site_of_agents")))
    labels: dict[str, dict[str, str]] = defaultdict(dict)
    for key in sorted({key for stage in policy.stages for key in stage.stratify_by}):
        for agent, value in (yield from fetch("labels_of_key", key)):
            labels[agent][key] = value
    return [Candidate(agent, sites.get(agent, ""), labels.get(agent, {})) for agent in agents]
