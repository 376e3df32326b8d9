"""One at a time for each, in the order of asking: nobody takes everybody's time.

A few may wait for their turn; more are turned away at once, so a flood of one is a short queue of
its own. Whoever has no turn in use is forgotten. Leaves out what is done in a turn.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.errors import Reason, RefusedError

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    inside: int = 0
    """Who has the turn, and who waits for it."""


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
            raise RefusedError(Reason.CONTACTS_CROWDED, f"{self._most} of yours are taken in now")
        queue.inside += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.inside -= 1
            if not queue.inside:
                del self._queues[key]
