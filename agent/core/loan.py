"""Values that are written for a while: whose they are, and when the former ones come back.

Values only. Rows stand in `agent.store.devices`, putting back is `agent.services.restorer`'s.
"""

from dataclasses import dataclass

from shared import limits
from shared.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Owner:
    """The execution, and its firing where it is a standing one, on whose behalf a step is done."""

    execution: bytes
    firing: int = 0

    @property
    def key(self) -> bytes:
        """Return it as one value."""
        return self.execution + self.firing.to_bytes(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A point with a temporary value that is due to be put back."""

    device: DeviceId
    point: str
    former: int | float
    number: int
    """Row of its execution."""
    owner: Owner
    tries: int
    """How often it could not be put back."""

    @property
    def pause_s(self) -> int:
        """Return how long to wait after it could not be put back once more."""
        pause_s = limits.RESTORE_RETRY_S << min(self.tries, 16)
        return min(pause_s, limits.RESTORE_RETRY_MAX_S)
