"""An agent's request for a file that one of its jobs names, signed by its own key.

Owns the document and its text form in an HTTP header. It is bound to one fleet, agent and file and
good for a while: whoever sees one could have read that file anyway, and for no longer. Leaves out
which jobs name what (`coordinator.transactions.artifacts`).
"""

import base64
import binascii
from typing import Final

import msgspec

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import key_id
from shared.trust.envelope import Signer, open_envelope, peek_payload, seal
from shared.wire.codec import pack, unpack

FETCH_TYP: Final = "fetch/1"
SCHEME: Final = "Outstation"
"""Of the Authorization header (RFC 9110 section 11.6.2) that carries it."""
_DIGEST_BYTES: Final = 32


class Fetch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """This agent wants this file now."""

    fleet: bytes
    agent: str
    artifact: bytes
    """sha256 of the file."""
    at_ms: int
    """When, by the time that the coordinator's replies told."""


def fetch_header(fetch: Fetch, signer: Signer) -> str:
    """Return the value of the header that asks for a file."""
    envelope = seal(FETCH_TYP, pack(fetch), [signer])
    return f"{SCHEME} {base64.urlsafe_b64encode(envelope).rstrip(b'=').decode()}"


def read_header(text: str) -> bytes:
    """Return the signed request in a header.

    Raises:
        RefusedError: there is none.
    """
    scheme, _, coded = text.partition(" ")
    if scheme.lower() != SCHEME.lower() or len(coded) > limits.FETCH_BYTES * 2:
        raise RefusedError(Reason.BAD_SHAPE, "send a signed request for the file")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(Reason.BAD_SHAPE, "the signed request cannot be read") from None


def claimed_fetcher(data: bytes) -> str:
    """Return the agent that a request says it is from, to find the key that must verify it."""
    payload = peek_payload(data, bound=limits.FETCH_BYTES)
    return unpack(payload, Fetch, bound=limits.FETCH_BYTES).agent


def open_fetch(data: bytes, public_key: bytes, *, now_ms: WallMs) -> Fetch:
    """Return a request that this key signed not long ago.

    Raises:
        RefusedError: the first check that failed; NOT_YET_VALID or EXPIRED for its time.
    """
    payload = open_envelope(
        data,
        typ=FETCH_TYP,
        keys={key_id(public_key): public_key},
        threshold=1,
        bound=limits.FETCH_BYTES,
    )
    fetch = unpack(payload, Fetch, bound=limits.FETCH_BYTES)
    if len(fetch.artifact) != _DIGEST_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "a file is named by 32 bytes")
    if fetch.at_ms > now_ms + limits.FETCH_MS:
        raise RefusedError(Reason.NOT_YET_VALID, "it is from the future")
    if fetch.at_ms < now_ms - limits.FETCH_MS:
        raise RefusedError(Reason.EXPIRED, "it was signed too long ago")
    return fetch
