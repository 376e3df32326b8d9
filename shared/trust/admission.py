"""The agent's ordered checks on a bundle and on a reply: admit, or refuse with one code.

Pure: what the agent holds comes in as a value, what must be made durable goes out as one. The
caller commits `Admitted` in one durable transaction before any effect.

The order is the documented one: length, shape, type, distinct key ids, threshold
(`shared.trust.envelope`), canonical form and schema (`shared.wire.codec`, `documents`), then
`_BUNDLE_CHECKS` of this file, then each job (`shared.trust.granting`). A check is a function of
its own, and a mutant of the tests takes each one out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, KeyId
from shared.model.job import JobSpec
from shared.trust.approval import Here
from shared.trust.catalog import Catalog
from shared.trust.counters import Counters
from shared.trust.documents import Bundle, Reply, open_bundle, open_reply
from shared.trust.granting import (
    AdmittedJob,
    Approved,
    Scene,
    admit_grant,
    check_bounds,
    check_class,
    check_in_touch,
    rule_of,
)
from shared.trust.keyset import Trust
from shared.trust.policy import Policy
from shared.trust.root import check_not_over
from shared.wire.messages import Grant

__all__ = [
    "Admitted",
    "AdmittedJob",
    "Held",
    "RefusedJob",
    "admit_bundle",
    "admit_reply",
    "may_begin",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an agent holds durably and judges by."""

    agent: AgentId
    agent_key: KeyId
    jobs_epoch: bytes
    """Names the store that remembers which executions it had."""
    trust: Trust
    counters: Counters | None
    """None: every copy was lost. Such an agent is UNATTESTED and admits nothing."""
    floor_ms: WallMs
    """It is no earlier than this (`shared.trust.floor`)."""
    silent_ms: int
    """Powered time since the coordinator was last heard."""
    now_ms: WallMs | None = None
    """The present as a verified reply told it, or None while nothing has."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The agent's own, from its claim and its configuration."""
    approved: Approved = field(default_factory=dict)
    """Kept of each execution until its `AdmittedJob.approved_until_ms`."""
    approved_since_ms: WallMs = WallMs(0)
    """When that memory began: 0 at enrolment, the floor after it was lost."""

    @property
    def earliest_ms(self) -> WallMs:
        """Return the earliest moment it can be now."""
        return WallMs(max(self.floor_ms, self.now_ms or 0))


@dataclass(frozen=True, slots=True)
class RefusedJob:
    """One granted execution that must never run; the rest of the bundle stands."""

    execution: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """What one durable transaction must write before anything of it takes effect."""

    seq: int
    floor_ms: WallMs
    jobs: tuple[AdmittedJob, ...]
    refused: tuple[RefusedJob, ...]
    counters: Counters
    """`seq`, its epochs and the floor, as the second copy keeps them too."""
    cancels: tuple[bytes, ...]
    config: bytes


@dataclass(frozen=True, slots=True)
class _Case:
    """A bundle and what it is judged by; built once its counters are known."""

    bundle: Bundle
    held: Held
    root_epoch: int
    counters: Counters | None

    @property
    def earliest_ms(self) -> WallMs:
        return WallMs(max(self.held.earliest_ms, self.bundle.issued_ms))


def admit_bundle(data: bytes, held: Held) -> Admitted:
    """Return what a bundle orders, once every check passed in the documented order.

    Raises:
        RefusedError: the first check that failed; nothing of the bundle may be used.
    """
    root = held.trust.root
    bundle = open_bundle(data, root)
    counters = None if held.counters is None else held.counters.under(root)
    case = _Case(bundle, held, root.epoch, counters)
    for check in _BUNDLE_CHECKS:
        check(case)
    assert counters is not None, "an unattested agent was refused above"
    jobs, refused = _admit_grants(bundle.grants, _scene(case), held.approved)
    floor = WallMs(max(held.floor_ms, bundle.issued_ms))
    reached = Counters(
        epoch=bundle.epoch,
        root_version=bundle.root_version,
        catalog_version=bundle.catalog_version,
        policy_version=bundle.policy_version,
        restore_epoch=bundle.restore_epoch,
        bundle_seq=bundle.seq,
        floor_ms=floor,
    )
    return Admitted(
        seq=bundle.seq,
        floor_ms=floor,
        jobs=tuple(jobs),
        refused=tuple(refused),
        counters=counters.joined(reached),
        cancels=tuple(bundle.cancels),
        config=bundle.config,
    )


def admit_reply(data: bytes, held: Held, *, report_hash: bytes) -> Reply:
    """Return a reply that answers exactly this report, for exactly this agent.

    An expired root stops orders, not the data path: a reply counts all the same.

    Raises:
        RefusedError: forged, for somebody else, an answer to another report, or from a
            coordinator that was replaced by a restored one.
    """
    reply = open_reply(data, held.trust.root)
    for check in _REPLY_CHECKS:
        check(reply, held, report_hash)
    return reply


def may_begin(
    spec: JobSpec, *, job_class: str, not_after_ms: WallMs | None, grace_s: int, held: Held
) -> None:
    """Check an admitted job once more, right before an attempt begins.

    What was admitted keeps its right to run until its own end: expiry of documents does not take
    it back, a newer catalog or policy that no longer allows it does. Where `not_after_ms` is None
    its steps are done, and what is left may be late.

    Raises:
        RefusedError: JOB_EXPIRED, OUT_OF_TOUCH, or what the catalog or the class has against it.
    """
    if not_after_ms is not None and held.earliest_ms > not_after_ms:
        raise RefusedError(Reason.JOB_EXPIRED)
    check_in_touch(held.silent_ms, grace_s)
    check_class(spec, rule_of(job_class, _policy(held)))
    check_bounds(spec, _catalog(held))


# --- a reply ------------------------------------------------------------------------------------
def _reply_audience(reply: Reply, held: Held, _report: bytes) -> None:
    if reply.agent != held.agent:
        raise RefusedError(Reason.WRONG_AUDIENCE)


def _reply_nonce(reply: Reply, _held: Held, report: bytes) -> None:
    if reply.report != report:
        raise RefusedError(Reason.WRONG_NONCE, "it answers another report")


def _reply_restore(reply: Reply, held: Held, _report: bytes) -> None:
    # The coordinator that was restored from a backup never had what this one acknowledges.
    known = 0 if held.counters is None else held.counters.under(held.trust.root).restore_epoch
    if reply.restore_epoch < known:
        raise RefusedError(Reason.WRONG_RESTORE_EPOCH, f"{reply.restore_epoch} after {known}")


_REPLY_CHECKS = (
    _reply_audience,
    _reply_nonce,
    _reply_restore,
)


# --- a bundle -----------------------------------------------------------------------------------
def _fleet(case: _Case) -> None:
    if case.bundle.fleet != case.held.trust.root.fleet:
        raise RefusedError(Reason.WRONG_FLEET)


def _audience(case: _Case) -> None:
    if case.bundle.agent != case.held.agent:
        raise RefusedError(Reason.WRONG_AUDIENCE)


def _agent_key(case: _Case) -> None:
    if case.bundle.agent_key != case.held.agent_key:
        raise RefusedError(Reason.WRONG_AUDIENCE, "for the same name with another key")


def _store(case: _Case) -> None:
    # Held back until that store is lost, it would order what ran already once more.
    if case.bundle.jobs_epoch != case.held.jobs_epoch:
        raise RefusedError(Reason.WRONG_STORE, "it was signed for a store that is gone")


def _epoch(case: _Case) -> None:
    if case.bundle.epoch != case.root_epoch:
        raise RefusedError(Reason.WRONG_EPOCH, f"{case.bundle.epoch}")


def _root_version(case: _Case) -> None:
    if case.bundle.root_version != case.held.trust.root.version:
        raise RefusedError(Reason.WRONG_ROOT_VERSION, f"{case.bundle.root_version}")


def _catalog_version(case: _Case) -> None:
    catalog = _catalog(case.held)
    if case.bundle.catalog_version != catalog.version:
        raise RefusedError(Reason.WRONG_CATALOG_VERSION, f"{case.bundle.catalog_version}")


def _policy_version(case: _Case) -> None:
    policy = _policy(case.held)
    if case.bundle.policy_version != policy.version:
        raise RefusedError(Reason.WRONG_POLICY_VERSION, f"{case.bundle.policy_version}")


def _attested(case: _Case) -> None:
    if case.counters is None:
        raise RefusedError(Reason.UNATTESTED, "this agent lost its counters")


def _trust_kept(case: _Case) -> None:
    """Refuse to act on a key set, catalog or policy older than this agent has held before."""
    counters, trust = case.counters, case.held.trust
    if counters is None:
        return
    had = (counters.epoch, counters.root_version, counters.catalog_version, counters.policy_version)
    has = (trust.root.epoch, trust.root.version, trust.catalog_version, trust.policy_version)
    if any(now < before for now, before in zip(has, had, strict=True)):
        raise RefusedError(Reason.ROLLED_BACK, "the documents on this disk are older than it was")


def _sequence(case: _Case) -> None:
    bundle, counters = case.bundle, case.counters
    if counters is None:
        return
    if bundle.restore_epoch < counters.restore_epoch:
        raise RefusedError(Reason.WRONG_RESTORE_EPOCH, f"{bundle.restore_epoch}")
    if bundle.restore_epoch == counters.restore_epoch and bundle.seq <= counters.bundle_seq:
        raise RefusedError(Reason.REPLAYED, f"{bundle.seq} is not above {counters.bundle_seq}")


def _not_before(case: _Case) -> None:
    # Without a clock only proof that the time has come counts.
    if case.earliest_ms < case.bundle.not_before_ms:
        raise RefusedError(Reason.NOT_YET_VALID)


def _root_over(case: _Case) -> None:
    check_not_over(case.held.trust.root, case.earliest_ms)


def _catalog_over(case: _Case) -> None:
    if case.earliest_ms > _catalog(case.held).expires_ms:
        raise RefusedError(Reason.CATALOG_EXPIRED)


def _policy_over(case: _Case) -> None:
    if case.earliest_ms > _policy(case.held).expires_ms:
        raise RefusedError(Reason.POLICY_EXPIRED)


def _expired(case: _Case) -> None:
    if case.earliest_ms > case.bundle.expires_ms:
        raise RefusedError(Reason.EXPIRED)


def _stale(case: _Case) -> None:
    check_in_touch(case.held.silent_ms, case.bundle.stale_s)


_BUNDLE_CHECKS = (
    _fleet,
    _audience,
    _agent_key,
    _store,
    _epoch,
    _root_version,
    _catalog_version,
    _policy_version,
    _attested,
    _trust_kept,
    _sequence,
    _not_before,
    _root_over,
    _catalog_over,
    _policy_over,
    _expired,
    _stale,
)


# --- its jobs -----------------------------------------------------------------------------------
def _admit_grants(
    grants: Sequence[Grant], scene: Scene, approved: Approved
) -> tuple[list[AdmittedJob], list[RefusedJob]]:
    jobs: list[AdmittedJob] = []
    refused: list[RefusedJob] = []
    used = dict(approved)
    for grant in grants:
        try:
            job = admit_grant(grant, scene, used)
        except RefusedError as error:
            refused.append(RefusedJob(grant.execution, error.reason, error.detail))
            continue
        jobs.append(job)
        if job.approved_until_ms is not None:
            # The next grant of this very bundle must find this one counted.
            digest = sha256(grant.spec).digest()
            used[digest] = used.get(digest, frozenset()) | {grant.execution}
    return jobs, refused


def _scene(case: _Case) -> Scene:
    held = case.held
    here = Here(
        fleet=held.trust.root.fleet,
        agent=held.agent,
        labels=held.labels,
        earliest_ms=case.earliest_ms,
        approved_since_ms=held.approved_since_ms,
    )
    return Scene(
        here=here,
        catalog=_catalog(held),
        policy=_policy(held),
        silent_ms=held.silent_ms,
        stale_s=case.bundle.stale_s,
    )


# --- what several of them need ------------------------------------------------------------------
def _catalog(held: Held) -> Catalog:
    if held.trust.catalog is None:
        raise RefusedError(Reason.WRONG_CATALOG_VERSION, "this agent has none")
    return held.trust.catalog.document


def _policy(held: Held) -> Policy:
    if held.trust.policy is None:
        raise RefusedError(Reason.WRONG_POLICY_VERSION, "this agent has none")
    return held.trust.policy.document
