"""Images whose trailers are written entry by entry, as no signer would."""

import struct
from collections.abc import Callable
from hashlib import sha256, sha512

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.smp_parts import KEY

KEY_HASH, WHOLE_KEY, SHA256, SHA512, ED25519, PURE = 0x01, 0x02, 0x10, 0x12, 0x24, 0x25
Entry = tuple[int, bytes]
How = tuple[int, Callable[[bytes], bytes]]
SHORT: How = (SHA256, lambda data: sha256(data).digest())
LONG: How = (SHA512, lambda data: sha512(data).digest())
"""Which hash names images and keys: the type of its entry, and how it is made."""


def der(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def named(key: Ed25519PrivateKey = KEY, how: How = SHORT) -> Entry:
    """The name of a key."""
    return KEY_HASH, how[1](der(key))


def area(magic: int, entries: list[Entry]) -> bytes:
    data = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in entries)
    return struct.pack("<HH", magic, len(data) + 4) + data


def covered(*protected: Entry, body: bytes = b"firmware\0" * 30, flags: int = 0) -> bytes:
    """What is signed: header, body and protected entries."""
    tail = area(0x6908, list(protected)) if protected else b""
    head = struct.pack(
        "<IIHHIIBBHII", 0x96F3B83D, 0, 32, len(tail), len(body), flags, 2, 0, 0, 0, 0
    )
    return head + body + tail


def hashed(signed: bytes, how: How = SHORT) -> Entry:
    return how[0], how[1](signed)


def signature(
    signed: bytes, key: Ed25519PrivateKey = KEY, *, whole: bool = False, how: How = SHORT
) -> Entry:
    return ED25519, key.sign(signed if whole else how[1](signed))


def trailed(signed: bytes, *entries: Entry) -> bytes:
    """An image with just these entries behind what is signed."""
    return signed + area(0x6907, list(entries))
