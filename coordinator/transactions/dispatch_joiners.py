"""Agents that join the targets of a continuous rollout while it runs.

They become members of its last stage, at its end, and wait there under the same limits as all
others. Who is beyond the limit of the token that handed it in stays out. Looked for while the
rollout runs, at most once a minute; the look itself only reads.
"""

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.rollout_policy import RolloutState
from coordinator.core.targeting import check_targets, fold_labels
from coordinator.transactions.device_words import agents_with
from coordinator.transactions.dispatch_counts import moved_count
from coordinator.transactions.rollouts_begin import read_policy, read_progress
from shared import limits
from shared.clock import WallMs
from shared.ids import JobId
from shared.model.job import JobSpec
from shared.model.selector import parse_selector
from shared.wire.codec import unpack


def joiners(job: JobId, now_ms: WallMs) -> Tx[list[str]]:
    """Return the agents that a continuous rollout is for and that are no members yet."""
    row = yield from fetch_one("rollout", job)
    if row is None or row[5] is None:
        return []
    policy, progress = read_policy(row[1]), read_progress(row[2])
    # Not at each of its steps: only when it is due as it said, by `decide`.
    if not policy.continuous or progress.state is not RolloutState.RUNNING:
        return []
    if row[19] is None or row[19] > now_ms:
        return []
    spec = unpack(row[10], JobSpec, bound=limits.SPEC_BYTES)
    selector = check_targets(spec.targets)
    if selector is None:
        return []
    members = {agent for (agent,) in (yield from fetch("rollout_members", job))}
    limit = parse_selector(policy.limit)
    labels = fold_labels((yield from fetch("labels_of_targets")))
    having = yield from agents_with(spec.targets)
    return sorted(
        agent
        for agent, own in labels.items()
        if agent not in members
        and selector.matches(own)
        and limit.matches(own)
        and (having is None or agent in having)
    )


def add_members(job: JobId, agents: list[str]) -> Tx[None]:
    """Give joiners the last places of the last stage; another replica that is at it does it."""
    if (yield from fetch_one("rollout_claim", job)) is None:
        return
    row = yield from fetch_one("rollout", job)
    assert row is not None, "rollouts are kept"
    policy = read_policy(row[1])
    stage, known = (
        len(policy.stages) - 1,
        {agent for (agent,) in (yield from fetch("rollout_members", job))},
    )
    new = [agent for agent in agents if agent not in known]
    sites: dict[str, str] = dict((yield from fetch("site_of_agents")))
    rows = []
    for number, agent in enumerate(new):
        site = sites[agent]
        rank, ready = 0, 1
        if policy.per_site:
            yield from execute("rollout_site_insert", job, site, 0, policy.per_site)
            joined = yield from fetch_one("rollout_site_joined", job, site)
            assert joined is not None, "it was made here"
            rank, ready = joined[0] - 1, int(joined[0] <= joined[1])
        rows.append(
            (job, agent, stage, (limits.INT_MAX >> 16) + len(known) + number, site, rank, ready)
        )
    yield from execute_many("rollout_member_insert", rows)
    yield from moved_count(job, stage, len(new), 0, 0)
    yield from execute("job_targets_added", job, len(new))
