"""How much a counter counted between two readings, across its modulus and its resets.

Owns the difference. Readings themselves stay as they were taken; this is for who asks for the
increase.
"""

from decimal import Decimal

from shared.model.reading import Value


def increase(
    before: float, now: float, modulus: Decimal | None, zero: Decimal = Decimal(0)
) -> Decimal:
    """Return what was counted from `before` to `now`, never less than 0.

    A counter that became smaller went over its modulus if it counted less than half of it; else it
    was reset, or the meter exchanged, and what it shows was counted since. `zero` is what it shows
    where it begins.

    >>> increase(65_530, 4, Decimal(65_536)), increase(900, 7, Decimal(65_536))
    (Decimal('10'), Decimal('7'))
    >>> increase(0.1, 0.3, None)
    Decimal('0.2')
    >>> increase(66_530, 1_004, Decimal(65_536), zero=Decimal(1_000))
    Decimal('10')
    """
    # A float stands for the shortest decimal that reads as it, so that tenths add up to tenths.
    first, last = Decimal(repr(before)) - zero, Decimal(repr(now)) - zero
    if last >= first:
        return last - first
    if modulus is not None and 0 <= first < modulus and last >= 0:
        over = last + modulus - first
        if 2 * over <= modulus:
            return over
    return max(last, Decimal(0))


class Increase:
    """One counter's increase, from reading to reading; faults between them lose nothing."""

    def __init__(self, modulus: Decimal | None, zero: Decimal = Decimal(0)) -> None:
        self._modulus, self._zero = modulus, zero
        self._before: float | None = None
        self._total = Decimal(0)

    def offer(self, now: float) -> None:
        """Take a reading that can be believed."""
        if self._before is not None:
            self._total += increase(self._before, now, self._modulus, self._zero)
        self._before = now

    def take(self) -> Value:
        """Return what was counted since the last time; whole numbers as such."""
        total, self._total = self._total, Decimal(0)
        return int(total) if total == total.to_integral_value() else float(total)
