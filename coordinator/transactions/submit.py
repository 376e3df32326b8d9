"""A job is submitted: its targets are resolved at once, one execution for each.

Where the policy asks for people's approval, the resolved list is kept for them to sign, and there
are executions only once enough of them did (`coordinator.transactions.approvals`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from coordinator.contract.common import to_wall_ms
from coordinator.contract.job_spec import JobSubmission, place_in_body, to_spec
from coordinator.contract.signed_form import signed_form
from coordinator.contract.trace import trace_id
from coordinator.core.audit import split_actor
from coordinator.core.job_class import choose_class
from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.rollout_policy import Policy as RolloutPolicy
from coordinator.core.targeting import check_targets, fold_labels, resolve
from coordinator.transactions.artifacts import check_artifacts, name_artifacts
from coordinator.transactions.device_words import agents_with
from coordinator.transactions.executions import insert_executions
from coordinator.transactions.releases import check_releases
from coordinator.transactions.rollouts_begin import store_policy
from coordinator.transactions.rollouts_policy import choose_policy
from coordinator.transactions.rows import audit
from coordinator.transactions.sight import sees_job
from shared import limits
from shared.clock import Entropy, WallMs
from shared.errors import MistakeError, OutstationError
from shared.ids import AgentId, JobId, parse_uuid, uuid7, uuid_text
from shared.model.job import JobSpec
from shared.model.selector import Selector
from shared.model.spec_check import check_spec
from shared.trust.catalog import Catalog
from shared.trust.policy import Policy

_ENDS = ("SUCCEEDED", "FAILED", "ANY")
"""How a whole job can end for those that wait for it: everywhere well, or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A job that passed every check that needs no database."""

    spec: JobSpec
    selector: Selector | None
    packed: bytes
    """The spec's canonical bytes: what is signed and what agents receive."""
    job_class: str
    """What the agents' policy knows it as."""
    threshold: int
    """Distinct people who have to agree first."""
    not_after_ms: WallMs
    rollout: RolloutPolicy | None = None
    """How it goes over the fleet; None: to everybody at once."""
    waits: tuple[bytes, str] | None = None
    """The job whose end it waits for on the coordinator, and how that has to end."""

    @property
    def digest(self) -> bytes:
        """Return what people and keys sign."""
        return sha256(self.packed).digest()

    @property
    def standing(self) -> str:
        """Return by what it runs again and again; empty: it runs once."""
        if self.spec.schedule is not None:
            return "schedule"
        return "rule" if self.spec.rule is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who wants a job, and how a repeated request is recognised."""

    actor: str
    token_id: str
    now_ms: WallMs
    author: str = ""
    """The person who asks: his own approval never counts."""
    limit: Selector | None = None
    """Which agents the request may reach; None: all of them."""
    trace: str = ""
    """The request's ``traceparent`` (W3C Trace Context), kept with the job."""
    origin: str = ""
    """What it was made from: ``template:NAME@2``, ``retry:JOB``; empty: from nothing."""
    only: frozenset[AgentId] | None = None
    """Of the job's targets only these; None: all of them."""
    key: str = ""
    """The Idempotency-Key; empty: every request is a new job."""
    body_digest: bytes = b""
    """Of what was asked: the body, and what it was sent to."""
    job: JobId | None = None
    """Its id, where it would be the same job if it were made once more; None: a new one."""
    catalog: Catalog | None = None
    """The one in force, where it is asked whether devices would go back; None: agents know."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that exists now, and who may get it at once.

    `agents` is empty when the request was a repetition, or people have to agree first.
    """

    job: JobId
    agents: Sequence[AgentId]
    replayed: bool


class KeyReusedError(OutstationError):
    """An Idempotency-Key came again for something else: which was meant is not ours to guess."""


def draft(
    spec: JobSpec, policy: Policy, *, not_after_ms: WallMs, now_ms: WallMs, wanted_class: str = ""
) -> Draft:
    """Check a job.

    Args:
        spec: what is wanted.
        policy: the one in force.
        not_after_ms: until when it may begin.
        now_ms: the present.
        wanted_class: of the policy; empty takes the one that asks for the fewest people.

    Raises:
        MistakeError: names the member at fault.
    """
    check_spec(spec)
    selector = check_targets(spec.targets)
    packed = signed_form(spec)
    if not now_ms < not_after_ms <= now_ms + limits.DELAY_S * 1000:
        raise MistakeError("it is not within the coming year", where="not_after")
    job_class, rule = choose_class(spec, policy, wanted_class)
    return Draft(
        spec=spec,
        selector=selector,
        packed=packed,
        job_class=job_class,
        threshold=rule.threshold,
        not_after_ms=not_after_ms,
    )


def draft_body(body: JobSubmission, policy: Policy, now_ms: WallMs) -> Draft:
    """Check a job as people wrote it.

    Raises:
        MistakeError: names the member at fault, as they wrote it.
    """
    try:
        job = draft(
            to_spec(body),
            policy,
            not_after_ms=_not_after(body, now_ms),
            now_ms=now_ms,
            wanted_class=body.job_class,
        )
        guarded = job.threshold > 0
        rollout = choose_policy(body, digest=job.digest, guarded=guarded)
        return replace(job, rollout=rollout, waits=_waits(body))
    except MistakeError as error:
        raise MistakeError(error.what, where=place_in_body(error.where), mend=error.mend) from None


def _waits(body: JobSubmission) -> tuple[bytes, str] | None:
    after = body.begins_after
    if after is None:
        return None
    if after.outcome not in _ENDS:
        raise MistakeError(
            f"no job ends as {after.outcome[:40]!r}",
            where="begins_after.outcome",
            mend=f"use {', '.join(_ENDS)}",
        )
    try:
        return parse_uuid(after.job, what="a job"), after.outcome
    except MistakeError as error:
        raise MistakeError(error.what, where="begins_after.job", mend=error.mend) from None


def _not_after(body: JobSubmission, now_ms: WallMs) -> WallMs:
    if body.not_after is None:
        return WallMs(now_ms + (body.expires_in_s or limits.JOB_EXPIRES_S) * 1000)
    if body.expires_in_s is not None:
        raise MistakeError("give not_after or expires_in_s, not both", where="expires_in_s")
    return to_wall_ms(body.not_after)


def preview(
    job: Draft, limit: Selector | None = None, only: frozenset[AgentId] | None = None
) -> Tx[Sequence[str]]:
    """Return the agents a job would go to now, as far as they are within a token's limit.

    `only`: as far as they are among these.

    Raises:
        MistakeError: a named agent does not exist, nothing matches, or the job that it waits for
            is not known.
    """
    labels = fold_labels((yield from fetch("labels_of_targets")))
    if limit is not None:
        labels = {agent: own for agent, own in labels.items() if limit.matches(own)}
    if job.spec.after is not None:
        other = parse_uuid(job.spec.after.job, what="a job")
        yield from _check_dependency(other, "after.job", limit)
    if job.waits is not None:
        yield from _check_dependency(job.waits[0], "begins_after.job", limit)
    having = yield from agents_with(job.spec.targets)
    found = resolve(job.spec.targets, job.selector, labels, having)
    if only is None:
        return found
    left = [agent for agent in found if agent in only]
    if not left:
        raise MistakeError("none of these agents is its target any more", where="targets")
    return left


def submit(job: Draft, submission: Submission, entropy: Entropy) -> Tx[Submitted]:
    """Store a job and its executions.

    Raises:
        MistakeError: as `preview`, or it names a file that is not here.
        KeyReusedError: the Idempotency-Key belongs to another request.
    """
    before = yield from _before(submission)
    if before is not None:
        return Submitted(before, (), replayed=True)
    agents = yield from preview(job, submission.limit, submission.only)
    if submission.catalog is not None:
        yield from check_releases(job.spec, agents, submission.catalog)
    # Before anything is written: who tells a refusal may do so in this very transaction.
    yield from check_artifacts(job.spec)
    now_ms = submission.now_ms
    job_id = submission.job or JobId(uuid7(now_ms, entropy.token(10)))
    yield from _insert(job_id, job, submission, len(agents))
    yield from name_artifacts(job_id, job.spec)
    if job.rollout is not None:
        yield from store_policy(job_id, job.rollout, submission.limit, now_ms)
    targets = [AgentId(agent) for agent in agents]
    if job.waits is not None:
        yield from execute("job_wait", job_id, *job.waits)
    held = job.threshold or job.waits is not None
    if held:
        yield from execute_many("job_target_insert", ((job_id, agent) for agent in targets))
    else:
        yield from insert_executions(job_id, targets, now_ms=now_ms)
    yield from _remember(submission, job_id)
    yield from _write_down(job_id, job, submission, len(agents))
    return Submitted(job_id, () if held else targets, replayed=False)


def _insert(id_: JobId, job: Draft, submission: Submission, targets: int) -> Tx[None]:
    now_ms = submission.now_ms
    yield from execute(
        "job_insert",
        id_,
        job.spec.name,
        job.digest,
        job.packed,
        job.job_class,
        targets,
        job.not_after_ms,
        now_ms,
        split_actor(submission.actor)[0],
        submission.trace,
        submission.author,
        job.threshold,
        None if job.threshold else now_ms,
        job.standing,
        submission.origin,
        job.spec.conflict_key,
        parse_uuid(job.spec.after.job, what="a job") if job.spec.after else None,
    )


def _write_down(id_: JobId, job: Draft, submission: Submission, targets: int) -> Tx[None]:
    yield from audit(
        submission.now_ms,
        actor=submission.actor,
        action="job.submit",
        object_=f"job:{uuid_text(id_)}",
        detail={
            "name": job.spec.name,
            "digest": job.digest.hex(),
            "targets": targets,
            "job_class": job.job_class,
            "approvals": job.threshold,
            "standing": job.standing,
            "origin": submission.origin,
            "trace": trace_id(submission.trace).hex(),
        },
    )


def _check_dependency(job: bytes, where: str, limit: Selector | None) -> Tx[None]:
    row = yield from fetch_one("job", job)
    if row is None or not (yield from sees_job(job, limit)):
        raise MistakeError(
            f"there is no job {uuid_text(job)}",
            where=where,
            mend="use an id that outstation jobs list shows",
        )
    if row[16]:
        raise MistakeError("it would wait for a standing job, which has no outcome", where=where)


def _remember(submission: Submission, job: JobId) -> Tx[None]:
    """Let the same request, made once more, find the job it made."""
    if not submission.key:
        return
    now_ms = submission.now_ms
    yield from execute("idempotency_forget", now_ms - limits.IDEMPOTENCY_S * 1000)
    yield from execute(
        "idempotency_insert",
        submission.token_id,
        submission.key,
        submission.body_digest,
        job,
        now_ms,
    )


def _before(submission: Submission) -> Tx[JobId | None]:
    if not submission.key:
        return None
    oldest_ms = submission.now_ms - limits.IDEMPOTENCY_S * 1000
    row = yield from fetch_one("idempotency", submission.token_id, submission.key, oldest_ms)
    if row is None:
        return None
    digest, job = row
    if digest != submission.body_digest:
        raise KeyReusedError
    return JobId(job)
