"""Images in MCUboot's format: header, body, TLVs, SHA-256 and Ed25519 signature.

Owns reading, checking and making one image. Leaves out slots and what is booted (`bootloader`).
Written from MCUboot's design document, "Image format"; all fields are little-endian.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEADER_BYTES = 32
MAGIC = 0x96F3B83D
NON_BOOTABLE = 0x10
_HEADER = struct.Struct("<IIHHIIBBHII")
"""Magic, load address, header size, protected TLV size, body size, flags, version, padding."""
_TLV_INFO = struct.Struct("<HH")
"""Magic and the length of the area, these four bytes included."""
_TLV = struct.Struct("<HH")
_TLV_MAGIC, _PROTECTED_MAGIC = 0x6907, 0x6908
_KEY_HASH, _SHA256, _ED25519, _SIGNATURE_IS_PURE = 0x01, 0x10, 0x24, 0x25
_TLVS = 32
"""More entries than this are no image; MCUboot's signer writes three to ten."""


class ImageFault(StrEnum):
    """Why bytes are no image that may be run."""

    NO_IMAGE = "no image"
    BAD_HEADER = "a header with impossible sizes"
    NO_TLVS = "no trailer behind the body: truncated, or never finished"
    BAD_TLV = "a trailer that does not add up"
    NO_HASH = "no SHA-256"
    TWO_HASHES = "more than one SHA-256"
    NOT_BOOTABLE = "marked as not bootable"
    WRONG_HASH = "a SHA-256 of something else"
    NO_SIGNATURE = "no Ed25519 signature"
    WRONG_SIGNATURE = "not signed by the key of this device"
    OLDER = "an older version than the one that runs"


class ImageError(Exception):
    """Bytes are no image that may be run."""

    def __init__(self, fault: ImageFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Version(NamedTuple):
    """Compared as MCUboot does: build number included."""

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    def __str__(self) -> str:
        """Return MAJOR.MINOR.REVISION, and .BUILD unless it is 0 (as MCUmgr's image group does)."""
        text = f"{self.major}.{self.minor}.{self.revision}"
        return f"{text}.{self.build}" if self.build else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image, read but not yet believed."""

    version: Version
    flags: int
    body: bytes
    covered: bytes
    """Header, body and protected TLVs: what the hash is of."""
    digest: bytes
    """The hash that its trailer claims; its name in every protocol."""
    signature: bytes | None
    pure: bool
    """Signed as a whole and not by its hash."""
    size: int
    """With all TLVs."""


def read_image(data: bytes) -> Image:
    """Return the image at the start of `data`.

    Raises:
        ImageError: there is none, or it cannot be followed to its end.
    """
    if len(data) < HEADER_BYTES:
        raise ImageError(ImageFault.NO_IMAGE)
    magic, _, header, protected, body, flags, *version, _ = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ImageError(ImageFault.NO_IMAGE)
    if header < HEADER_BYTES:
        raise ImageError(ImageFault.BAD_HEADER)
    covered = header + body + protected
    if covered + _TLV_INFO.size > len(data):
        raise ImageError(ImageFault.NO_TLVS)
    if protected:
        list(_entries(data, header + body, _PROTECTED_MAGIC, exactly=protected))
    size, found = _trailer(data, covered)
    return Image(
        version=Version(*version),
        flags=flags,
        body=data[header : header + body],
        covered=data[:covered],
        digest=found[_SHA256],
        signature=found.get(_ED25519),
        pure=_SIGNATURE_IS_PURE in found,
        size=size,
    )


def _trailer(data: bytes, at: int) -> tuple[int, dict[int, bytes]]:
    """Return where the image ends, and its unprotected TLVs."""
    found: dict[int, bytes] = {}
    for kind, value in _entries(data, at, _TLV_MAGIC):
        if kind == _SHA256 and kind in found:
            raise ImageError(ImageFault.TWO_HASHES)
        found[kind] = value
    if len(found.get(_SHA256, b"")) != sha256().digest_size:
        raise ImageError(ImageFault.NO_HASH)
    return at + _TLV_INFO.unpack_from(data, at)[1], found


def _entries(
    data: bytes, at: int, magic: int, *, exactly: int | None = None
) -> Iterator[tuple[int, bytes]]:
    found, total = _TLV_INFO.unpack_from(data, at)
    if found != magic:
        raise ImageError(ImageFault.NO_TLVS)
    end = at + total
    if end > len(data) or (exactly is not None and total != exactly):
        raise ImageError(ImageFault.BAD_TLV)
    at += _TLV_INFO.size
    for _ in range(_TLVS):
        if at == end:
            return
        if at + _TLV.size > end:
            break
        kind, size = _TLV.unpack_from(data, at)
        at += _TLV.size + size
        if at > end:
            break
        yield kind, data[at - size : at]
    raise ImageError(ImageFault.BAD_TLV)


def check_image(image: Image, key: Ed25519PublicKey) -> None:
    """Do what the bootloader does before it believes an image.

    Raises:
        ImageError: it is damaged, or somebody else's.
    """
    if image.flags & NON_BOOTABLE:
        raise ImageError(ImageFault.NOT_BOOTABLE)
    if sha256(image.covered).digest() != image.digest:
        raise ImageError(ImageFault.WRONG_HASH)
    if image.signature is None:
        raise ImageError(ImageFault.NO_SIGNATURE)
    try:
        key.verify(image.signature, image.covered if image.pure else image.digest)
    except InvalidSignature:
        raise ImageError(ImageFault.WRONG_SIGNATURE) from None


def make_image(body: bytes, version: Version, key: Ed25519PrivateKey) -> bytes:
    """Return a signed image, as MCUboot's own signer would make it."""
    covered = _HEADER.pack(MAGIC, 0, HEADER_BYTES, 0, len(body), 0, *version, 0) + body
    digest = sha256(covered).digest()
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    tlvs = b"".join(
        _TLV.pack(kind, len(value)) + value
        for kind, value in (
            (_SHA256, digest),
            (_KEY_HASH, sha256(public).digest()),
            (_ED25519, key.sign(digest)),
        )
    )
    return covered + _TLV_INFO.pack(_TLV_MAGIC, _TLV_INFO.size + len(tlvs)) + tlvs
