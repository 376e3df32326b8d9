"""Tokens: who may use the REST API, for what, on which agents, until when."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, SelectorText, Time
from shared import limits


class TokenWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/tokens``: let a person or a program in."""

    name: str
    """Whose it is: the audit log and approvals tell people apart by it."""
    scopes: list[str]
    """Roles (viewer, operator, approver, admin) and scopes (``jobs:read``)."""
    selector: SelectorText = ""
    """Only for agents whose labels match; empty: for the whole fleet."""
    expires_in_s: Annotated[int, Meta(ge=60, le=limits.DELAY_S)] = 7_776_000


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """One token, without its secret."""

    id: str
    name: str
    scopes: list[str]
    selector: str
    created_at: Time
    expires_at: Time
    revoked_at: Time | None


class TokenMade(TokenView, frozen=True, kw_only=True):
    """A token that was just made."""

    token: str
    """The only time that it can be read."""


class TokenQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/tokens``, in the order of their ids."""

    page_size: PageSize = 100
    page_token: PageToken = ""
