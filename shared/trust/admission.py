"""The agent's ordered checks on a bundle and on a reply: admit, or refuse with one code.

Pure: what the agent holds comes in as a value, what must be made durable goes out as one. The
caller commits `Admitted` in one durable transaction before any effect.
"""

from dataclasses import dataclass

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, KeyId
from shared.model.action import check_spec
from shared.model.job import JobSpec
from shared.trust.documents import Bundle, Reply, Root, open_bundle, open_reply
from shared.wire.codec import unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What an agent holds durably and judges by."""

    agent: AgentId
    agent_key: KeyId
    root: Root
    bundle_seq: int
    floor_ms: WallMs
    """No earlier than this: build time, stored floor, issue times of verified documents."""
    now_ms: WallMs | None = None
    """The present as a verified reply told it, or None while nothing has."""


@dataclass(frozen=True, slots=True)
class AdmittedJob:
    """One granted execution whose job passed every check that needs no device."""

    execution: bytes
    spec: JobSpec
    spec_bytes: bytes
    not_after_ms: WallMs


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


def admit_bundle(data: bytes, held: Held) -> Admitted:
    """Return what a bundle orders, once every check passed in the documented order.

    Raises:
        RefusedError: the first check that failed; nothing of the bundle may be used.
    """
    bundle = open_bundle(data, held.root)
    _addressed(bundle, held)
    if bundle.epoch != held.root.epoch:
        raise RefusedError(Reason.WRONG_EPOCH)
    if bundle.root_version != held.root.version:
        raise RefusedError(Reason.WRONG_ROOT_VERSION)
    if bundle.seq <= held.bundle_seq:
        raise RefusedError(Reason.REPLAYED, f"{bundle.seq} is not above {held.bundle_seq}")
    floor = max(held.floor_ms, bundle.issued_ms)
    if bundle.not_before_ms > bundle.expires_ms or bundle.issued_ms > bundle.expires_ms:
        raise RefusedError(Reason.BAD_SCHEMA, "it ends before it begins")
    if held.now_ms is not None and held.now_ms < bundle.not_before_ms:
        raise RefusedError(Reason.NOT_YET_VALID)
    if max(floor, held.now_ms or 0) > bundle.expires_ms:
        raise RefusedError(Reason.EXPIRED)
    if len(bundle.grants) > limits.GRANTS_PER_BUNDLE:
        raise RefusedError(Reason.BAD_SCHEMA, "too many grants")
    jobs: list[AdmittedJob] = []
    refused: list[RefusedJob] = []
    for grant in bundle.grants:
        try:
            spec = unpack(grant.spec, JobSpec, bound=limits.SPEC_BYTES)
            check_spec(spec)
        except RefusedError as error:
            refused.append(RefusedJob(grant.execution, Reason.BAD_SPEC, str(error)))
        except MistakeError as error:
            refused.append(RefusedJob(grant.execution, Reason.BAD_PARAMETERS, str(error)))
        else:
            due = WallMs(grant.not_after_ms)
            jobs.append(AdmittedJob(grant.execution, spec, grant.spec, due))
    return Admitted(bundle.seq, WallMs(floor), tuple(jobs), tuple(refused))


def admit_reply(data: bytes, held: Held, *, report_hash: bytes) -> Reply:
    """Return a reply that answers exactly this report, for exactly this agent.

    Raises:
        RefusedError: forged, for somebody else, or an answer to another report.
    """
    reply = open_reply(data, held.root)
    if reply.agent != held.agent:
        raise RefusedError(Reason.WRONG_AUDIENCE)
    if reply.report != report_hash:
        raise RefusedError(Reason.WRONG_NONCE, "it answers another report")
    return reply


def _addressed(bundle: Bundle, held: Held) -> None:
    if bundle.fleet != held.root.fleet:
        raise RefusedError(Reason.WRONG_FLEET)
    if bundle.agent != held.agent or bundle.agent_key != held.agent_key:
        raise RefusedError(Reason.WRONG_AUDIENCE)
