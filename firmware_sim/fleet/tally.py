"""What a fleet's contacts came to: counts, and how long they took."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from shared import limits


@dataclass(slots=True)
class Tally:
    """Of one run."""

    contacts: int = 0
    """Answered, and the answer verified."""
    blocks: int = 0
    """Acknowledged."""
    readings: int = 0
    executions: int = 0
    bytes_up: int = 0
    """Of bodies, of answered contacts."""
    bytes_down: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Contacts by the problem they met, or ``line`` where there was none."""
    times_ms: list[float] = field(default_factory=list)
    dropped: int = 0
    """Arrivals for which nobody was free: the generator was slower than it should have been."""

    def note_time(self, milliseconds: float) -> None:
        """Keep how long one contact took, from its first byte up to the verified answer."""
        if len(self.times_ms) < limits.FLEET_LATENCIES:
            self.times_ms.append(milliseconds)

    def result(self, seconds: float) -> dict[str, Any]:
        """Return the figures of so many seconds."""
        times = sorted(self.times_ms)
        return {
            "contacts": self.contacts,
            "contacts_per_s": round(self.contacts / seconds, 1),
            "readings_per_s": round(self.readings / seconds),
            "blocks": self.blocks,
            "executions": self.executions,
            "p50_ms": _part(times, 0.5),
            "p90_ms": _part(times, 0.9),
            "p99_ms": _part(times, 0.99),
            "max_ms": _part(times, 1.0),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "refused": dict(self.refused),
            "dropped": self.dropped,
            "seconds": round(seconds, 2),
        }


def _part(times: list[float], part: float) -> float:
    """Return the time within which this part of all contacts was done."""
    if not times:
        return 0.0
    return round(times[min(len(times) - 1, int(part * len(times)))], 2)
