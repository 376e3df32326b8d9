"""Devices that gateways found and nobody attached."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, Time
from shared import limits
from shared.model.candidate import Way


class CandidateQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/candidates``."""

    agent: str = ""
    ignored: bool = False
    """Those too that somebody does not want to see."""
    page_size: PageSize = 100
    page_token: PageToken = ""


class CandidateView(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate, by the newest word of its gateway."""

    agent: str
    way: Way
    """How it was found."""
    place: str
    """``BUS/ADDRESS``, or ``HOST:PORT`` where it announced itself."""
    vendor: str
    model: str
    firmware: str
    serial: str
    name: str
    """Of its announcement."""
    before: str
    """Where it was before it moved; empty: it never did."""
    device: str
    """The attached device that it says it is, while something speaks against it; else empty."""
    ignored: bool
    first_at: Time
    seen_at: Time
    """By the gateway's clock, as the other times."""
    lost_at: Time | None
    """When it was told to answer no more."""


class IgnoreRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/agents/{agent}/candidates``."""

    place: Annotated[str, Meta(min_length=1, max_length=limits.IDENTITY_CHARS)]
    ignored: bool = True
