"""A support bundle on its way: text, compressed, in pieces that are signed one by one.

Owns cutting and putting together, within bounds on both ends. What stands in a bundle is the
agent's; who may have it, the coordinator's.
"""

import zlib
from collections.abc import Sequence

from shared import limits
from shared.errors import Reason, RefusedError


def fitting(text: bytes) -> bytes:
    """Return as much of a text as a bundle may have: its beginning."""
    text = text[: limits.SUPPORT_BYTES]
    # Only what does not compress, and so is no log, is ever cut again.
    while len(zlib.compress(text, 9)) > limits.SUPPORT_PARTS * limits.SUPPORT_PART_BYTES:
        text = text[: len(text) // 2]
    return text


def cut(text: bytes) -> list[bytes]:
    """Return the pieces of a bundle whose text is `fitting`.

    >>> together(cut(b"status"))
    b'status'
    """
    packed, step = zlib.compress(text, 9), limits.SUPPORT_PART_BYTES
    return [packed[at : at + step] for at in range(0, len(packed), step)]


def together(pieces: Sequence[bytes]) -> bytes:
    """Return the text of a bundle from all its pieces, in their order.

    Raises:
        RefusedError: BODY_MALFORMED: they are no bundle, or one that would never end.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(b"".join(pieces), limits.SUPPORT_BYTES + 1)
    except zlib.error as error:
        raise RefusedError(Reason.BODY_MALFORMED, f"no support bundle: {error}") from None
    if len(text) > limits.SUPPORT_BYTES or not inflater.eof:
        raise RefusedError(Reason.BODY_MALFORMED, "a support bundle without an end")
    return text
