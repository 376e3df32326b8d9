"""What may become of one reading, and who decides it.

Owns the words that the filters of a point (`deadband`, `door`) and those who act on them share.
"""

from enum import Enum
from typing import Protocol

from shared.clock import Instant
from shared.model.reading import Quality, Value


class Fate(Enum):
    """What becomes of a reading."""

    KEPT = "kept"
    BEAT = "beat"
    """Kept only because nothing else was for so long: no news."""
    HELD = "held"
    """Not kept, as far as anybody knows now."""
    SAME = "same"
    """Held, but equal to the last one kept: in a row that is there anyway it costs less than the
    gap that it would leave."""
    TURNED = "turned"
    """Held, but the one before it, held until now, has to be kept after all."""
    ENDED = "ended"
    """Kept, and so is the one before it, held until now."""
    BEGUN = "begun"
    """Kept, and nothing is known of the time before it."""


class Filter(Protocol):
    """Decides over one point's readings, in their order."""

    def offer(self, value: Value, quality: Quality, at: Instant) -> Fate:
        """Return what becomes of a reading."""

    def release(self) -> bool:
        """Tell whether the newest reading was held and has to be kept now that no more come."""
