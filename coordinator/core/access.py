"""Who may do what over REST: the text form of tokens, roles, and the scopes they stand for.

A route asks for one scope, ``resource:verb``. A token carries roles, scopes or both, is over at a
given time, and may be limited to the agents that a label selector matches. What nobody granted is
denied. Which handlers keep to such a limit stands in the URL table.
"""

import hashlib
import hmac
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, nearest
from shared.model.selector import Selector, parse_selector

_PREFIX = "ost"
_ID_CHARS = 16
_SECRET_CHARS = 64

VIEWER, OPERATOR, APPROVER, ADMIN = "viewer", "operator", "approver", "admin"
ROLES = (VIEWER, OPERATOR, APPROVER, ADMIN)
"""An admin may do everything; what the others may is said scope by scope below."""

_ALL = frozenset({VIEWER, OPERATOR, APPROVER})
_NONE: frozenset[str] = frozenset()

# fmt: off
SCOPES: Mapping[str, frozenset[str]] = {
    "fleet:read":       _ALL,
    "agents:read":      _ALL,
    "jobs:read":        _ALL,
    "executions:read":  _ALL,
    "events:read":      _ALL,
    "approvals:read":   _ALL,
    "readings:read":    _ALL,
    "metrics:read":     _ALL,
    "artifacts:read":   _ALL,
    "jobs:write":       frozenset({OPERATOR}),
    "artifacts:write":  frozenset({OPERATOR}),
    "templates:write":  frozenset({OPERATOR}),
    "triggers:write":   frozenset({OPERATOR}),
    "approvals:write":  frozenset({APPROVER}),
    "agents:write":     _NONE,
    "claims:write":     _NONE,
    "tokens:read":      _NONE,
    "tokens:write":     _NONE,
    "audit:read":       _NONE,
}
"""Every scope there is, and the roles besides admin that have it."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token taken apart; the secret part is never stored."""

    token_id: str
    secret: str

    @property
    def text(self) -> str:
        """Return ``ost_<id>_<secret>_<crc32>``: secret scanners know it by prefix and checksum."""
        body = f"{_PREFIX}_{self.token_id}_{self.secret}"
        return f"{body}_{zlib.crc32(body.encode()):08x}"

    @property
    def secret_hash(self) -> bytes:
        """Return what is kept: a 256-bit secret needs no slow hash."""
        return hashlib.sha256(self.secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is from."""

    token_id: str
    name: str
    """The person or program; approvals tell by it who asked for a job."""
    scope: str
    """Roles and scopes, separated by commas."""
    limit: Selector | None = None
    """Only agents with such labels; None is no limit."""

    def may(self, scope: str) -> bool:
        """Tell whether this principal has a route's scope, ``resource:verb``."""
        return any(_covers(granted, scope) for granted in self.scope.split(","))

    def sees(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an agent with these labels is within its limit."""
        return self.limit is None or self.limit.matches(labels)


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as the database keeps it."""

    name: str
    secret_hash: bytes
    scope: str
    expires_ms: int
    revoked_ms: int | None
    selector: str = ""
    """Limits it to agents that match; empty is no limit."""


def make_token(entropy: bytes) -> Token:
    """Return a token made of 40 random bytes."""
    assert len(entropy) * 2 == _ID_CHARS + _SECRET_CHARS, "8 bytes of id, 32 of secret"
    text = entropy.hex()
    return Token(text[:_ID_CHARS], text[_ID_CHARS:])


def parse_token(text: str) -> Token | None:
    """Return a token taken apart, None when it is not one or its checksum is wrong.

    >>> parse_token(make_token(bytes(40)).text) == make_token(bytes(40))
    True
    """
    parts = text.split("_")
    if len(parts) != 4:
        return None
    token = Token(parts[1], parts[2])
    sized = len(token.token_id) == _ID_CHARS and len(token.secret) == _SECRET_CHARS
    return token if sized and text.isascii() and token.text == text else None


def judge_token(token: Token, known: KnownToken | None, now_ms: WallMs) -> Principal | None:
    """Return who a token stands for, None when it is unknown, wrong, revoked or over."""
    if known is None or not hmac.compare_digest(token.secret_hash, known.secret_hash):
        return None
    if known.revoked_ms is not None or now_ms >= known.expires_ms:
        return None
    limit = parse_selector(known.selector) if known.selector else None
    return Principal(token.token_id, known.name, known.scope, limit)


def check_scopes(scopes: Sequence[str]) -> str:
    """Return the text form of a token's roles and scopes.

    Raises:
        MistakeError: there are none, or one of them does not exist.

    >>> check_scopes(["viewer", "jobs:write"])
    'viewer,jobs:write'
    """
    if not 1 <= len(scopes) <= limits.TOKEN_SCOPES:
        raise MistakeError(
            f"a token has 1 to {limits.TOKEN_SCOPES} roles and scopes",
            where="scopes",
            mend=f"give {', '.join(ROLES)}, or scopes such as jobs:read",
        )
    for number, scope in enumerate(scopes):
        if scope not in SCOPES and scope not in ROLES:
            meant = nearest(scope, (*ROLES, *SCOPES))
            raise MistakeError(
                f"there is no role or scope {scope[:60]!r}",
                where=f"scopes[{number}]",
                mend=f"did you mean {meant}?" if meant else f"roles are {', '.join(ROLES)}",
            )
    return ",".join(scopes)


def exceeds(scopes: str, maker: Principal) -> str | None:
    """Return a role or scope that a new token would have and its maker has not, if any.

    >>> exceeds("viewer,admin", Principal("", "", "viewer"))
    'admin'
    """
    if ADMIN in scopes.split(",") and ADMIN not in maker.scope.split(","):
        return ADMIN
    wanted = Principal("", "", scopes)
    return next((one for one in SCOPES if wanted.may(one) and not maker.may(one)), None)


def _covers(granted: str, scope: str) -> bool:
    if granted == ADMIN:
        return True
    return granted == scope or granted in SCOPES.get(scope, _NONE)
