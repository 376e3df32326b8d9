"""A job once more: for whom it failed, or as a new one; and what was done about a job, by whom."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.audit import Detail
from coordinator.contract.common import PageSize, PageToken, Time
from coordinator.contract.job_parts import TargetsBody
from shared import limits

Expires = Annotated[int, Meta(ge=1, le=limits.DELAY_S)]


class RetryWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/jobs/{job}/retry``: the same job again, for the agents on which it failed."""

    unknown_effects: bool = False
    """Also where it was cut off and nobody knows whether the device did it: look at it first."""
    expires_in_s: Expires | None = None


class CloneWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/jobs/{job}/clone``: a new job that says what an old one said."""

    targets: TargetsBody | None = None
    """Instead of the old one's."""
    dry_run: bool | None = None
    expires_in_s: Expires | None = None


class JobEventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/jobs/{job}/history``, newest first."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class JobEvent(msgspec.Struct, frozen=True):
    """What somebody did about a job: submitted, approved, released, called it off."""

    number: int
    at: Time
    who: str
    what: str
    why: Detail
