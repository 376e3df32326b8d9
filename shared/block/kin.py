"""Columns that move together: what one missed tells what the next one will miss.

Three phases of a meter, a register given twice, probes under one sky: where a prediction fails for
one of them, it fails for the others in proportion. Owns the choice of an earlier column of the same
group and of the proportion; leaves out the predictions themselves (`shared.block.series`).
"""

from collections import deque
from collections.abc import Sequence
from math import log2
from operator import mul
from typing import NamedTuple

from shared.block.stage import Reader, Role, Writer, get_signed, malformed, put_signed

REACH = 8
"""Earlier columns that are looked at: neighbours are the likeliest kin, and looking takes time."""
_SHARE = 16
"""Proportions are multiples of a sixteenth."""
_NAMING_BITS = 12
"""About what it takes to name a column and a proportion."""


class Known(NamedTuple):
    """Residuals of an earlier column, and the sum of their squares where a writer asks for it."""

    residuals: list[int]
    power: int = 0


def bits_for(residuals: Sequence[int]) -> float:
    """Return about how many bits residuals take: those of a two-sided geometric distribution."""
    return len(residuals) * log2(1 + 5.4 * sum(map(abs, residuals)) / len(residuals))


class Kin:
    """The columns of one group so far, latest first."""

    def __init__(self) -> None:
        self._known: deque[Known] = deque(maxlen=REACH)

    def put(self, writer: Writer, residuals: list[int]) -> list[int]:
        """Write which earlier column these residuals follow, if any; return what is left."""
        power = sum(map(mul, residuals, residuals))
        place, share = self._closest(residuals, power)
        left = residuals
        if place:
            left = self._without(residuals, place, share)
            if bits_for(left) + _NAMING_BITS > bits_for(residuals):
                place, left = 0, residuals
        writer.number(Role.KIN, place)
        if place:
            put_signed(writer, Role.SHARE, share)
        self._known.appendleft(Known(residuals, power))
        return left

    def get(self, reader: Reader) -> tuple[int, int]:
        """Read which earlier column the next residuals follow, 0 for none, and how far."""
        place = reader.number(Role.KIN)
        if place > len(self._known):
            raise malformed("a column that follows none")
        return place, get_signed(reader, Role.SHARE) if place else 0

    def restore(self, left: list[int], place: int, share: int) -> list[int]:
        """Undo `put`."""
        residuals = left
        if place:
            known = self._known[place - 1].residuals
            if len(known) != len(left):
                raise malformed("a column that follows one of another length")
            residuals = [
                rest + (share * other + _SHARE // 2) // _SHARE
                for rest, other in zip(left, known, strict=True)
            ]
        self._known.appendleft(Known(residuals))
        return residuals

    def _without(self, residuals: list[int], place: int, share: int) -> list[int]:
        known = self._known[place - 1].residuals
        return [
            residual - (share * other + _SHARE // 2) // _SHARE
            for residual, other in zip(residuals, known, strict=True)
        ]

    def _closest(self, residuals: list[int], power: int) -> tuple[int, int]:
        """Return the place of the best correlated column and its proportion; (0, 0) if none is."""
        best, place, share = 0.25, 0, 0
        for number, known in enumerate(self._known, 1):
            if len(known.residuals) == len(residuals) and known.power and power:
                common = sum(map(mul, residuals, known.residuals))
                if common * common > best * known.power * power:
                    best = common * common / (known.power * power)
                    place, share = number, round(_SHARE * common / known.power)
        return place, share
