"""A file between two gateways of one site: who may ask for it, and how its bytes are sealed.

Agents hold no statement about each other, so the file's own hash is the capability: it stands in
the signed order, and whoever has the order may have the file. Everything is derived from it, the
file's size, the fleet and the site, and the hash itself never crosses the LAN. Owns the names, the
proof in a request and the seal of an answer. Leaves out HTTP (`agent.services.sharing`), and
integrity: a neighbour that knows the hash may seal anything, so the whole is hashed in the end.

Sources: HMAC (RFC 2104), ChaCha20-Poly1305 (RFC 8439).
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from shared import limits
from shared.errors import Reason, RefusedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NONCE_BYTES: Final = 16
"""Of each request, and of each answer."""
TAG_BYTES: Final = 16
"""What a seal adds to a record."""
_SITE: Final = b"outstation site/1"
_FILE: Final = b"outstation shared file/1"
_SITE_BYTES, _NAME_BYTES, _COUNTER_BYTES = 8, 16, 12


def site_mark(fleet: bytes, site: str) -> str:
    """Return how gateways of one site find each other; says neither fleet nor site to others."""
    return _mac(fleet, _SITE, site.encode()).hex()[: 2 * _SITE_BYTES]


@dataclass(frozen=True, slots=True)
class FileKey:
    """What somebody knows who was given an order that names a file."""

    secret: bytes

    @classmethod
    def derive(cls, fleet: bytes, site: str, *, digest: bytes, size: int) -> "FileKey":
        """Return the key of a file at a site."""
        return cls(_mac(digest, _FILE, fleet, site.encode(), size.to_bytes(8)))

    @property
    def name(self) -> str:
        """Return how the file is called on the LAN."""
        return _mac(self.secret, b"name").hex()[: 2 * _NAME_BYTES]

    def prove(self, nonce: bytes, wish: str) -> bytes:
        """Return the proof that goes with a request; `wish` is what it asks for."""
        return _mac(self.secret, b"ask", nonce, wish.encode())

    def check(self, nonce: bytes, wish: str, proof: bytes) -> None:
        """Check the proof of a request.

        Raises:
            RefusedError: THRESHOLD_NOT_MET: who asks does not know the file's hash.
        """
        if len(nonce) != NONCE_BYTES or not hmac.compare_digest(self.prove(nonce, wish), proof):
            raise RefusedError(Reason.THRESHOLD_NOT_MET, "it does not know the file")

    def seal(self, asked: bytes, salt: bytes, wish: str) -> "Seal":
        """Return what seals or opens one answer.

        Args:
            asked: nonce of the request: an answer fits no other one.
            salt: nonce of the answer: no key is ever used for other bytes.
            wish: what was asked for.
        """
        # Loads every cipher that there is: only who shares pays for it.
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415
            ChaCha20Poly1305,
        )

        return Seal(ChaCha20Poly1305(_mac(self.secret, b"seal", asked, salt, wish.encode())))


class Seal:
    """Seals or opens the records of one answer, in their order."""

    __slots__ = ("_cipher", "_next")

    def __init__(self, cipher: "ChaCha20Poly1305") -> None:
        self._cipher, self._next = cipher, 0

    def put(self, data: bytes) -> bytes:
        """Return the next record."""
        return self._cipher.encrypt(self._counter(), data, None)

    def take(self, record: bytes) -> bytes:
        """Return what is in the next record.

        Raises:
            RefusedError: SEAL_BROKEN: of another answer or place, or altered on its way.
        """
        try:
            return self._cipher.decrypt(self._counter(), record, None)
        except InvalidTag:
            raise RefusedError(Reason.SEAL_BROKEN, "a record was altered on its way") from None

    def _counter(self) -> bytes:
        number, self._next = self._next, self._next + 1
        return number.to_bytes(_COUNTER_BYTES)


def records(size: int) -> Iterator[int]:
    """Yield the sizes of the records that an answer of `size` bytes has, before they are sealed.

    >>> list(records(40_000))
    [16384, 16384, 7232]
    """
    for start in range(0, size, limits.SHARE_RECORD_BYTES):
        yield min(limits.SHARE_RECORD_BYTES, size - start)


def sealed_bytes(size: int) -> int:
    """Return how long an answer of `size` bytes is once it is sealed."""
    return size + TAG_BYTES * -(-size // limits.SHARE_RECORD_BYTES)


def _mac(key: bytes, *parts: bytes) -> bytes:
    """Return an HMAC over parts, each with its length in front."""
    told = b"".join(len(part).to_bytes(4) + part for part in parts)
    return hmac.new(key, told, sha256).digest()
