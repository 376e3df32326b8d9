"""An exchange in which the other side says itself how long its next answer takes.

Owns what a bus asks of such a decoder: a sensor that is told to measure, sentences that come by
themselves. What such answers take teaches nothing about the next question, so nobody learns
patience from it (`agent.core.patience`).
"""

from collections.abc import Sequence

from agent.core.talk import Talk


class Patient(Talk):
    """A `Talk` whose waiting is told and not learned."""

    least_wait_ms = 0
    answered = 0
    next_wait_ms: int = 0
    """How long the next answer may take at least; 0: as long as any."""

    def following(self) -> Sequence[bytes]:
        """Return the frames that are to leave now, each of them once."""
        return ()

    def overdue(self) -> bool:
        """Take note that nothing came in time; tell whether there is something to send instead."""
        return False
