"""How much a counter counted between two readings, across its modulus and its resets.

Owns the difference. Readings themselves stay as they were taken; this is for who asks for the
increase.
"""

from decimal import Decimal

from shared.model.reading import Value


def increase(before: float, now: float, modulus: Decimal | None) -> Decimal:
    """Return what was counted from `before` to `now`, never less than 0.

    A counter that became smaller went over its modulus if it counted less than half of it; else it
    was reset, or the meter exchanged, and what it shows was counted since.

    >>> increase(65_530, 4, Decimal(65_536)), increase(900, 7, Decimal(65_536))
    (Decimal('10'), Decimal('7'))
    >>> increase(0.1, 0.3, None)
    Decimal('0.2')
    """
    # A float stands for the shortest decimal that reads as it, so that tenths add up to tenths.
    first, last = Decimal(repr(before)), Decimal(repr(now))
    if last >= first:
        return last - first
    if modulus is not None and 0 <= first < modulus and last >= 0:
        over = last + modulus - first
        if 2 * over <= modulus:
            return over
    return max(last, Decimal(0))


class Increase:
    """One counter's increase, from reading to reading; faults between them lose nothing."""

    def __init__(self, modulus: Decimal | None) -> None:
        self._modulus = modulus
        self._before: float | None = None
        self._total = Decimal(0)

    def offer(self, now: float) -> None:
        """Take a reading that can be believed."""
        if self._before is not None:
            self._total += increase(self._before, now, self._modulus)
        self._before = now

    def take(self) -> Value:
        """Return what was counted since the last time; whole numbers as such."""
        total, self._total = self._total, Decimal(0)
        return int(total) if total == total.to_integral_value() else float(total)
