"""How a box is, in a few small numbers that travel in a report now and then.

Owns the fields and their order on the wire, where a later one is only ever appended. Leaves out
when it is worth saying (`agent.core.health`) and showing it (`coordinator.contract.agents`).
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from shared import limits

_ALWAYS = 7
"""So many numbers are said each time; an empty list would say nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at a box; every member is a whole number from 0 up."""

    waiting_alarms: int = 0
    """Readings of priority 0 that wait."""
    waiting_soon: int = 0
    """Of priority 1."""
    waiting: int = 0
    """Of priority 2."""
    oldest_s: int = 0
    """Age of the oldest of them all."""
    free_mb: int = 0
    """What the disk of the data directory still has; 0: none, or nobody could tell."""
    today_kb: int = 0
    """What the link carried today, before this contact."""
    budget_permille: int = 0
    """Share of the day's or the month's bytes that is spent; 0 also where nothing is limited."""
    files: int = 0
    """Files that work there waits for."""
    file_permille: int = 0
    """How much is there of the one that is being fetched."""
    images: int = 0
    """Devices that firmware is on its way into."""
    image_permille: int = 0
    """How much of it they have, all together, by their own word."""
    silent: int = 0
    """Devices that have not answered several polls in a row."""
    silent_s: int = 0
    """For how long the longest of them has not."""

    def numbers(self) -> list[int]:
        """Return it as it travels: what comes and goes costs nothing while it is away."""
        numbers = [min(number, limits.INT_MAX) for number in astuple(self)]
        while len(numbers) > _ALWAYS and not numbers[-1]:
            numbers.pop()
        return numbers


def health_of(numbers: Sequence[int]) -> Health:
    """Return what a report says; what a newer agent added is left out, what is missing is 0.

    >>> health_of([0, 0, 40, 60]).waiting
    40
    """
    names = [field.name for field in fields(Health)]
    return Health(**dict(zip(names, numbers, strict=False)))
