"""Images in MCUboot's format, read: what an image says of itself.

Owns the one reader on our side of the wire, for whoever installs an image and for whoever lists
files (MCUboot design document, "Image format"; all fields are little-endian). Believes nothing and
judges nothing: that is done where an image is installed (`agent.core.firmware_image`).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
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
    ED25519 = 0x24
    SIGNED_WHOLE = 0x25


_LONGER_HASHES: Final = frozenset({0x11, 0x12})
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
    """sha256 by which a device knows it, in hex; empty: there is none."""
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
    return ImageTrailer(found.get(Kind.SHA256, b"").hex(), not _SIGNATURES.isdisjoint(found))


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
    plain = [one for one in tlvs if not one.protected]
    hashes = [one.value for one in plain if one.kind == Kind.SHA256]
    if not hashes and any(one.kind in _LONGER_HASHES for one in plain):
        raise _refused("it is known by its SHA-384 or SHA-512, here only SHA-256 will do")
    if len(hashes) != 1 or len(hashes[0]) != sha256().digest_size:
        raise _refused("its trailer does not hold one SHA-256")
    return FirmwareImage(
        version=header.version,
        flags=header.flags,
        covered=data[:covered],
        digest=hashes[0],
        tlvs=tuple(tlvs),
    )


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
