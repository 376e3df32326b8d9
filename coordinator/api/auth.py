"""Who a REST request is from, and whether it may: bearer tokens, default deny (RFC 6750)."""

from functools import partial

from aiohttp import hdrs, web

from coordinator.api.context import Parts
from coordinator.api.problems import Kind, ProblemError
from coordinator.core.access import Principal, judge_token, parse_token
from coordinator.transactions.tokens import load_token

NOBODY = Principal("", "", "")
"""Whoever asks a public route."""

_HEADER = "WWW-Authenticate"
_CHALLENGE = 'Bearer realm="outstation"'


async def authenticate(
    request: web.Request, parts: Parts, scope: str, *, limited: bool
) -> Principal:
    """Return who a request is from, once its token has a route's scope.

    Args:
        request: its header carries the token.
        parts: the coordinator's.
        scope: the route's.
        limited: the route keeps to the agents of a token that is limited to some.

    Raises:
        ProblemError: UNAUTHENTICATED or DENIED; which of token, secret and expiry is wrong is
            not told.
    """
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    token = parse_token(text.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        # RFC 6750 section 3.1: no error code where the request has no credentials at all.
        error = ', error="invalid_token"' if scheme else ""
        raise _unauthenticated(_CHALLENGE + error)
    known = await parts.store.read(partial(load_token, token.token_id))
    principal = judge_token(token, known, parts.clock.wall_ms())
    if principal is None:
        raise _unauthenticated(f'{_CHALLENGE}, error="invalid_token"')
    if not principal.may(scope):
        challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        headers = {_HEADER: challenge}
        raise ProblemError(Kind.DENIED, f"{scope} is not among its scopes", headers=headers)
    if principal.limit is not None and not limited:
        challenge = f'{_CHALLENGE}, error="insufficient_scope"'
        detail = "this token is for some agents only, and this concerns the whole fleet"
        raise ProblemError(Kind.DENIED, detail, headers={_HEADER: challenge})
    return principal


def _unauthenticated(challenge: str) -> ProblemError:
    headers = {_HEADER: challenge}
    return ProblemError(Kind.UNAUTHENTICATED, "send Authorization: Bearer ost_...", headers=headers)
