"""Events on their way out: who listens is woken, and what nobody else tells is told.

The feed wakes streams when something new may be told: at once for what any replica commits, as far
as hints carry it, and at its next look for the rest. What a slower transaction holds back shows
when that one ends, which nobody tells: both look for it again soon, then ever later. The teller
tells what only shows over time: that a job ended everywhere, that an agent fell silent. Leaves out
what an event is (`coordinator.core.events`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from coordinator.core.events import BEGINNING, Place
from coordinator.core.ports import Store
from coordinator.services.bell import Bell
from coordinator.services.waiting import Waiter, WaitingRoom
from coordinator.transactions.events import held_place, newest_place
from coordinator.transactions.telling import (
    completed_jobs,
    fell_silent,
    silent_agents,
    tell_completed,
)
from shared import limits
from shared.clock import Clock, WallMs
from shared.runtime.logs import Events

_ANY = "any event"
_IDLE_S = 3_600.0
"""Nobody listens: the next listener rings."""
_log = Events(__name__)


class _Patience:
    """How long to sleep while an event is held back: about as long again as it was already."""

    def __init__(self) -> None:
        self._held: Place | None = None
        self._pause_s = 0.0

    def until_look_s(self, held: Place | None, longest_s: float) -> float:
        if held is None:
            return longest_s
        first_s = limits.EVENT_HELD_MS / 1000
        self._pause_s = 2 * self._pause_s if held == self._held else first_s
        self._held = held
        return min(self._pause_s, longest_s)


class Feed:
    """A service."""

    name = "events"

    def __init__(self, store: Store, jobs: WaitingRoom[bytes]) -> None:
        """Look when a job may have changed, and close when `jobs` does."""
        self._store, self._jobs = store, jobs
        self._jobs.tell(self._look)
        self._room = WaitingRoom[str]()
        self.bell = Bell()
        self._newest: Place = BEGINNING

    def __len__(self) -> int:
        """Return how many listen."""
        return len(self._room)

    @property
    def closed(self) -> bool:
        """Whether everybody is asked to go."""
        return self._room.closed

    @contextmanager
    def listen(self) -> Iterator[Waiter]:
        """Be woken by events while inside; enter before the first look."""
        with self._room.enter(_ANY) as waiter:
            self.bell.ring_here()
            yield waiter

    def ring(self) -> None:
        """Say that an event was committed here, to the listeners at other replicas too."""
        self.bell.ring()

    def _look(self) -> None:
        # Other replicas hear of a job by themselves.
        self.bell.ring_here()
        if self._jobs.closed and not self._room.closed:
            self._room.close()

    async def run(self) -> None:
        """Work until cancelled."""
        patience = _Patience()
        while True:
            if not len(self):
                await self.bell.wait(_IDLE_S)
                continue
            held = await self._store.read(held_place)
            newest = await self._store.read(newest_place)
            if newest != self._newest:
                self._newest = newest
                self._room.wake_all()
            await self.bell.wait(patience.until_look_s(held, limits.EVENT_LOOK_MS / 1000))


class Teller:
    """A service."""

    name = "teller"

    def __init__(self, store: Store, clock: Clock, told: Callable[[], None]) -> None:
        """Call `told` when something was told."""
        self._store, self._clock, self._told = store, clock, told
        self._since_ms: WallMs = clock.wall_ms()
        self._bell = Bell()

    def look_again(self) -> None:
        """Say that a job may have ended."""
        self._bell.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        self._since_ms = self._clock.wall_ms()
        patience = _Patience()
        while True:
            held = await self._store.read(held_place)
            while await self.round():
                pass
            await self._bell.wait(patience.until_look_s(held, limits.TELLER_LOOK_S))

    async def round(self) -> bool:
        """Tell some of what is to be told; tell whether there may be more at once."""
        now_ms = self._clock.wall_ms()
        touched = await self._store.read(completed_jobs)
        told = 0
        if touched.last is not None:
            told = await self._store.run(partial(tell_completed, touched, now_ms), durable=False)
        silent = await self._store.read(partial(silent_agents, self._since_ms, now_ms))
        if silent:
            told += await self._store.run(partial(fell_silent, silent, now_ms), durable=False)
            _log.event("agents_silent", count=len(silent))
        if told:
            self._told()
        return touched.more or len(silent) == limits.TELLER_ROWS
