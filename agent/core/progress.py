"""How far something large has come that is on its way: a file to here, firmware into a device."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of it is there."""

    done: int
    """Bytes; of a device's image by the device's own word."""
    size: int

    @property
    def permille(self) -> int:
        """Return how much that is, in thousandths."""
        return self.done * 1000 // max(1, self.size)
