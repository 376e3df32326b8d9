"""What writing costs the flash: how often to commit within a budget, and how long a card lasts.

Pure arithmetic. Leaves out counting the bytes (`agent.services.keeper`).
"""

from dataclasses import dataclass

from shared import limits

DAY_MS = 86_400_000
_CYCLES = 1_000
"""Times that a cheap card's cell can be written: data sheets of TLC flash say 500 to 3,000."""
_AMPLIFICATION = 8
"""What a card writes for a byte that it is told to: it erases much more than what changes."""
_YEAR_DAYS = 365
_NEWEST = 0.25
"""Weight of the newest commit in the average: a busy hour counts, a single large one does not."""


@dataclass(frozen=True, slots=True)
class Wear:
    """What commits have cost so far."""

    bytes_per_commit: float = 0.0
    """Everything that the process wrote between two of them, averaged; 0: nothing is known yet."""

    def after(self, written_bytes: int) -> "Wear":
        """Return the average once another commit has cost `written_bytes`."""
        if not self.bytes_per_commit:
            return Wear(float(written_bytes))
        return Wear(self.bytes_per_commit + _NEWEST * (written_bytes - self.bytes_per_commit))

    def interval_ms(self, wanted_ms: int, budget_bytes: int) -> int:
        """Return the time between two commits: as wanted, or longer to stay in a day's budget.

        Never beyond `limits.COMMIT_MAX_MS`: a power cut takes that much.
        """
        needed_ms = int(self.bytes_per_commit * DAY_MS / budget_bytes)
        return max(wanted_ms, min(needed_ms, limits.COMMIT_MAX_MS))


def life_years(capacity_bytes: int, bytes_per_day: int) -> int:
    """Return how many years a card of this size lasts at this rate; a guess, and a careful one."""
    endurance = capacity_bytes * _CYCLES // _AMPLIFICATION
    return endurance // max(1, bytes_per_day * _YEAR_DAYS)
