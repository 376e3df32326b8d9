"""The demo's bookkeeping: what devices served, what arrived, and whether each promise held.

Counts come from the devices' own ledgers and from what the coordinator can show, never from an
agent's word alone; an agent is asked only for what it still stores or has accounted for as lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from firmware_sim.demo.forge import ROGUE_SETPOINT
from firmware_sim.demo.layout import POLL_INTERVAL_S, Place
from firmware_sim.ledger import LedgerSummary
from shared.clock import MonoMs

_UNIT = 1


@dataclass(slots=True)
class Record:
    """One device's ledger as far as it has been read."""

    site: str
    place: Place
    path: Path
    summary: LedgerSummary = field(default_factory=LedgerSummary)
    _offset: int = 0

    def update(self) -> None:
        """Read what the device has written since."""
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        self.summary.feed(data)

    def sampled(self) -> int:
        """Return how many values of polled points the device served."""
        return sum(self.summary.reads(_UNIT, name) for name in self.place.polled)

    def polls(self) -> int:
        """Return how often the device was polled."""
        return self.summary.reads(_UNIT, "poll_count")

    def setpoints(self) -> list[int]:
        """Return what was written to the setpoint, in order."""
        return [write.values[0] for write in self.summary.writes]

    def longest_gap_s(self, start_ms: MonoMs, end_ms: MonoMs) -> float:
        """Return the longest time without a poll within an interval."""
        gap = self.summary.longest_gap_ms(unit=_UNIT, start_ms=start_ms, end_ms=end_ms)
        return gap / 1000


@dataclass(slots=True, kw_only=True)
class Result:
    """What `--json` prints."""

    duration_s: float
    readings: dict[str, int]
    jobs: dict[str, int]
    outage_s: float
    contacts: int
    wire_bytes: int
    attacks: dict[str, int]
    duplicates: dict[str, int]
    max_poll_gap_s: dict[str, float]
    firmware: dict[str, int]
    """Nodes that were to be updated, and those of them that run an image now."""
    promises: dict[str, bool]

    def as_dict(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)


def no_silent_loss(readings: Mapping[str, int], series: Sequence[Sequence[float | None]]) -> bool:
    """Tell whether every value served is accounted for, and every poll counter unbroken.

    Each series is one device's poll counter as the coordinator shows it: 1, 2, 3, ... with
    nothing missing and nothing twice, however the readings travelled.
    """
    parts = ("suppressed", "delivered", "stored", "ledger")
    balanced = readings["sampled"] == sum(readings[part] for part in parts)
    unbroken = all(list(one) == list(range(1, len(one) + 1)) for one in series)
    return balanced and unbroken


def unwanted_writes(
    records: Sequence[Record], expected: Mapping[tuple[str, str], list[int]]
) -> int:
    """Return how many writes the devices saw beyond (or short of) what honest jobs asked for."""
    wrong = 0
    for record in records:
        want = expected.get((record.site, record.place.id), [])
        got = record.setpoints()
        wrong += abs(len(got) - len(want)) + sum(a != b for a, b in zip(got, want, strict=False))
    return wrong


def rogue_writes(records: Sequence[Record]) -> int:
    """Return how many writes carried the attacker's value."""
    return sum(record.setpoints().count(ROGUE_SETPOINT) for record in records)


def wan_independent(before_s: float, during_s: float) -> bool:
    """Tell whether polling went on during the outage as it did before it.

    The outage must not cost a poll: the longest gap may not grow by a whole interval.
    """
    return during_s < before_s + POLL_INTERVAL_S
