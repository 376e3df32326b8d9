"""Sign and verify opaque bytes: Ed25519 over the DSSE pre-authentication encoding.

``[1, typ, payload, [[key id, signature], ...]]`` in canonical msgpack. The payload stays opaque
until enough distinct keys verified it, and the verified bytes are what is decoded. Owns no
document: those stand in `shared.trust.documents`.

Source: DSSE protocol v1 (PAE), RFC 8032 (Ed25519).
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.wire.codec import pack, unpack

_VERSION = 1
_SIGNATURE_BYTES = 64


class Signer(Protocol):
    """Whoever can sign: a key file, later a KMS or a token."""

    @property
    def public_key(self) -> bytes:
        """Return the 32 bytes of the public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature over `message`."""


class KeySigner:
    """A signer over an Ed25519 seed held in memory."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Take 32 secret bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`."""
        return self._key.sign(message)


class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    typ: str
    payload: bytes
    signatures: list[tuple[bytes, bytes]]


def pre_authentication_encoding(typ: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE PAE): type and payload, each with its length."""
    kind = typ.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(typ: str, payload: bytes, signers: Iterable[Signer]) -> bytes:
    """Return the envelope of `payload`, signed by each signer."""
    message = pre_authentication_encoding(typ, payload)
    signatures: list[tuple[bytes, bytes]] = [
        (key_id(signer.public_key), signer.sign(message)) for signer in signers
    ]
    return pack(_Envelope(_VERSION, typ, payload, signatures))


def open_envelope(
    data: bytes, *, typ: str, keys: Mapping[KeyId, bytes], threshold: int, bound: int
) -> bytes:
    """Return the payload once `threshold` distinct keys of `keys` signed it as `typ`.

    Signatures by keys that are not in `keys` are ignored: a document may carry some for others.

    Raises:
        RefusedError: with the reason of the first check that failed, in the documented order:
            length, shape, type, distinct key ids, threshold.
    """
    envelope = _shape(data, bound)
    if envelope.typ != typ:
        raise RefusedError(Reason.WRONG_TYPE, f"{envelope.typ[:40]!r} came in for {typ!r}")
    ids = [key for key, _ in envelope.signatures]
    if len(set(ids)) != len(ids):
        raise RefusedError(Reason.DUPLICATE_KEY_ID)
    message = pre_authentication_encoding(envelope.typ, envelope.payload)
    good = sum(
        1
        for key, signature in envelope.signatures
        if (public := keys.get(KeyId(key))) is not None and _verifies(public, signature, message)
    )
    if good < threshold:
        raise RefusedError(Reason.THRESHOLD_NOT_MET, f"{good} of {threshold}")
    return envelope.payload


def peek_payload(data: bytes, *, bound: int) -> bytes:
    """Return the payload without verifying it, only to find out whose key must verify it."""
    return _shape(data, bound).payload


def _shape(data: bytes, bound: int) -> _Envelope:
    if len(data) > bound:
        raise RefusedError(Reason.TOO_LONG, f"{len(data)} bytes, at most {bound}")
    try:
        envelope = unpack(data, _Envelope, bound=bound)
    except RefusedError as error:
        raise RefusedError(Reason.BAD_SHAPE, str(error)) from None
    if envelope.version != _VERSION or len(envelope.signatures) > limits.SIGNATURES:
        raise RefusedError(Reason.BAD_SHAPE)
    return envelope


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
