"""Sealing to one receiver: HPKE with X25519, HKDF-SHA256 and ChaCha20-Poly1305.

Anybody can seal to a public key, so a seal says nothing about who made it: signatures inside do.
Owns the one suite, and how an agent's signing key also receives. Leaves out what is sealed and
where it travels (`shared.sync.stick`).

An agent has one key: the Edwards curve of Ed25519 and the Montgomery curve of X25519 are the same
group in two forms (RFC 7748, 4.1), so its public key tells everybody what to seal to, and nothing
more has to be enrolled, stored or rotated. That one scalar may do both is shown for this very
pair of schemes in E. Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM".

Source: RFC 9180 (HPKE), base mode, single shot.
"""

from hashlib import sha512
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from shared.errors import Reason, RefusedError

SEAL_BYTES: Final = 48
"""What a seal adds: the ephemeral key and the tag."""
KEY_BYTES: Final = 32
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_PRIME: Final = 2**255 - 19


def seal_to(public_key: bytes, data: bytes, *, info: bytes) -> bytes:
    """Return `data` so that only who has the private key of `public_key` can read it.

    `info` is not part of the result; who opens it has to know the same.
    """
    return _SUITE.encrypt(data, X25519PublicKey.from_public_bytes(public_key), info)


def open_sealed(key: X25519PrivateKey, data: bytes, *, info: bytes) -> bytes:
    """Return what was sealed to this key under this `info`.

    Raises:
        RefusedError: SEAL_BROKEN: sealed to another key, or altered on its way.
    """
    if len(data) < SEAL_BYTES:
        raise RefusedError(Reason.SEAL_BROKEN, "it is too short")
    try:
        return _SUITE.decrypt(data, key, info)
    except (InvalidTag, ValueError):
        raise RefusedError(Reason.SEAL_BROKEN, "it is for another key, or was altered") from None


def receiving_key(seed: bytes) -> X25519PrivateKey:
    """Return the key that opens what was sealed to the owner of an Ed25519 seed."""
    return X25519PrivateKey.from_private_bytes(sha512(seed).digest()[:KEY_BYTES])


def receiving_public(signing_public: bytes) -> bytes:
    """Return what to seal to, for the owner of an Ed25519 public key (RFC 7748, 4.1).

    Raises:
        RefusedError: SEAL_BROKEN: no point of the curve has this form.
    """
    y = int.from_bytes(signing_public, "little") & (1 << 255) - 1
    if len(signing_public) != KEY_BYTES or y >= _PRIME or y in {0, 1, _PRIME - 1}:
        raise RefusedError(Reason.SEAL_BROKEN, "it is no key of an agent")
    u = (1 + y) * pow(1 - y, -1, _PRIME) % _PRIME
    return u.to_bytes(KEY_BYTES, "little")
