"""One granted job at one agent: within the catalog, within its class, approved by enough people.

Owns the checks of a grant in their order. Those of the bundle around it stand in
`shared.trust.admission`, those of a single approval in `shared.trust.approval`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.model.job import JobSpec
from shared.model.spec_check import check_spec
from shared.trust.approval import Asked, Here, check_approval, open_approval
from shared.trust.bounds import check_step
from shared.trust.catalog import Catalog
from shared.trust.policy import ClassRule, Policy
from shared.wire.codec import unpack
from shared.wire.messages import Grant

Approved = Mapping[bytes, frozenset[bytes]]
"""Executions admitted under approvals, by the digest of their job."""


@dataclass(frozen=True, slots=True)
class AdmittedJob:
    """One granted execution whose job passed every check that needs no device."""

    execution: bytes
    spec: JobSpec
    spec_bytes: bytes
    not_after_ms: WallMs
    """The grant's, or an approval's that ends sooner."""
    job_class: str
    grace_s: int
    """It does not begin after more powered seconds than this without word from the coordinator."""
    approved_until_ms: WallMs | None
    """It was admitted under approvals: its execution has to be remembered until then."""
    job: bytes = b""
    """The job it is an execution of, as the coordinator says."""
    trace: bytes = b""
    """What the log names it by beside its id: 16 bytes or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a grant is judged by."""

    here: Here
    catalog: Catalog
    policy: Policy
    silent_ms: int
    stale_s: int
    """The bundle's."""


def admit_grant(grant: Grant, scene: Scene, approved: Approved) -> AdmittedJob:
    """Return the job of a grant once every check passed.

    Raises:
        RefusedError: the first check that failed.
    """
    if len(grant.trace) not in {0, limits.TRACE_BYTES}:
        raise RefusedError(Reason.BAD_SCHEMA, "a trace id has 16 bytes")
    spec = decode_spec(grant)
    check_bounds(spec, scene.catalog)
    rule = rule_of(grant.job_class, scene.policy)
    check_class(spec, rule)
    grace_s = min(rule.offline_grace_s, scene.stale_s)
    check_in_touch(scene.silent_ms, grace_s)
    ends = _approvals(grant, rule, scene, approved) if rule.threshold > 0 else []
    return AdmittedJob(
        execution=grant.execution,
        spec=spec,
        spec_bytes=grant.spec,
        not_after_ms=WallMs(min([grant.not_after_ms, *ends])),
        job_class=grant.job_class,
        grace_s=grace_s,
        approved_until_ms=WallMs(max(ends)) if ends else None,
        job=grant.job,
        trace=grant.trace,
    )


def decode_spec(grant: Grant) -> JobSpec:
    """Return the job of a grant; BAD_SPEC or BAD_PARAMETERS when it is not one."""
    try:
        spec = unpack(grant.spec, JobSpec, bound=limits.SPEC_BYTES)
        check_spec(spec)
    except RefusedError as error:
        raise RefusedError(Reason.BAD_SPEC, str(error)) from None
    except MistakeError as error:
        raise RefusedError(Reason.BAD_PARAMETERS, str(error)) from None
    return spec


def check_bounds(spec: JobSpec, catalog: Catalog) -> None:
    """Check every step against the catalog; ACTION_NOT_ALLOWED or OUT_OF_BOUNDS."""
    for step in spec.every_step:
        check_step(catalog, step)


def rule_of(job_class: str, policy: Policy) -> ClassRule:
    """Return the rule of a class; UNKNOWN_CLASS when there is none."""
    rule = policy.classes.get(job_class)
    if rule is None:
        raise RefusedError(Reason.UNKNOWN_CLASS, repr(job_class[:40]))
    return rule


def check_class(spec: JobSpec, rule: ClassRule) -> None:
    """Check that a job does nothing its class may not; CLASS_EXCEEDED."""
    for step in spec.every_step:
        if not rule.allows(step):
            raise RefusedError(Reason.CLASS_EXCEEDED, f"step {step.id}")


def check_in_touch(silent_ms: int, grace_s: int) -> None:
    """Check that the coordinator was heard recently enough, in powered time; OUT_OF_TOUCH."""
    if silent_ms > grace_s * 1000:
        raise RefusedError(Reason.OUT_OF_TOUCH, f"{silent_ms // 1000} s of silence")


def _approvals(grant: Grant, rule: ClassRule, scene: Scene, approved: Approved) -> list[int]:
    """Return when the approvals that count end; there are enough of them.

    An approval that does not count does no harm: who adds a bad one must not be able to stop a
    job that has enough good ones.
    """
    if len(grant.approvals) > limits.APPROVALS_PER_GRANT:
        raise RefusedError(Reason.BAD_SCHEMA, "too many approvals")
    asked = _asked(grant, approved)
    keys = scene.policy.keys_of(rule)
    people: set[str] = set()
    authors: set[str] = set()
    ends: list[int] = []
    first: RefusedError | None = None
    for data in grant.approvals:
        try:
            approval, signed = open_approval(data, keys)
            check_approval(approval, asked, scene.here)
        except RefusedError as error:
            first = first or error
            continue
        people |= {scene.policy.person(key).casefold() for key in signed}
        authors.add(approval.author.casefold())
        ends.append(approval.not_after_ms)
    counted = people - authors
    if len(counted) >= rule.threshold:
        return ends
    if first is None and people & authors:
        first = RefusedError(Reason.APPROVAL_BY_AUTHOR)
    raise first or RefusedError(Reason.APPROVALS_MISSING, f"{len(counted)} of {rule.threshold}")


def _asked(grant: Grant, approved: Approved) -> Asked:
    job = sha256(grant.spec).digest()
    return Asked(
        job=job,
        job_class=grant.job_class,
        proof=grant.proof,
        used=len(approved.get(job, frozenset()) - {grant.execution}),
    )
