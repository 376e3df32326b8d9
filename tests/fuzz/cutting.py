"""How the bytes of a stream are cut before a decoder gets them."""

from collections.abc import Iterator

ONE_BY_ONE = 300
"""So many bytes come one at a time, the hardest cut: more than any header and most seeds have."""
LONGEST_PIECE = 97


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield all of it, byte by byte in the beginning, then in pieces as long as the bytes say."""
    at = 0
    while at < len(data):
        size = 1 if at < ONE_BY_ONE else 1 + data[at] % LONGEST_PIECE
        yield data[at : at + size]
        at += size
