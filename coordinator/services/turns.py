"""One at a time for each, in the order of asking: nobody takes everybody's time.

A few may wait for their turn; more are turned away, after a pause: who floods from some connections
asks once a second on each of them, whatever it costs to look at what it sends. Where others of the
same wait, a turn is followed by a rest, so that one who floods several processes has a part of each
and not the whole: a sound one sends its next contact when it has its answer, and never rests.
Whoever has no turn in use is forgotten. Leaves out what is done in a turn.
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
    rest_until_s: float = 0.0
    """By the loop's time."""


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
                await _rest(queue)
                began_s = asyncio.get_running_loop().time()
                try:
                    yield
                finally:
                    _tire(queue, began_s)
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


def _tire(queue: _Queue, began_s: float) -> None:
    """Let whoever is next of the same rest first; where nobody waits, all of it is forgotten."""
    now_s = asyncio.get_running_loop().time()
    rest_s = min(limits.CROWDED_REST * (now_s - began_s), limits.CROWDED_REST_S)
    queue.rest_until_s = now_s + rest_s


async def _rest(queue: _Queue) -> None:
    left_s = queue.rest_until_s - asyncio.get_running_loop().time()
    if left_s > 0:
        await asyncio.sleep(left_s)
