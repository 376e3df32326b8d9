"""What a firmware image in MCUboot's format says of itself, for whoever lists files.

Owns reading a header and a trailer from two short pieces of a file (MCUboot design document, "Image
format"; little-endian). Believes everything: whether an image is good is judged where it is
installed (`agent.core.firmware_image`).
"""

import struct
from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 32
TRAILER_BYTES: Final = 4_096
"""Of a trailer that is looked at; real ones have some hundred bytes."""
_MAGIC: Final = 0x96F3B83D
_HEADER: Final = struct.Struct("<IIHHIIBBHII")
_INFO: Final = struct.Struct("<HH")
_PLAIN: Final = 0x6907
_SHA256: Final = 0x10
_SIGNATURES: Final = frozenset({0x20, 0x21, 0x22, 0x23, 0x24})
"""RSA-2048, ECDSA-224, ECDSA-256, RSA-3072, Ed25519."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The first 32 bytes."""

    version: str
    """``1.2.3``, with ``.4`` where the build number is not 0."""
    image_size: int
    """Bytes behind the header."""
    trailer_at: int
    """Where the hash and the signature begin."""


@dataclass(frozen=True, slots=True)
class ImageTrailer:
    """What stands behind an image."""

    hash: str
    """sha256 by which a device knows it, in hex; empty: there is none."""
    signed: bool


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of an image, None where `data` begins none."""
    if len(data) < HEADER_BYTES:
        return None
    magic, _, header, protected, body, _, major, minor, revision, build, _ = _HEADER.unpack_from(
        data
    )
    if magic != _MAGIC or header < HEADER_BYTES:
        return None
    version = f"{major}.{minor}.{revision}" + (f".{build}" if build else "")
    return ImageHeader(version, body, header + body + protected)


def read_trailer(data: bytes) -> ImageTrailer:
    """Return what a trailer says, as far as it is one."""
    found: dict[int, bytes] = {}
    if len(data) >= _INFO.size:
        magic, total = _INFO.unpack_from(data)
        end, at = min(total, len(data)), _INFO.size
        while magic == _PLAIN and at + _INFO.size <= end:
            kind, size = _INFO.unpack_from(data, at)
            at += _INFO.size
            if at + size > end:
                break
            found[kind] = data[at : at + size]
            at += size
    return ImageTrailer(found.get(_SHA256, b"").hex(), not _SIGNATURES.isdisjoint(found))
