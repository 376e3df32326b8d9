"""The keeper of readings: commits them once per interval, and brings a failed database back.

Owns when. One timer, set by the first reading after a commit: an agent without devices never wakes
up for it. Leaves out what a commit does (`agent.store.telemetry`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from shared import limits
from shared.errors import WorldError


class Kept(Protocol):
    """A store that somebody has to keep."""

    async def begun(self) -> None:
        """Return once there is something to commit or to repair."""

    async def pressed(self) -> None:
        """Return once a commit should not wait for its interval."""

    async def keep(self) -> None:
        """Repair if needed, and commit.

        Raises:
            WorldError: the disk refuses; try again later.
        """


class Keeper:
    """The service that keeps one store."""

    name = "keeper"

    def __init__(
        self,
        store: Kept,
        *,
        commit_interval_ms: int,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Keep `store`; `then` is called after each commit."""
        self._store, self._then = store, then
        self._interval_s = commit_interval_ms / 1000

    async def run(self) -> None:
        """Commit until cancelled; what is open then is the store's to commit when it is closed."""
        failures = 0
        while True:
            await self._store.begun()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s(failures)):
                    await self._pressed(failures)
            try:
                await self._store.keep()
            except WorldError:
                # The store has noted and logged it; readings go on in memory.
                failures += 1
            else:
                failures = 0
                if self._then is not None:
                    await self._then()

    def _patience_s(self, failures: int) -> float:
        """Return how long to wait: an interval, or a growing pause while the disk refuses."""
        if not failures:
            return self._interval_s
        doubled = limits.RESTART_INITIAL_S << min(failures - 1, 16)
        return min(doubled, limits.RESTART_MAX_S)

    async def _pressed(self, failures: int) -> None:
        if failures:
            # Pressure does not mend a disk: only time passes here.
            await asyncio.Event().wait()
        await self._store.pressed()
