"""Page tokens: where a list goes on, opaque to clients, recognisable to us.

A token is the last key of its page plus eight bytes of HMAC, bound to the list and its filter: one
from another list, another fleet or somebody's guess is refused instead of misread.
"""

import base64
import binascii
import hmac
from hashlib import sha256

from coordinator.api.problems import Kind, ProblemError

_MAC_BYTES = 8


def page_token(key: bytes, *, scope: str, secret: bytes) -> str:
    """Return the token of the page that begins after `key` in the list `scope`."""
    return base64.urlsafe_b64encode(_mac(key, scope, secret) + key).decode().rstrip("=")


def read_page_token(token: str, *, scope: str, secret: bytes) -> bytes:
    """Return the key that a token of ours carries; empty for the first page.

    Raises:
        ProblemError: INVALID at ``query.page_token``.
    """
    if not token:
        return b""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    mac, key = data[:_MAC_BYTES], data[_MAC_BYTES:]
    if not key or not hmac.compare_digest(mac, _mac(key, scope, secret)):
        raise ProblemError(
            Kind.INVALID, "it is not a page token of this list", at="query.page_token"
        )
    return key


def _mac(key: bytes, scope: str, secret: bytes) -> bytes:
    return hmac.digest(secret, scope.encode() + b"\0" + key, sha256)[:_MAC_BYTES]
