"""The fleet as a whole: its status, the claims that let agents in, and two files for people."""

import base64
from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.common import Time
from shared import limits


class ReadingsTotal(msgspec.Struct, frozen=True):
    """What has been committed here since the fleet began."""

    delivered: int
    blocks: int
    bytes: int
    lost: int
    """Counted by the agents' loss ledgers."""
    conflicts: int
    """Blocks kept aside: their number was used before with other bytes."""


class FleetStatus(msgspec.Struct, frozen=True):
    """``GET /v1/status``: everything on one screen."""

    fleet: str
    """Hex of the fleet id."""
    version: str
    now: Time
    started_at: Time
    agents: dict[str, int]
    """By state."""
    jobs: dict[str, int]
    executions: dict[str, int]
    readings: ReadingsTotal
    refused: dict[str, int]
    """Reports and blocks of enrolled agents that were refused, by reason."""
    warnings: list[str]


class ClaimRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/claims``: let `count` agents of one site enrol."""

    site: str
    count: Annotated[int, Meta(ge=1, le=limits.CLAIM_COUNT)] = 1
    expires_in_s: Annotated[int, Meta(ge=60, le=limits.DELAY_S)] = 604_800
    url: str = ""
    """Where the agents will reach the coordinator; its own URL when empty."""


class ClaimFile(msgspec.Struct, frozen=True, kw_only=True):
    """The claim file for a gateway; whoever holds it can enrol, until it is used up."""

    outstation_claim: int = 1
    url: str
    fleet: str
    """Hex of the fleet id."""
    site: str
    secret: str
    """Hex of 32 bytes."""
    ca_pem: str
    """The fleet CA's certificate: the only one the agent trusts for TLS."""
    root: str
    """Base64 of the root document's envelope."""
    expires: Time

    def root_bytes(self) -> bytes:
        """Return the root document's envelope."""
        return base64.b64decode(self.root)


class TrustFile(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a gateway should trust: public, and no right to enrol."""

    outstation_trust: int = 1
    url: str
    fleet: str
    """Hex of the fleet id."""
    ca_pem: str
    root: str
    """Base64 of the root document's envelope."""


class AdminFile(msgspec.Struct, frozen=True):
    """``admin.toml``: how the command line reaches the coordinator, made by ``init``."""

    url: str
    token: str
    ca: str
    """The fleet CA's certificate as PEM text: hand it to `ssl.create_default_context(cadata=)`."""
