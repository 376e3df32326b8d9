"""An image in MCUboot's format, judged before a device is touched.

Owns what MCUboot's bootloader will check, and the sentences for people: header, version, hash,
signature (MCUboot design document, "Image format"; all fields are little-endian). Leaves out where
the bytes come from and where they go.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared import limits
from shared.errors import Reason, RefusedError

_MAGIC: Final = 0x96F3B83D
_HEADER: Final = struct.Struct("<IIHHIIBBHII")
"""Magic, load address, header size, protected TLV size, body size, flags, version, padding."""
_INFO: Final = struct.Struct("<HH")
"""Magic and length of an area of TLVs, these four bytes included; and head of one TLV."""
_PLAIN, _PROTECTED = 0x6907, 0x6908
_SHA256, _ED25519, _PURE = 0x10, 0x24, 0x25
_NON_BOOTABLE = 0x10


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareImage:
    """What an image says of itself; `read_image` believes nothing, `check_image` does."""

    version: Version
    flags: int
    covered: bytes
    """Header, body and protected TLVs: what the hash is of."""
    digest: bytes
    """The hash in its trailer: its name in every protocol."""
    signature: bytes | None
    pure: bool
    """Signed as a whole and not by its hash."""


def parse_version(text: str) -> Version | None:
    """Return the version that a text says, None when it says none.

    >>> print(parse_version("1.2.3"), parse_version("1.2.3+4"), parse_version("1.2.x"))
    1.2.3 1.2.3.4 None
    """
    parts = text.replace("+", ".").split(".")
    if not 1 <= len(parts) <= 4 or not all(p.isascii() and p.isdecimal() for p in parts):
        return None
    return Version(*map(int, parts)) if max(map(len, parts)) <= 10 else None


def read_image(data: bytes) -> FirmwareImage:
    """Return the image that `data` is, and nothing but it.

    Raises:
        RefusedError: FIRMWARE_REFUSED with a sentence.
    """
    if len(data) < _HEADER.size or _HEADER.unpack_from(data)[0] != _MAGIC:
        raise _refused("it is no MCUboot image")
    _, _, header, protected, body, flags, *version, _ = _HEADER.unpack_from(data)
    covered = header + body + protected
    if header < _HEADER.size:
        raise _refused("its header has impossible sizes")
    if covered + _INFO.size > len(data):
        raise _refused(f"it is cut off: {len(data)} bytes of at least {covered + _INFO.size}")
    entries: list[tuple[int, bytes]] = []
    if protected:
        entries += _entries(data, header + body, _PROTECTED, exactly=protected)
    unprotected = list(_entries(data, covered, _PLAIN))
    if covered + _INFO.unpack_from(data, covered)[1] != len(data):
        raise _refused("something follows its end")
    hashes = [value for kind, value in unprotected if kind == _SHA256]
    if len(hashes) != 1 or len(hashes[0]) != sha256().digest_size:
        raise _refused("its trailer does not hold one SHA-256")
    found = dict(unprotected)
    return FirmwareImage(
        version=Version(*version),
        flags=flags,
        covered=data[:covered],
        digest=hashes[0],
        signature=found.get(_ED25519),
        pure=_PURE in found or _PURE in dict(entries),
    )


def check_image(image: FirmwareImage, *, key: bytes) -> None:
    """Check what the bootloader will check.

    Args:
        image: as it was read.
        key: the Ed25519 public key of the device's bootloader.

    Raises:
        RefusedError: FIRMWARE_REFUSED with a sentence.
    """
    if image.flags & _NON_BOOTABLE:
        raise _refused("it is marked as not bootable")
    if sha256(image.covered).digest() != image.digest:
        raise _refused("its SHA-256 is of something else: it was altered")
    if image.signature is None:
        raise _refused("it has no Ed25519 signature")
    try:
        signed = image.covered if image.pure else image.digest
        Ed25519PublicKey.from_public_bytes(key).verify(image.signature, signed)
    except (InvalidSignature, ValueError):
        what = "it is not signed with the key of this device's profile: made for another board?"
        raise _refused(what) from None


def _entries(
    data: bytes, at: int, magic: int, *, exactly: int | None = None
) -> Iterator[tuple[int, bytes]]:
    found, total = _INFO.unpack_from(data, at)
    if found != magic:
        raise _refused("there is no trailer behind its body: cut off, or never finished")
    end = at + total
    if end > len(data):
        raise _refused(f"it is cut off: {len(data)} bytes of {end}")
    if exactly is not None and total != exactly:
        raise _refused("its trailer does not add up")
    at += _INFO.size
    for _ in range(limits.FIRMWARE_TLVS):
        if at == end:
            return
        if at + _INFO.size > end:
            break
        kind, size = _INFO.unpack_from(data, at)
        at += _INFO.size + size
        if at > end:
            break
        yield kind, data[at - size : at]
    raise _refused("its trailer does not add up")


def _refused(what: str) -> RefusedError:
    return RefusedError(Reason.FIRMWARE_REFUSED, what)
