"""The file on a stick: who may open it, and parcels that each stand for themselves.

``"OSTICK" 0x01 direction(1) fleet(16) receiver(8)``, then parcels of ``size(4) sealed``, then a
size of 0. Each parcel is one contact's body (`shared.sync.body`), sealed to the receiver with the
header as HPKE's info. Any number of parcels may be missing, doubled or in another order: a stick
that was pulled out too early, or is half worn out, brings what is still readable. The decoder is
fed bytes in any pieces and never sees a file. Leaves out what a parcel means
(`shared.trust.carried`).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId
from shared.sync.body import Part, decode_body, encode_body
from shared.trust.sealed import open_sealed, seal_to

_MAGIC: Final = b"OSTICK\x01"
_FLEET, _RECEIVER, _SIZE = 16, 8, 4
HEADER_BYTES: Final = len(_MAGIC) + 1 + _FLEET + _RECEIVER
END: Final = bytes(_SIZE)
"""What follows the last parcel; a file without it was cut off."""


class Direction(IntEnum):
    """Which way a stick travels."""

    UP = 1
    """From an agent to its coordinator."""
    DOWN = 2


@dataclass(frozen=True, slots=True)
class StickHeader:
    """Whom a stick is for; says nothing of what is on it."""

    direction: Direction
    fleet: bytes
    receiver: KeyId
    """First bytes of sha256 over the receiver's public key: the fleet's X25519 key on the way up,
    the agent's Ed25519 key on the way down."""

    def encode(self) -> bytes:
        """Return the bytes that a stick begins with."""
        return _MAGIC + bytes([self.direction]) + self.fleet + self.receiver


def read_header(data: bytes) -> StickHeader:
    """Return the header that the first `HEADER_BYTES` of a stick are.

    Raises:
        RefusedError: STICK_MALFORMED: it is no stick, or of another version.
    """
    if len(data) != HEADER_BYTES or not data.startswith(_MAGIC):
        raise RefusedError(Reason.STICK_MALFORMED, "it does not begin as a stick")
    at = len(_MAGIC)
    if data[at] not in list(Direction):
        raise RefusedError(Reason.STICK_MALFORMED, "it goes neither up nor down")
    fleet, receiver = data[at + 1 : -_RECEIVER], KeyId(data[-_RECEIVER:])
    return StickHeader(Direction(data[at]), fleet, receiver)


def seal_parcel(header: StickHeader, parts: list[Part], public_key: bytes) -> bytes:
    """Return one parcel with its size in front, ready to be appended to a stick."""
    sealed = seal_to(public_key, encode_body(parts), info=header.encode())
    assert len(sealed) <= limits.PARCEL_BYTES, "a parcel grew over its bound"
    return len(sealed).to_bytes(_SIZE) + sealed


def open_parcel(header: StickHeader, sealed: bytes, key: X25519PrivateKey) -> list[Part]:
    """Return the parts of a parcel.

    Raises:
        RefusedError: SEAL_BROKEN or BODY_MALFORMED; nothing of it may be used.
    """
    body = open_sealed(key, sealed, info=header.encode())
    return decode_body(body, bound=limits.PARCEL_BYTES)


class StickDecoder:
    """Turns bytes that arrive in any pieces into sealed parcels; holds one parcel at most."""

    __slots__ = ("_buffer", "_damage", "_ended", "_followed", "header")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._damage = ""
        self._ended = self._followed = False
        self.header: StickHeader | None = None
        """Known once the first bytes arrived."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the parcels that `data` completes; what follows the end is not looked at.

        Raises:
            RefusedError: STICK_MALFORMED: no stick, or damaged so that no parcel can be found any
                more. Whole ones before the damage are returned first, whatever they came with;
                the next call, or `finish`, tells of it.
        """
        if self._ended:
            self._followed = self._followed or bool(data)
            return []
        self._buffer += data
        if self.header is None:
            if len(self._buffer) < HEADER_BYTES and _MAGIC.startswith(self._buffer[: len(_MAGIC)]):
                return []
            self.header = read_header(bytes(self._buffer[:HEADER_BYTES]))
            del self._buffer[:HEADER_BYTES]
        parcels: list[bytes] = []
        while (parcel := self._next()) is not None:
            parcels.append(parcel)
        if self._damage and not parcels:
            raise RefusedError(Reason.STICK_MALFORMED, self._damage)
        return parcels

    def finish(self) -> None:
        """Check that the stick is whole.

        Raises:
            RefusedError: STICK_MALFORMED: it is damaged, or ends too early or too late. Where a
                file system lost what it had, zeros stand that look like an end.
        """
        what = self._damage or ("" if self._ended else "it was cut off")
        if what or self._followed:
            raise RefusedError(Reason.STICK_MALFORMED, what or "something follows its end")

    def _next(self) -> bytes | None:
        if self._ended or len(self._buffer) < _SIZE:
            return None
        size = int.from_bytes(self._buffer[:_SIZE])
        if size > limits.PARCEL_BYTES:
            self._damage = "a parcel is over its bound"
            return None
        if size == 0:
            self._ended, self._followed = True, len(self._buffer) > _SIZE
            self._buffer.clear()
            return None
        if len(self._buffer) < _SIZE + size:
            return None
        parcel = bytes(self._buffer[_SIZE : _SIZE + size])
        del self._buffer[: _SIZE + size]
        return parcel
