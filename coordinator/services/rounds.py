"""A loop that works in rounds: when something changed, and when a time has come.

One timer for all that waits, a bell for what happens. Nothing polls, but for a look each half
minute in which another replica's work or a clock that was set is noticed. Leaves out what a round
does: whoever derives from this says so.
"""

from abc import ABC, abstractmethod

from coordinator.core.ports import Store, Tx
from coordinator.services.bell import Bell
from coordinator.services.shelf import Documents
from coordinator.services.waiting import WaitingRoom
from shared import limits
from shared.clock import Clock, WallMs
from shared.ids import AgentId


class Rounds(ABC):
    """A service but for its name."""

    look_s: float
    """Longest rest between two rounds."""

    def __init__(
        self,
        documents: Documents,
        store: Store,
        clock: Clock,
        rooms: tuple[WaitingRoom[AgentId], WaitingRoom[bytes]],
    ) -> None:
        """Take `rooms`: held contacts, and requests that wait for a job to change."""
        self._documents, self._store, self._clock = documents, store, clock
        self._work, self._jobs = rooms
        self.bell = Bell()
        self._jobs.tell(self.bell.ring)
        self._taken = False
        """Another replica was at one of them in the last round."""

    def look_again(self) -> None:
        """Say that something changed."""
        self.bell.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.round():
                pass
            next_ms = await self._store.read(self._next_due)
            left_s = self.look_s
            if self._taken:
                left_s = limits.TAKEN_LOOK_S
            elif next_ms is not None:
                left_s = max(0.0, min(left_s, (next_ms - self._clock.wall_ms()) / 1000))
            await self.bell.wait(left_s)

    @abstractmethod
    async def round(self) -> bool:
        """Do what is due; tell whether more is to be done at once."""

    @abstractmethod
    def _next_due(self) -> Tx[WallMs | None]:
        """Return when the next one has to be looked at though nothing happens."""
