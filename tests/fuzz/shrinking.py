"""A finding made small: what is left is what the decoder trips over."""

from collections.abc import Callable

TRIES = 3_000
"""Inputs that may be tried for one finding."""


def shrink(data: bytes, trips: Callable[[bytes], bool]) -> bytes:
    """Return a short input with plain bytes that still trips the decoder as `data` does."""
    left = [TRIES]

    def tries(candidate: bytes) -> bool:
        left[0] -= 1
        return left[0] >= 0 and trips(candidate)

    before = b""
    while before != data and left[0] > 0:
        before, data = data, _plainer(_shorter(data, tries), tries)
    return data


def _shorter(data: bytes, trips: Callable[[bytes], bool]) -> bytes:
    """Take pieces out, large ones first."""
    size = len(data)
    while size:
        at = 0
        while at < len(data):
            candidate = data[:at] + data[at + size :]
            if trips(candidate):
                data = candidate
            else:
                at += size
        size //= 2
    return data


def _plainer(data: bytes, trips: Callable[[bytes], bool]) -> bytes:
    """Make bytes zero, many at once where that goes."""
    size = len(data)
    while size:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            candidate = data[:at] + bytes(len(piece)) + data[at + size :]
            if any(piece) and trips(candidate):
                data = candidate
        size //= 2
    return data
