"""An exchange in which more than one request may be on its way.

Owns what a bus asks a decoder that speaks such a protocol. Leaves out one question and its answer
(`agent.core.ports.FrameDecoder`), and the window itself (`agent.drivers.smp.burst`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Talk(ABC):
    """What a `FrameDecoder` has beside that, if its exchange is more than a question.

    Known by its type and asked of each type once, as decoders need not inherit it: a bus wants to
    know several times an exchange, and looking up a protocol's members was a tenth of a read.
    """

    least_wait_ms: int
    """How long the other side may need at least, whatever was learned of it."""
    answered: int
    """How many answers came: each is waited for anew."""

    @abstractmethod
    def following(self) -> Sequence[bytes]:
        """Return the frames that are to leave now, each of them once."""

    @classmethod
    def __subclasshook__(cls, kind: type) -> bool:
        """Tell whether a type has more to send; who asks for more than a talk goes by its bases."""
        return hasattr(kind, "following") if cls is Talk else NotImplemented
