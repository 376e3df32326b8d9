"""A piece of a file on a stick: which file, where the piece belongs, and its bytes.

``sha256(32) size(8) start(8) bytes``, one part of a parcel. Files are named by their content, so
nobody signs a piece: the whole is hashed before it is used. Leaves out who may have it: a stick is
sealed to one agent, and that agent takes what its own orders name.
"""

from dataclasses import dataclass
from typing import Final

from shared import limits
from shared.errors import Reason, RefusedError

_DIGEST, _NUMBER = 32, 8
PIECE_OVER: Final = _DIGEST + 2 * _NUMBER


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file from `start` on."""

    digest: bytes
    size: int
    """Of the whole file."""
    start: int
    data: bytes

    def encode(self) -> bytes:
        """Return the bytes of the part."""
        return self.digest + self.size.to_bytes(_NUMBER) + self.start.to_bytes(_NUMBER) + self.data


def read_piece(part: bytes) -> Piece:
    """Return the piece that a part is.

    Raises:
        RefusedError: BODY_MALFORMED: it lies outside of its file, or is empty or too long.
    """
    at = _DIGEST + _NUMBER
    piece = Piece(
        digest=part[:_DIGEST],
        size=int.from_bytes(part[_DIGEST:at]),
        start=int.from_bytes(part[at:PIECE_OVER]),
        data=part[PIECE_OVER:],
    )
    fits = piece.start + len(piece.data) <= piece.size <= limits.SHELF_BYTES
    if not 0 < len(piece.data) <= limits.STICK_PIECE_BYTES or not fits:
        raise RefusedError(Reason.BODY_MALFORMED, "a piece of a file lies outside of it")
    return piece
