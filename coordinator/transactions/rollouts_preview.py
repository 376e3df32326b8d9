"""What a rollout would do now, without submitting it; the cohorts are those it would have."""

from collections import defaultdict
from collections.abc import Sequence

from coordinator.contract.rollouts import ConflictView, OutlookView, RolloutPreview
from coordinator.core.cohorts import Member, plan
from coordinator.core.ports import Tx, fetch
from coordinator.core.preview import METERED_LABELS, Outlook, Prospect, is_metered, look_ahead
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout_policy import Policy
from coordinator.transactions.device_words import reach_of
from coordinator.transactions.rollouts_begin import candidates
from coordinator.transactions.sight import sees_job
from coordinator.transactions.submit import Draft
from coordinator.transactions.submit import preview as resolve_targets
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.selector import Selector

_SAMPLE = 20


def preview_rollout(
    job: Draft, *, now_ms: WallMs, limit: Selector | None = None
) -> Tx[RolloutPreview]:
    """Return what a checked job would do, stage by stage.

    Raises:
        MistakeError: as `coordinator.transactions.submit.preview`.
    """
    policy = job.rollout or Policy()
    agents = yield from resolve_targets(job, limit)
    members = plan((yield from candidates(policy, agents)), policy.stages, policy.seed)
    prospects = yield from _prospects(members)
    outlooks = look_ahead(policy, prospects, job_bytes=len(job.packed), now_ms=now_ms)
    sample: dict[int, list[str]] = defaultdict(list)
    for one in members:
        if len(sample[one.stage]) < _SAMPLE:
            sample[one.stage].append(one.agent)
    conflicts = yield from _conflicts(job.spec.conflict_key, agents, limit)
    reach = yield from reach_of(job.spec.targets, agents)
    return RolloutPreview(
        digest=job.digest.hex(),
        targets=len(agents),
        job_class=job.job_class,
        approvals_needed=job.threshold,
        stages=[
            _view(policy.stages[number].name, outlook, sample[number])
            for number, outlook in enumerate(outlooks)
        ],
        metered_bytes=sum(one.metered_bytes for one in outlooks),
        done_after_s=_seconds(outlooks[-1].done_after_ms),
        conflicts=conflicts,
        devices=reach.devices,
        unasked=reach.unasked,
        silent_devices=reach.silent,
    )


def _prospects(members: Sequence[Member]) -> Tx[list[Prospect]]:
    """Return how members usually call, and over what."""
    metered: set[str] = set()
    for label in sorted(METERED_LABELS):
        rows = yield from fetch("labels_of_key", label)
        metered.update(agent for agent, value in rows if is_metered(label, value))
    habits = {agent: rest for agent, *rest in (yield from fetch("contact_habits"))}
    return [
        Prospect(
            stage=one.stage,
            last_ms=habits.get(one.agent, (None, None))[0],
            interval_ms=habits.get(one.agent, (None, None))[1],
            metered=one.agent in metered,
        )
        for one in members
    ]


def _conflicts(key: str, agents: Sequence[str], limit: Selector | None) -> Tx[list[ConflictView]]:
    """Return the open jobs of this key that a token may know of, each with how many it is in."""
    if not key:
        return []
    found: dict[tuple[bytes, str], int] = defaultdict(int)
    chosen = set(agents)
    for job, name, agent in (yield from fetch("open_with_conflict_key", key, OPEN_BELOW)):
        if agent in chosen:
            found[job, name] += 1
    views = []
    for (job, name), count in found.items():
        if (yield from sees_job(job, limit)):
            views.append(ConflictView(uuid_text(job), name, count))
    return views


def _view(name: str, outlook: Outlook, sample: list[str]) -> OutlookView:
    return OutlookView(
        name=name,
        members=outlook.members,
        expected=outlook.expected,
        silent=outlook.silent,
        never=outlook.never,
        metered=outlook.metered,
        metered_bytes=outlook.metered_bytes,
        done_after_s=_seconds(outlook.done_after_ms),
        sample=sample,
    )


def _seconds(span_ms: int | None) -> int | None:
    return None if span_ms is None else -(-span_ms // 1000)
