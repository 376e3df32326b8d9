"""One at a time for each, in the order of asking: nobody takes everybody's time.

A few may wait for their turn; more are turned away, after a pause: who floods from some connections
asks once a second on each of them, whatever it costs to look at what it sends. Whoever has no turn
in use is forgotten. Leaves out what is done in a turn.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared import limits
from shared.errors import Reason, RefusedError

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    inside: int = 0
    """Who has the turn, and who waits for it."""
    paused: int = 0
    """Who will be turned away."""


class Turns(Generic[T]):
    """Turns by whose they are."""

    def __init__(self, most: int) -> None:
        """Let `most` of each be inside, the waiting ones included."""
        self._most = most
        self._queues: dict[T, _Queue] = {}

    def __len__(self) -> int:
        """Return of how many somebody is inside."""
        return len(self._queues)

    @asynccontextmanager
    async def turn(self, key: T) -> AsyncIterator[None]:
        """Wait for the turn of `key`, and have it while inside.

        Raises:
            RefusedError: CONTACTS_CROWDED: too many of the same wait already.
        """
        queue = self._queues.setdefault(key, _Queue())
        if queue.inside >= self._most:
            await self._pause(key, queue)
            raise RefusedError(Reason.CONTACTS_CROWDED, f"{self._most} of yours are taken in now")
        queue.inside += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.inside -= 1
            self._forget(key, queue)

    async def _pause(self, key: T, queue: _Queue) -> None:
        if queue.paused >= limits.CROWDED_PAUSED:
            return  # enough memory is held for this one
        queue.paused += 1
        try:
            await asyncio.sleep(limits.CROWDED_S)
        finally:
            queue.paused -= 1
            self._forget(key, queue)

    def _forget(self, key: T, queue: _Queue) -> None:
        if not queue.inside and not queue.paused:
            del self._queues[key]
