"""Approvals: people who agree that exactly this job may run, on whom, until when, how often.

Each is signed with a person's own key, which no coordinator holds. Owns the document and the
checks of one approval at the agent it is shown to. How many are needed is the policy's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, KeyId
from shared.model.selector import parse_selector
from shared.trust.envelope import open_signed
from shared.trust.targets import is_listed
from shared.wire.codec import unpack
from shared.wire.messages import TargetProof

APPROVAL_TYP: Final = "approval/1"


class AgentsTarget(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="agents"
):
    """The agents of one resolved list, by `shared.trust.targets.list_digest`."""

    digest: bytes
    count: int


class SelectorTarget(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="selector"
):
    """Every agent, now or later, whose own labels match."""

    selector: str


class Approval(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One or more people's word for one job."""

    fleet: bytes
    job: bytes
    """sha256 of the job's canonical bytes."""
    job_class: str
    author: str
    """Who asked for the job, as its approvers were shown; his own approval never counts."""
    target: AgentsTarget | SelectorTarget
    issued_ms: int
    not_after_ms: int
    max_executions: int
    """How often each agent may run it; an agent cannot know how often others did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where and when an approval is held against a job: one agent, now."""

    fleet: bytes
    agent: AgentId
    labels: Mapping[str, str]
    """The agent's own, from its claim and its configuration; never the coordinator's word."""
    earliest_ms: WallMs
    """It is no earlier than this."""
    approved_since_ms: WallMs
    """Since when executions under approvals are remembered; 0 when none can be forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an approval is held against: one granted job."""

    job: bytes
    job_class: str
    proof: TargetProof | None
    used: int
    """Other executions of this job that this agent admitted under approvals."""


def open_approval(data: bytes, keys: Mapping[KeyId, bytes]) -> tuple[Approval, frozenset[KeyId]]:
    """Return an approval and which of `keys` signed it, at least one.

    Raises:
        RefusedError: a check of the envelope failed, nobody known signed, or BAD_SCHEMA.
    """
    bound = limits.DOCUMENT_BYTES
    payload, signed = open_signed(data, typ=APPROVAL_TYP, keys=keys, bound=bound)
    if not signed:
        raise RefusedError(Reason.THRESHOLD_NOT_MET, "no approver of this class signed it")
    return unpack(payload, Approval, bound=bound), signed


def check_approval(approval: Approval, asked: Asked, here: Here) -> None:
    """Check that an approval speaks of this job, here, now, once more.

    Raises:
        RefusedError: with the reason of the first check that failed.
    """
    for check in _CHECKS:
        check(approval, asked, here)


def _fleet(approval: Approval, _asked: Asked, here: Here) -> None:
    if approval.fleet != here.fleet:
        raise RefusedError(Reason.WRONG_FLEET)


def _job(approval: Approval, asked: Asked, _here: Here) -> None:
    if approval.job != asked.job:
        raise RefusedError(Reason.APPROVAL_OTHER_JOB, "it approves another job")


def _class(approval: Approval, asked: Asked, _here: Here) -> None:
    if approval.job_class != asked.job_class:
        raise RefusedError(Reason.APPROVAL_OTHER_JOB, f"as {approval.job_class[:40]!r}")


def _target(approval: Approval, asked: Asked, here: Here) -> None:
    if not _covers(approval.target, asked.proof, here):
        raise RefusedError(Reason.APPROVAL_OTHER_TARGET, "it was not approved for this agent")


def _time(approval: Approval, _asked: Asked, here: Here) -> None:
    if max(here.earliest_ms, approval.issued_ms) > approval.not_after_ms:
        raise RefusedError(Reason.APPROVAL_EXPIRED)


def _memory(approval: Approval, _asked: Asked, here: Here) -> None:
    # What was admitted before the memory of it was lost could be admitted once more.
    if approval.issued_ms < here.approved_since_ms:
        raise RefusedError(Reason.APPROVAL_FORGOTTEN, "older than what this agent remembers")


def _uses(approval: Approval, asked: Asked, _here: Here) -> None:
    if asked.used >= min(approval.max_executions, limits.APPROVED_EXECUTIONS):
        raise RefusedError(Reason.APPROVAL_USED_UP, f"{approval.max_executions} times")


_CHECKS = (
    _fleet,
    _job,
    _class,
    _target,
    _time,
    _memory,
    _uses,
)


def _covers(target: AgentsTarget | SelectorTarget, proof: TargetProof | None, here: Here) -> bool:
    match target:
        case AgentsTarget(digest, count):
            if proof is None:
                return False
            return is_listed(here.agent, proof, digest=digest, count=count)
        case SelectorTarget(selector):
            return _selects(selector, here.labels)


def _selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a selector matches; the empty one, which would match all, never does."""
    try:
        parsed = parse_selector(selector)
    except MistakeError:
        return False
    return bool(parsed.requirements) and parsed.matches(labels)
