"""Images in MCUboot's format: header, body, TLVs, hash and Ed25519 signature.

Owns reading, checking and making one image. Leaves out slots and what is booted (`bootloader`).
Written from MCUboot's design document, "Image format", and from what bootutil's
`bootutil_img_validate` does with the entries of a trailer; all fields are little-endian.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256, sha512
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
_KEY_HASH, _WHOLE_KEY, _SHA256, _SHA512 = 0x01, 0x02, 0x10, 0x12
_ED25519, _SIGNATURE_IS_PURE = 0x24, 0x25
_ALLOWED = frozenset({0x01, 0x02, *range(0x10, 0x13), *range(0x20, 0x25), *range(0x30, 0x35)})
"""Outside of what is signed: names of keys, hashes, signatures, encrypted keys."""
_SIGNATURE_BYTES = 64
_WHOLE_KEY_BYTES = _SIGNATURE_BYTES + 24
_TLVS = 64
"""More entries than this are no image; MCUboot's signer writes three to ten."""


class ImageFault(StrEnum):
    """Why bytes are no image that may be run."""

    NO_IMAGE = "no image"
    BAD_HEADER = "a header with impossible sizes"
    NO_TLVS = "no trailer behind the body: truncated, or never finished"
    BAD_TLV = "a trailer that does not add up"
    NO_HASH = "no hash of the kind that this device wants"
    TWO_HASHES = "more than one hash of a kind"
    NOT_BOOTABLE = "marked as not bootable"
    WRONG_HASH = "a hash of something else"
    STRANGE_TLV = "an unsigned entry in its trailer that none may hold"
    BAD_NAME = "a key's name that is longer than names are"
    NO_SIGNATURE = "no Ed25519 signature behind the name of this device's key"
    BAD_SIGNATURE = "a signature with a length that none has"
    WRONG_SIGNATURE = "not signed by the key of this device"
    NOT_PURE = "signed by its hash and not as a whole"
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
class Build:
    """How a bootloader was compiled, as far as it decides what is believed."""

    pure: bool = False
    """Signatures are of the whole (MCUBOOT_SIGN_PURE), not of the hash."""
    whole_key: bool = False
    """An image brings its key along (MCUBOOT_HW_KEY), not the key's hash."""
    sha512: bool = False
    """Images and keys are known by their SHA-512 (MCUBOOT_SHA512), not their SHA-256."""

    @property
    def hash_kind(self) -> int:
        """Return the type of the entry with an image's hash."""
        return _SHA512 if self.sha512 else _SHA256

    def hash_of(self, data: bytes) -> bytes:
        """Return the hash of something."""
        return (sha512 if self.sha512 else sha256)(data).digest()


USUAL = Build()


class Tlv(NamedTuple):
    """An entry behind the body."""

    kind: int
    value: bytes
    protected: bool


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
    tlvs: tuple[Tlv, ...]
    """Protected ones first."""
    size: int
    """With all TLVs."""


def read_image(data: bytes, build: Build = USUAL) -> Image:
    """Return the image at the start of `data`.

    Args:
        data: what stands in a slot.
        build: says which hash is its name; others are passed over.

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
    tlvs: list[Tlv] = []
    if protected:
        tlvs += _entries(data, header + body, _PROTECTED_MAGIC, exactly=protected)
    size, digest, plain = _trailer(data, covered, build)
    return Image(
        version=Version(*version),
        flags=flags,
        body=data[header : header + body],
        covered=data[:covered],
        digest=digest,
        tlvs=(*tlvs, *plain),
        size=size,
    )


def _trailer(data: bytes, at: int, build: Build) -> tuple[int, bytes, list[Tlv]]:
    """Return where the image ends, its hash, and its unprotected TLVs."""
    found = list(_entries(data, at, _TLV_MAGIC))
    hashes = [one.value for one in found if one.kind == build.hash_kind]
    if len(hashes) > 1:
        raise ImageError(ImageFault.TWO_HASHES)
    if not hashes or len(hashes[0]) != len(build.hash_of(b"")):
        raise ImageError(ImageFault.NO_HASH)
    return at + _TLV_INFO.unpack_from(data, at)[1], hashes[0], found


def _entries(data: bytes, at: int, magic: int, *, exactly: int | None = None) -> Iterator[Tlv]:
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
        yield Tlv(kind, data[at - size : at], magic == _PROTECTED_MAGIC)
    raise ImageError(ImageFault.BAD_TLV)


def check_image(image: Image, key: Ed25519PublicKey, build: Build = USUAL) -> None:
    """Do what the bootloader does before it believes an image.

    Its entries are gone through in their order. A signature counts behind an entry that names the
    key of this device; others are passed over. The last one that counts decides.

    Raises:
        ImageError: it is damaged, or somebody else's.
    """
    if image.flags & NON_BOOTABLE:
        raise ImageError(ImageFault.NOT_BOOTABLE)
    pures = (one.value for one in image.tlvs if one.kind == _SIGNATURE_IS_PURE)
    if build.pure and next(pures, b"") != b"\x01":
        raise ImageError(ImageFault.NOT_PURE)
    digest = build.hash_of(image.covered)
    signed = image.covered if build.pure else digest
    naming = _WHOLE_KEY if build.whole_key else _KEY_HASH
    named, good = False, None
    for one in image.tlvs:
        allowed = one.kind in _ALLOWED or (build.pure and one.kind == _SIGNATURE_IS_PURE)
        if not one.protected and not allowed:
            raise ImageError(ImageFault.STRANGE_TLV)
        if one.kind == build.hash_kind and not build.pure and one.value != digest:
            raise ImageError(ImageFault.WRONG_HASH)
        if one.kind == naming:
            named = _names(one.value, key, build)
        elif one.kind == _ED25519 and named:
            good, named = _fits(one.value, key, signed), False
    if good is None:
        raise ImageError(ImageFault.NO_SIGNATURE)
    if not good:
        raise ImageError(ImageFault.WRONG_SIGNATURE)


def _names(value: bytes, key: Ed25519PublicKey, build: Build) -> bool:
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = build.hash_of(public)
    if len(value) > (_WHOLE_KEY_BYTES if build.whole_key else len(digest)):
        raise ImageError(ImageFault.BAD_NAME)
    # bootutil_find_key compares as many bytes as the entry holds, be they few.
    return value == public if build.whole_key else digest.startswith(value)


def _fits(signature: bytes, key: Ed25519PublicKey, signed: bytes) -> bool:
    if len(signature) != _SIGNATURE_BYTES:
        raise ImageError(ImageFault.BAD_SIGNATURE)
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def make_image(
    body: bytes, version: Version, key: Ed25519PrivateKey, build: Build = USUAL
) -> bytes:
    """Return an image signed for such a bootloader, as MCUboot's own signer would make it."""
    covered = _HEADER.pack(MAGIC, 0, HEADER_BYTES, 0, len(body), 0, *version, 0) + body
    digest = build.hash_of(covered)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    named = (_WHOLE_KEY, public) if build.whole_key else (_KEY_HASH, build.hash_of(public))
    tlvs = b"".join(
        _TLV.pack(kind, len(value)) + value
        for kind, value in (
            (build.hash_kind, digest),
            *(((_SIGNATURE_IS_PURE, b"\x01"),) if build.pure else ()),
            named,
            (_ED25519, key.sign(covered if build.pure else digest)),
        )
    )
    return covered + _TLV_INFO.pack(_TLV_MAGIC, _TLV_INFO.size + len(tlvs)) + tlvs
