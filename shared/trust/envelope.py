"""Sign and verify opaque bytes: Ed25519 over the DSSE pre-authentication encoding.

``[1, typ, payload, [[key id, signature], ...]]`` in canonical msgpack. The payload stays opaque
until enough distinct keys verified it, and the verified bytes are what is decoded. Owns no
document: those stand beside this file, one noun each.

Source: DSSE protocol v1 (PAE), RFC 8032 (Ed25519).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.trust.sealed import receiving_key
from shared.wire.codec import pack, unpack

_VERSION = 1


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

    def receiving_key(self) -> X25519PrivateKey:
        """Return the key that opens what was sealed to this signer (`shared.trust.sealed`)."""
        return receiving_key(self._key.private_bytes_raw())


class _Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    typ: str
    payload: bytes
    signatures: list[tuple[bytes, bytes]]


def pre_authentication_encoding(typ: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE PAE): type and payload, each with its length."""
    kind = typ.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def document_hash(envelope: bytes) -> bytes:
    """Return sha256 over a whole envelope: how documents refer to each other."""
    return sha256(envelope).digest()


def seal(typ: str, payload: bytes, signers: Iterable[Signer]) -> bytes:
    """Return the envelope of `payload`, signed by each signer."""
    message = pre_authentication_encoding(typ, payload)
    signatures = [[key_id(signer.public_key), signer.sign(message)] for signer in signers]
    # What an `_Envelope` becomes, without looking through it for what says nothing.
    return pack([_VERSION, typ, payload, signatures])


def add_signature(data: bytes, signer: Signer, *, bound: int) -> bytes:
    """Return an envelope with one more signature: keys in different places sign in turn.

    A key that signed already signs afresh. Whether the other signatures are good is not judged.

    Raises:
        RefusedError: it is no envelope, or it is full.
    """
    envelope = _shape(data, bound)
    key = key_id(signer.public_key)
    message = pre_authentication_encoding(envelope.typ, envelope.payload)
    others = [entry for entry in envelope.signatures if entry[0] != key]
    if len(others) >= limits.SIGNATURES:
        raise RefusedError(Reason.BAD_SHAPE, "it holds as many signatures as it can")
    signatures = [*others, (key, signer.sign(message))]
    return pack(msgspec.structs.replace(envelope, signatures=signatures))


def open_envelope(
    data: bytes, *, typ: str, keys: Mapping[KeyId, bytes], threshold: int, bound: int
) -> bytes:
    """Return the payload once `threshold` distinct keys of `keys` signed it as `typ`.

    Signatures by keys that are not in `keys` are ignored: a document may carry some for others.

    Raises:
        RefusedError: with the reason of the first check that failed, in the documented order:
            length, shape, type, distinct key ids, threshold.
    """
    payload, signed = open_signed(data, typ=typ, keys=keys, bound=bound)
    if len(signed) < max(1, threshold):
        raise RefusedError(Reason.THRESHOLD_NOT_MET, f"{len(signed)} of {threshold}")
    return payload


def open_signed(
    data: bytes, *, typ: str, keys: Mapping[KeyId, bytes], bound: int
) -> tuple[bytes, frozenset[KeyId]]:
    """Return the payload and which keys of `keys` signed it as `typ`; possibly none did.

    Raises:
        RefusedError: length, shape, type or distinct key ids, in that order.
    """
    envelope = _shape(data, bound)
    _check_type(envelope, typ)
    _check_distinct(envelope)
    message = pre_authentication_encoding(envelope.typ, envelope.payload)
    signed = frozenset(
        KeyId(key)
        for key, signature in envelope.signatures
        if (public := keys.get(KeyId(key))) is not None and _verifies(public, signature, message)
    )
    return envelope.payload, signed


@dataclass(frozen=True, slots=True)
class Shaped:
    """An envelope whose form was checked, and nothing else: its payload proves nothing yet."""

    typ: str
    payload: bytes
    signatures: tuple[tuple[bytes, bytes], ...]


def read_shape(data: bytes, *, typ: str, bound: int) -> Shaped:
    """Return an envelope that claims to be of a type; `is_signed` says whether it may be believed.

    Raises:
        RefusedError: length, shape, type or distinct key ids, in that order.
    """
    envelope = _shape(data, bound)
    _check_type(envelope, typ)
    _check_distinct(envelope)
    return Shaped(envelope.typ, envelope.payload, tuple(envelope.signatures))


def is_signed(envelope: Shaped, *, typ: str, public_key: bytes) -> bool:
    """Tell whether one key signed the payload as `typ`."""
    if envelope.typ != typ:
        return False
    message = pre_authentication_encoding(typ, envelope.payload)
    key = key_id(public_key)
    return any(
        signer == key and _verifies(public_key, signature, message)
        for signer, signature in envelope.signatures
    )


def peek_payload(data: bytes, *, bound: int) -> bytes:
    """Return the payload without verifying it, only to find out whose key must verify it."""
    return _shape(data, bound).payload


def peek_type(data: bytes, *, bound: int) -> str:
    """Return the type that an envelope claims; `open_envelope` must be asked for the same."""
    return _shape(data, bound).typ


def _shape(data: bytes, bound: int) -> _Envelope:
    if len(data) > bound:
        raise RefusedError(Reason.TOO_LONG, f"{len(data)} bytes, at most {bound}")
    try:
        envelope = unpack(data, _Envelope, bound=bound, items=limits.ENVELOPE_ITEMS)
    except RefusedError as error:
        raise RefusedError(Reason.BAD_SHAPE, str(error)) from None
    if envelope.version != _VERSION:
        raise RefusedError(Reason.BAD_SHAPE, f"version {envelope.version}")
    return envelope


def _check_type(envelope: _Envelope, typ: str) -> None:
    if envelope.typ != typ:
        raise RefusedError(Reason.WRONG_TYPE, f"{envelope.typ[:40]!r} came in for {typ!r}")


def _check_distinct(envelope: _Envelope) -> None:
    ids = [key for key, _ in envelope.signatures]
    if len(set(ids)) != len(ids):
        raise RefusedError(Reason.DUPLICATE_KEY_ID)


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
