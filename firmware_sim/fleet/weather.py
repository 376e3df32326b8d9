"""Outages: which gateways are cut off when, and who comes back at once. Pure."""

from dataclasses import dataclass

from shared.errors import MistakeError

_HUNDRED = 100
_SCATTER = 2_654_435_761
"""Knuth's multiplier: neighbours in a roster are cut off by different outages."""


@dataclass(frozen=True, slots=True)
class Outage:
    """So many of a hundred gateways have no line for a while; then all call again at once."""

    after_s: float
    for_s: float
    percent: int

    @classmethod
    def parse(cls, text: str) -> "Outage":
        """Return the outage in ``AFTER:FOR:PERCENT``, seconds and a whole number.

        Raises:
            MistakeError: it is none.
        """
        try:
            after, length, percent = text.split(":")
            found = cls(float(after), float(length), int(percent))
        except ValueError:
            raise MistakeError(f"{text!r} is not AFTER:FOR:PERCENT", where="--outage") from None
        sound = found.after_s >= 0 and 0 < found.for_s < 1e6 and 0 < found.percent <= _HUNDRED
        if not sound:
            raise MistakeError(f"{text!r} cannot happen", where="--outage")
        return found

    @property
    def ends_s(self) -> float:
        """Return when the line is back, in seconds since the start."""
        return self.after_s + self.for_s

    def cuts(self, number: int, at_s: float) -> bool:
        """Tell whether gateway `number` has no line at this moment."""
        return self.after_s <= at_s < self.ends_s and self.concerns(number)

    def concerns(self, number: int) -> bool:
        """Tell whether gateway `number` is one of those."""
        return (number * _SCATTER >> 8) % _HUNDRED < self.percent
