"""Templates: jobs with blanks, and what may be filled into them.

A template is a job document in which ``"${name}"`` stands for a declared parameter. Filling in and
what is refused stand in `coordinator.contract.template_values`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coordinator.contract.common import PageSize, PageToken, Time
from coordinator.contract.job_parts import TargetsBody
from shared import limits

Kind = Literal["integer", "number", "flag", "text", "texts", "values"]
"""``texts``: a list of them. ``values``: a table of names and numbers, flags or texts."""
Filling = bool | int | float | str | list[str] | dict[str, bool | int | float | str]
"""What a parameter can be; a text is read as the kind that the parameter has."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One blank of a template."""

    kind: Kind
    about: Annotated[str, Meta(max_length=limits.DETAIL_CHARS)] = ""
    default: Filling | UnsetType = UNSET
    """Left out: whoever uses the template has to say it."""
    minimum: float | None = None
    maximum: float | None = None
    choices: list[str] = []
    """Of a text: it is one of these."""


class TemplateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/templates``: a new version of a template."""

    name: str
    about: Annotated[str, Meta(max_length=limits.DETAIL_CHARS)] = ""
    parameters: Annotated[dict[str, Parameter], Meta(max_length=limits.TEMPLATE_PARAMETERS)] = {}
    job: dict[str, Any]
    """As ``POST /v1/jobs`` takes it, with blanks; its name is the template's unless it says one."""


class TemplateView(TemplateBody, frozen=True, kw_only=True):
    """One version of a template."""

    version: int
    """From 1 on; 0: it came with the program."""
    saved_at: Time | None
    saved_by: str


class TemplateQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/templates/{template}?version=2``; without one the newest."""

    version: Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None = None


class TemplatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/templates``, by name."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class TemplateUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/templates/{template}/submit``: a job made from a template."""

    version: Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None = None
    """Left out: the newest."""
    values: Annotated[dict[str, Filling], Meta(max_length=limits.TEMPLATE_PARAMETERS)] = {}
    targets: TargetsBody | None = None
    """Instead of the template's own."""
    dry_run: bool | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=limits.DELAY_S)] | None = None
