"""The audit log: who changed what, when, and from where; each entry hashes all before it."""

import msgspec

from coordinator.contract.common import PageSize, PageToken, Time

Detail = dict[str, int | float | str | bool | None]


class AuditEntry(msgspec.Struct, frozen=True):
    """One change."""

    number: int
    """From 1, without a gap."""
    at: Time
    actor: str
    source: str
    """The address it was asked from; empty where it came from this machine itself."""
    action: str
    """``job.submit``, ``agent.revoke``, ..."""
    object: str
    """``job:ID``, ``agent:NAME``, ..."""
    detail: Detail
    hash: str
    """Hex of sha256 over this entry and the hash of the one before it."""


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/audit``, newest first; an empty filter matches every entry."""

    action: str = ""
    object: str = ""
    page_size: PageSize = 100
    page_token: PageToken = ""
