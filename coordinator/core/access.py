"""Who may do what over REST: the text form of tokens, and the scopes they carry."""

import hashlib
import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from shared.clock import WallMs

_PREFIX = "ost"
_ID_CHARS = 16
_SECRET_CHARS = 64

SCOPES: Mapping[str, frozenset[str]] = {
    "admin": frozenset({"read", "write"}),
    "viewer": frozenset({"read"}),
}
"""Verbs each scope of a token allows; routes ask for ``resource:verb``."""


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
    scope: str

    def may(self, scope: str) -> bool:
        """Tell whether this principal has a route's scope, ``resource:verb``."""
        return scope.partition(":")[2] in SCOPES.get(self.scope, frozenset())


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token as the database keeps it."""

    name: str
    secret_hash: bytes
    scope: str
    expires_ms: int
    revoked_ms: int | None


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
    return Principal(token.token_id, known.name, known.scope)
