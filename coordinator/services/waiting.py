"""Who waits for what: held contacts wait for work, REST requests for a job to change.

A waiter registers before it looks at the database, so what is committed after its look wakes it.
Nothing polls. Who waits at another replica is told through `coordinator.services.hints`.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Waiter:
    """One request's wish to be woken."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Let `wait` return now, or at once when it is called later."""
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Wait until woken or until the time is over; tell which (true: woken)."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class WaitingRoom(Generic[T]):
    """Waiters by what they wait for."""

    def __init__(self) -> None:
        self._waiters: dict[T, set[Waiter]] = {}
        self._closed = False
        self._listeners: list[Callable[[], None]] = []
        self._others: Callable[[Sequence[T]], None] | None = None

    def tell(self, listener: Callable[[], None]) -> None:
        """Call `listener` too whenever anybody may be woken; it must not take time."""
        self._listeners.append(listener)

    def pass_on(self, others: Callable[[Sequence[T]], None]) -> None:
        """Call `others` with the keys of each `wake`, for those who wait at other replicas."""
        self._others = others

    @property
    def closed(self) -> bool:
        """Whether everybody is asked to go: nobody should begin to wait."""
        return self._closed

    def __contains__(self, key: T) -> bool:
        """Tell whether somebody waits for `key`."""
        return key in self._waiters

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._waiters.values()))

    @contextmanager
    def enter(self, key: T) -> Iterator[Waiter]:
        """Be woken for `key` while inside."""
        waiter = Waiter()
        self._waiters.setdefault(key, set()).add(waiter)
        try:
            yield waiter
        finally:
            others = self._waiters[key]
            others.discard(waiter)
            if not others:
                del self._waiters[key]

    def wake(self, keys: Iterable[T]) -> None:
        """Wake whoever waits for any of `keys`, wherever."""
        keys = list(keys)
        if keys and self._others is not None:
            self._others(keys)
        self.wake_here(keys)

    def wake_here(self, keys: Sequence[T]) -> None:
        """Wake whoever waits for any of `keys` in this process."""
        for listener in self._listeners if keys else ():
            listener()
        for key in keys:
            for waiter in self._waiters.get(key, ()):
                waiter.wake()

    def keys(self) -> list[T]:
        """Return what somebody waits for in this process."""
        return list(self._waiters)

    def wake_all(self) -> None:
        """Wake everybody in this process, because something changed that concerns them all."""
        self.wake_here(self.keys())

    def close(self) -> None:
        """Wake everybody, because the program stops."""
        self._closed = True
        self.wake_all()
        for listener in self._listeners:
            listener()
