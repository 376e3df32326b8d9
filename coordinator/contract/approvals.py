"""Approvals: jobs that people have to agree to, what exactly is signed, and who did.

A signature is made with a key that never leaves its owner: what is posted is a sealed document
(`approval/1`), and every agent verifies it again.
"""

import base64
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, Time
from coordinator.contract.jobs import JobState
from shared import limits

Envelope = Annotated[
    str,
    Meta(max_length=4 * limits.APPROVAL_BYTES // 3 + 4, description="base64 of an `approval/1`"),
]


class VoteView(msgspec.Struct, frozen=True):
    """One person's approval."""

    person: str
    key: str
    """Hex of the key's id."""
    received_at: Time
    not_after: Time
    max_executions: int
    counts: bool
    """False once it has ended."""


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """One job that people have to agree to."""

    job: str
    name: str
    state: JobState
    job_class: str
    author: str
    """Who asked for it; his own approval never counts."""
    digest: str
    created_at: Time
    not_after: Time
    targets: int
    needed: int
    """Distinct people, by the policy in force."""
    people: list[str]
    """Who agreed, each once."""
    votes: list[VoteView]
    approvers: list[str]
    """Who may."""
    denied_by: str
    denied_reason: str
    earlier: int
    """How often this very job was released before: an approval has to allow one execution more."""


class ApprovalForm(ApprovalView, frozen=True, kw_only=True):
    """Everything an approver signs: he checks it himself and believes nobody."""

    fleet: str
    """Hex of the fleet id."""
    spec: str
    """Base64 of the job's canonical bytes; `digest` is their sha256."""
    agents: list[str]
    """Whom it goes to, sorted."""
    agents_digest: str
    """Hex of the list's digest (RFC 9162 tree)."""
    selector: str
    """What chose the agents; empty where some were named."""

    def spec_bytes(self) -> bytes:
        """Return the job's canonical bytes."""
        return base64.b64decode(self.spec)


class SignBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/approvals/{job}/sign``."""

    envelope: Envelope


class DenyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/approvals/{job}/deny``: this job shall never run."""

    reason: Annotated[str, Meta(min_length=1, max_length=limits.DETAIL_CHARS)]


class ApprovalQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/approvals``, newest first."""

    state: Literal["pending", "all"] = "pending"
    page_size: PageSize = 50
    page_token: PageToken = ""
