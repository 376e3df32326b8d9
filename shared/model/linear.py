"""Raw counts <-> engineering units, exactly.

``value = raw * scale + offset`` is computed in integers and divided once, so that a count of 4210
at scale 0.01 is the double that 42.1 reads as, never a neighbour. Leaves out units and limits.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from shared import limits

DECIMAL_DIGITS = 10**15
"""A double gives any 15 decimal digits back as they were; of 16 it may change the last."""


@dataclass(frozen=True, slots=True)
class Linear:
    """One point's line: ``(raw * slope + shift) / divisor``, all three integers."""

    slope: int
    shift: int
    divisor: int
    """A power of ten. 1 makes values integers, any other makes them floats."""

    @staticmethod
    @lru_cache(maxsize=limits.POINTS)  # asked for with every reading
    def of(scale: Decimal, offset: Decimal) -> "Linear":
        """Return the line for a finite decimal scale, which is not 0, and offset.

        >>> Linear.of(Decimal("0.01"), Decimal(0)).value(4210)
        42.1
        """
        assert scale, "a scale of 0 has no way back"
        divisor = 10 ** max(_decimals(scale), _decimals(offset))
        slope, slope_divisor = scale.as_integer_ratio()
        shift, shift_divisor = offset.as_integer_ratio()
        return Linear(
            slope * (divisor // slope_divisor), shift * (divisor // shift_divisor), divisor
        )

    def value(self, raw: float) -> int | float:
        """Return the engineering value of a finite count.

        It is an int where `raw` is one and the line is integral, else the nearest double.

        Raises:
            OverflowError: no double is that large.
        """
        if isinstance(raw, int):
            total = raw * self.slope + self.shift
            return total if self.divisor == 1 else total / self.divisor
        if self.slope == self.divisor and not self.shift:
            return raw
        top, bottom = raw.as_integer_ratio()
        return (top * self.slope + self.shift * bottom) / (bottom * self.divisor)

    def loses(self, raw: int) -> bool:
        """Tell whether the value of a count has more digits than a double or an int64 keeps."""
        total = raw * self.slope + self.shift
        if self.divisor == 1:
            return not -(1 << 63) <= total < 1 << 63
        return abs(total) > DECIMAL_DIGITS

    def raw(self, value: float | Decimal) -> tuple[int, int]:
        """Return the exact count of a finite value as a fraction (numerator, denominator > 0).

        A float stands for the shortest decimal that reads as it: 42.1 is 421/10.
        """
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        top, bottom = exact.as_integer_ratio()
        above = top * self.divisor - self.shift * bottom
        below = bottom * self.slope
        return (above, below) if below > 0 else (-above, -below)


def _decimals(number: Decimal) -> int:
    """Return how many digits after the point a finite decimal needs."""
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "profiles hold finite numbers only"
    return max(0, -exponent)
