"""How long a device is waited for: learned from its own answers, one patience for each.

Owns the learning. Time is counted from the last byte of a request to the last byte of its answer,
less what the answer takes on the wire: what the device needs to think. Leaves out the waiting
(`agent.buses.line`) and how often a silent device is asked (`agent.core.sampler`).
"""

from dataclasses import dataclass

from shared import limits

UNKNOWN_MS = 1_000
"""For a device that has not answered yet, and for commands: a write may take longer than a read."""
FIRST_PROBE_MS = 200
"""The very first question to a device: most answer within 50 ms, and while nobody on a line is
known yet, each that is not there holds up all the others."""
_TIMES = 4
"""How many of its usual times a device is waited for."""
_WEIGHT = 0.25
"""Of the newest answer: a device that became slower is known to be after a few."""


@dataclass(slots=True)
class Patience:
    """What is known of one device's answers."""

    fixed_ms: int | None = None
    """What a person chose for the whole port; nothing is learned then."""
    usual_ms: float | None = None
    """Weighted mean of what it needs; None before its first answer."""
    probes: int = 0
    """Probes in a row that it did not answer."""

    def answered(self, took_ms: float) -> None:
        """Learn from an answer."""
        if self.usual_ms is None or self.probes:
            self.usual_ms = took_ms
        else:
            self.usual_ms += (took_ms - self.usual_ms) * _WEIGHT
        self.probes = 0

    def missed_probe(self) -> None:
        """Note that a probe was not answered: the next one listens longer."""
        self.probes += 1

    def poll_ms(self, attempt: int) -> int:
        """Return how long a poll is waited for; a repeat twice as long as the first attempt.

        >>> patience = Patience(usual_ms=40.0)
        >>> patience.poll_ms(0), patience.poll_ms(1), Patience().poll_ms(0)
        (160, 320, 1000)
        """
        if self.fixed_ms is not None:
            return self.fixed_ms
        if self.usual_ms is None:
            return UNKNOWN_MS
        return _clamped(_TIMES * self.usual_ms) << min(attempt, 1)

    def probe_ms(self) -> int:
        """Return how long a probe is waited for; a probe is one attempt.

        >>> Patience().probe_ms(), Patience(probes=1).probe_ms(), Patience(usual_ms=9.0).probe_ms()
        (200, 1000, 1000)
        """
        if self.fixed_ms is not None:
            return self.fixed_ms
        if self.usual_ms is None and not self.probes:
            return FIRST_PROBE_MS
        return max(UNKNOWN_MS, self.poll_ms(0))

    def command_ms(self) -> int:
        """Return how long a command is waited for."""
        if self.fixed_ms is not None:
            return self.fixed_ms
        return max(UNKNOWN_MS, self.poll_ms(0))


def _clamped(wait_ms: float) -> int:
    return round(min(max(wait_ms, limits.PATIENCE_MIN_MS), limits.PATIENCE_MAX_MS))
