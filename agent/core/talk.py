"""An exchange in which more than one request may be on its way.

Owns what a bus asks a decoder that speaks such a protocol. Leaves out one question and its answer
(`agent.core.ports.FrameDecoder`), and the window itself (`agent.drivers.smp.burst`).
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Talk(Protocol):
    """What a `FrameDecoder` has beside that, if its exchange is more than a question."""

    @property
    def least_wait_ms(self) -> int:
        """Return how long the other side may need at least, whatever was learned of it."""

    @property
    def answered(self) -> int:
        """Return how many answers came: each is waited for anew."""

    def following(self) -> Sequence[bytes]:
        """Return the frames that are to leave now, each of them once."""
