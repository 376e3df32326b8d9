"""Devices beside what is wished of them, one by one and counted by group."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, SelectorText, Time
from shared import limits
from shared.model.job import Value

LabelKey = Annotated[str, Meta(min_length=1, max_length=limits.SELECTOR_CHARS)]


class DriftQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/drift``."""

    selector: SelectorText = ""
    agent: str = ""
    all: bool = False
    """Those too that are as wished."""
    page_size: PageSize = 100
    page_token: PageToken = ""


class DriftView(msgspec.Struct, frozen=True, kw_only=True):
    """A device and one thing that is wished of it, by its gateway's newest word."""

    agent: str
    device: str
    wish: str
    """``identity``, ``firmware``, or the job and step that compare."""
    desired: str
    """Hash or version of what is wished."""
    job: str
    """By which it was compared last."""
    missed: dict[str, Value]
    """What is not as wished, as it is; empty: all is."""
    since: Time | None
    """First told to differ, without a break since; by the gateway's clock, as the others."""
    observed_at: Time
    mended_at: Time | None
    """When it was last as wished again."""
    mended_by: str
    """The job that had written to the device; empty: none did, it was mended on the spot."""


class ComplianceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/compliance``."""

    selector: SelectorText = ""
    by: LabelKey = "site"
    """Label that makes the groups."""


class MissingView(msgspec.Struct, frozen=True):
    """A device that is not as wished."""

    agent: str
    device: str


class ComplianceLine(msgspec.Struct, frozen=True, kw_only=True):
    """How many devices of a group are as wished."""

    group: str
    """The label's value; empty: it has none."""
    wish: str
    desired: str
    devices: int
    """That ever told."""
    missing: int
    """That are otherwise."""
    oldest_since: Time | None
    """Since when the one differs that does so for longest."""
    oldest_word: Time
    """When the one told that did not tell for longest."""
    missing_devices: Annotated[list[MissingView], Meta(max_length=limits.MISSING_NAMED)]
    """The first of those that are otherwise; ``GET /v1/drift`` has all, and since when."""


class Compliance(msgspec.Struct, frozen=True):
    """The whole fleet, or what of it matches."""

    items: list[ComplianceLine]
