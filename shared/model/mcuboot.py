"""Images in MCUboot's format, read: what an image says of itself.

Owns the one reader on our side of the wire, for whoever installs an image and for whoever lists
files (MCUboot design document, "Image format"; all fields are little-endian). Believes nothing and
judges nothing: that is done where an image is installed (`agent.core.firmware_image`).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from shared import limits
from shared.errors import Reason, RefusedError

HEADER_BYTES: Final = 32
TRAILER_BYTES: Final = 4_096
"""Of a trailer that is looked at in a list; real ones have some hundred bytes."""
NON_BOOTABLE: Final = 0x10
"""Flag: nothing that can be run by itself."""
_MAGIC: Final = 0x96F3B83D
_HEADER: Final = struct.Struct("<IIHHIIBBHII")
"""Magic, load address, header size, protected TLV size, body size, flags, version, padding."""
_INFO: Final = struct.Struct("<HH")
"""Magic and length of an area of TLVs, these four bytes included; and head of one TLV."""
_PLAIN, _PROTECTED = 0x6907, 0x6908


class Kind(IntEnum):
    """Types of entries that are looked at (``IMAGE_TLV_*`` in bootutil's image.h)."""

    KEY_HASH = 0x01
    WHOLE_KEY = 0x02
    SHA256 = 0x10
    SHA512 = 0x12
    ED25519 = 0x24
    SIGNED_WHOLE = 0x25


_HASH_BYTES: Final = {Kind.SHA256: 32, Kind.SHA512: 64}
"""Of the kinds of hashes that an image with an Ed25519 signature is known by."""
_SIGNATURES: Final = frozenset({0x20, 0x21, 0x22, 0x23, Kind.ED25519})
"""RSA-2048, ECDSA-224, ECDSA-256, RSA-3072, Ed25519."""


class Version(NamedTuple):
    """Compared as MCUboot does, build number included."""

    major: int
    minor: int = 0
    revision: int = 0
    build: int = 0

    def __str__(self) -> str:
        """Return MAJOR.MINOR.REVISION, and .BUILD unless it is 0, as MCUmgr shows it."""
        text = f"{self.major}.{self.minor}.{self.revision}"
        return f"{text}.{self.build}" if self.build else text


class Tlv(NamedTuple):
    """One entry behind the body."""

    kind: int
    value: bytes
    protected: bool
    """The hash covers it."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The first 32 bytes."""

    version: Version
    flags: int
    header_size: int
    image_size: int
    """Bytes behind the header."""
    protected_size: int
    """Of the entries that the hash covers, their head included; 0: there are none."""

    @property
    def trailer_at(self) -> int:
        """Return where the hash and the signature begin: behind all that is hashed."""
        return self.header_size + self.image_size + self.protected_size


@dataclass(frozen=True, slots=True)
class ImageTrailer:
    """What stands behind an image."""

    hash: str
    """By which a device knows it, SHA-256 or SHA-512, in hex; empty: there is none."""
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareImage:
    """A whole image, read but not yet believed."""

    version: Version
    flags: int
    covered: bytes
    """Header, body and protected entries: what the hash is of."""
    digest: bytes
    """The hash in its trailer: its name in every protocol."""
    hashed_by: Kind
    """SHA256, or SHA512 for bootloaders built with ``MCUBOOT_SHA512``."""
    tlvs: tuple[Tlv, ...]
    """In their order, which MCUboot heeds; protected ones first."""


def parse_version(text: str) -> Version | None:
    """Return the version that a text says, None when it says none.

    >>> print(parse_version("1.2.3"), parse_version("1.2.3+4"), parse_version("1.2.x"))
    1.2.3 1.2.3.4 None
    """
    parts = text.replace("+", ".").split(".")
    if not 1 <= len(parts) <= 4 or not all(p.isascii() and p.isdecimal() for p in parts):
        return None
    return Version(*map(int, parts)) if max(map(len, parts)) <= 10 else None


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of an image, None where `data` begins none."""
    if len(data) < HEADER_BYTES:
        return None
    magic, _, header, protected, body, flags, *version, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC or header < HEADER_BYTES:
        return None
    return ImageHeader(Version(*version), flags, header, body, protected)


def read_trailer(data: bytes) -> ImageTrailer:
    """Return what a trailer says, as far as it is one."""
    found: dict[int, bytes] = {}
    try:
        for entry in _entries(data, 0, _PLAIN):
            found[entry.kind] = entry.value
    except RefusedError:
        pass  # what came before is shown; an installer refuses the whole
    digest = found.get(Kind.SHA256) or found.get(Kind.SHA512, b"")
    return ImageTrailer(digest.hex(), not _SIGNATURES.isdisjoint(found))


def read_image(data: bytes) -> FirmwareImage:
    """Return the image that `data` is, and nothing but it.

    Raises:
        RefusedError: FIRMWARE_REFUSED with a sentence.
    """
    if len(data) < HEADER_BYTES or _HEADER.unpack_from(data)[0] != _MAGIC:
        raise _refused("it is no MCUboot image")
    header = read_header(data)
    if header is None:
        raise _refused("its header has impossible sizes")
    covered = header.trailer_at
    if covered + _INFO.size > len(data):
        raise _refused(f"it is cut off: {len(data)} bytes of at least {covered + _INFO.size}")
    tlvs: list[Tlv] = []
    if header.protected_size:
        start = covered - header.protected_size
        tlvs += _entries(data, start, _PROTECTED, exactly=header.protected_size)
    tlvs += _entries(data, covered, _PLAIN)
    if covered + _INFO.unpack_from(data, covered)[1] != len(data):
        raise _refused("something follows its end")
    name = _name(tlvs)
    return FirmwareImage(
        version=header.version,
        flags=header.flags,
        covered=data[:covered],
        digest=name.value,
        hashed_by=Kind(name.kind),
        tlvs=tuple(tlvs),
    )


def _name(tlvs: list[Tlv]) -> Tlv:
    """Return the entry with the hash that is the image's name."""
    hashes = [one for one in tlvs if not one.protected and one.kind in _HASH_BYTES]
    if len(hashes) != 1 or len(hashes[0].value) != _HASH_BYTES[Kind(hashes[0].kind)]:
        raise _refused("its trailer does not hold one SHA-256 or SHA-512")
    return hashes[0]


def _entries(data: bytes, at: int, magic: int, *, exactly: int | None = None) -> Iterator[Tlv]:
    if at + _INFO.size > len(data) or _INFO.unpack_from(data, at)[0] != magic:
        raise _refused("there is no trailer behind its body: cut off, or never finished")
    total = _INFO.unpack_from(data, at)[1]
    if exactly is not None and total != exactly:
        raise _refused("its trailer does not add up")
    end, at = at + total, at + _INFO.size
    for _ in range(limits.FIRMWARE_TLVS):
        if at == end:
            return
        if at + _INFO.size > end:
            break
        if at + _INFO.size > len(data):
            raise _refused(f"it is cut off: {len(data)} bytes of {end}")
        kind, size = _INFO.unpack_from(data, at)
        at += _INFO.size + size
        if at > end:
            break
        if at > len(data):
            raise _refused(f"it is cut off: {len(data)} bytes of {end}")
        yield Tlv(kind, data[at - size : at], magic == _PROTECTED)
    raise _refused("its trailer does not add up")


def _refused(what: str) -> RefusedError:
    return RefusedError(Reason.FIRMWARE_REFUSED, what)
