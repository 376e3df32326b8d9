"""Who gets a port next: the most urgent first, first come first served among equals.

Owns the waiting list of one port. Leaves out what is done with a turn (`agent.buses.line`).
"""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agent.core.ports import Urgency
from shared import limits
from shared.errors import Reason, WorldError


@dataclass(frozen=True, slots=True, order=True)
class Ticket:
    """A place in the line; taken once, it may be used for several turns."""

    urgency: Urgency
    number: int


@dataclass(frozen=True, slots=True, order=True)
class _Waiting:
    ticket: Ticket
    granted: "asyncio.Future[None]" = field(compare=False)


class Turns:
    """A lock that is handed to the waiting ticket that sorts first."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: list[_Waiting] = []
        self._issued = 0

    def ticket(self, urgency: Urgency) -> Ticket:
        """Return a new place behind all earlier ones of the same urgency."""
        self._issued += 1
        return Ticket(urgency, self._issued)

    @asynccontextmanager
    async def turn(self, ticket: Ticket) -> AsyncIterator[None]:
        """Hold the port.

        Raises:
            WorldError: BUS_DOWN when too many wait already.
        """
        await self._acquire(ticket)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, ticket: Ticket) -> None:
        if not self._held:
            self._held = True
            return
        if len(self._waiting) >= limits.BUS_WAITING:
            raise WorldError(Reason.BUS_DOWN, f"{limits.BUS_WAITING} requests wait already")
        waiting = _Waiting(ticket, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, waiting)
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)
            elif not waiting.granted.cancelled():
                # The turn was handed over in the moment of the cancellation: pass it on.
                self._release()
            raise

    def _release(self) -> None:
        """Hand the turn to whom it belongs next, or leave it free."""
        while self._waiting:
            waiting = heapq.heappop(self._waiting)
            if not waiting.granted.done():
                waiting.granted.set_result(None)
                return
        self._held = False
