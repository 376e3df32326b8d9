"""Who gets a port next: the most urgent first, first come first served among equals.

Owns the waiting list of one port, and holding back whoever could take the late answer to somebody
else's request for its own. Leaves out what is done with a turn (`agent.buses.line`).
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
    peer: int | None = field(default=None, compare=False)
    """Who answers, where nothing tells a late answer from the next one; else None."""


@dataclass(frozen=True, slots=True, order=True)
class _Waiting:
    ticket: Ticket
    granted: "asyncio.Future[None]" = field(compare=False)


class Turns:
    """A lock that is handed to the waiting ticket that sorts first of those that may speak."""

    def __init__(self) -> None:
        self._holder: Ticket | None = None
        self._waiting: list[_Waiting] = []
        self._issued = 0
        self._late: dict[int, tuple[Ticket, float]] = {}
        """By peer, whose answer may still come, and until when."""
        self._alarm: asyncio.TimerHandle | None = None

    def ticket(self, urgency: Urgency, peer: int | None = None) -> Ticket:
        """Return a new place behind all earlier ones of the same urgency."""
        self._issued += 1
        return Ticket(urgency, self._issued, peer)

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
            self._hand_on()

    def expect_late_answer(self, wait_s: float) -> None:
        """Note that an answer to the holder may still come: others wait for it, its repeats not.

        They wait without the port: other peers use it meanwhile, their decoders know them apart.
        """
        if self._holder is not None and self._holder.peer is not None:
            until_s = asyncio.get_running_loop().time() + wait_s
            self._late[self._holder.peer] = self._holder, until_s

    async def _acquire(self, ticket: Ticket) -> None:
        if self._holder is None and not self._waiting and not self._late_s(ticket):
            self._holder = ticket
            return
        if len(self._waiting) >= limits.BUS_WAITING:
            raise WorldError(Reason.BUS_DOWN, f"{limits.BUS_WAITING} requests wait already")
        waiting = _Waiting(ticket, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, waiting)
        if self._holder is None:
            self._hand_on()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)
            elif not waiting.granted.cancelled():
                # The turn was handed over in the moment of the cancellation: pass it on.
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Hand the turn to whom it belongs next, or leave it free until somebody may speak."""
        self._holder = None
        held_back: list[_Waiting] = []
        while self._waiting and self._holder is None:
            waiting = heapq.heappop(self._waiting)
            if waiting.granted.done():
                continue
            # Nobody overtakes at the same peer: a poll's repeats would hold a command back again.
            overtakes = any(waiting.ticket.peer == one.ticket.peer for one in held_back)
            if overtakes or self._late_s(waiting.ticket):
                held_back.append(waiting)
            else:
                self._holder = waiting.ticket
                waiting.granted.set_result(None)
        for waiting in held_back:
            heapq.heappush(self._waiting, waiting)
        self._set_alarm(held_back)

    def _set_alarm(self, held_back: list[_Waiting]) -> None:
        """Look again when a late answer can no longer come: nobody's turn may end then."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._holder is None and held_back:
            waits_s = [wait_s for one in held_back if (wait_s := self._late_s(one.ticket))]
            wait_s = min(waits_s, default=0.0)
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._look_again)

    def _look_again(self) -> None:
        if self._holder is None:
            self._hand_on()

    def _late_s(self, ticket: Ticket) -> float:
        """Return for how long an answer may come that this ticket could take for its own."""
        if ticket.peer is None or ticket.peer not in self._late:
            return 0.0
        owner, until_s = self._late[ticket.peer]
        if owner is ticket:
            return 0.0
        return max(0.0, until_s - asyncio.get_running_loop().time())
