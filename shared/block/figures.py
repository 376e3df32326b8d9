"""Numbers written with so many significant figures: small ones have digits that large ones lack.

A logger that prints six figures writes 9.87654 but 10.1234. Scaled by one power of ten, the second
becomes 1012340 and its last digit is paid for each time, as if it could be another. Owns the split
into what all values have and what only the small ones have; works on integers, so it is exact.
"""

from itertools import pairwise
from math import gcd
from typing import NamedTuple

MOST_TAIL = 16
"""More digits than this between smallest and largest value are not worth a thought."""
WORTH_DIGITS = 8
"""Digits that must be saved before the second series pays."""


class Split(NamedTuple):
    """Integers without their last `tail` digits, and those digits where they may not be zero."""

    tail: int
    heads: list[int]
    tails: list[int]


def split(integers: list[int]) -> Split | None:
    """Return how `integers` come apart, or None if that saves nothing."""
    edge = 10 ** (len(str(max(map(abs, integers)))) - 1)
    large = [integer for integer in integers if not -edge < integer < edge]
    tail = min(_zeros(gcd(*large)), MOST_TAIL)
    if not tail or len(large) == len(integers) or not _noisy(integers, 10**tail):
        return None
    pairs = [divmod(abs(integer), 10**tail) for integer in integers]
    rooms = _rooms([head for head, _ in pairs], tail)
    if sum(tail - room for room in rooms) < WORTH_DIGITS:
        return None
    tails = []
    for integer, (head, digits), room in zip(integers, pairs, rooms, strict=True):
        if digits % 10 ** (tail - room) or (integer < 0 and not head):
            return None
        if room:
            tails.append(digits // 10 ** (tail - room))
    heads = [
        head if integer > 0 else -head for integer, (head, _) in zip(integers, pairs, strict=True)
    ]
    return Split(tail, heads, tails)


def join(tail: int, heads: list[int], tails: list[int]) -> list[int]:
    """Undo `split`; there is one of `tails` for each head that `has_tail`."""
    rooms = _rooms(heads, tail)
    rest = iter(tails)
    integers = []
    for head, room in zip(heads, rooms, strict=True):
        digits = next(rest) * 10 ** (tail - room) if room else 0
        integers.append(head * 10**tail + (digits if head >= 0 else -digits))
    return integers


def tails_of(heads: list[int], tail: int) -> int:
    """Return how many of `heads` have digits after them."""
    return sum(room > 0 for room in _rooms(heads, tail))


def _rooms(heads: list[int], tail: int) -> list[int]:
    """Return for each head how many figures are left for its tail: the longest head has none."""
    sizes = [len(str(abs(head))) if head else 0 for head in heads]
    figures = max(sizes)
    return [min(tail, figures - size) for size in sizes]


def _zeros(number: int) -> int:
    """Return how many zeros a number ends in."""
    return len(str(number)) - len(str(number).rstrip("0"))


def _noisy(integers: list[int], power: int) -> bool:
    """Tell whether steps are so large that digits below `power` cannot be predicted anyway."""
    return sum(abs(now - before) for before, now in pairwise(integers)) > 4 * power * len(integers)
