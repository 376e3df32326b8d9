"""The keeper of readings: commits them once per interval, and brings a failed database back.

Owns when. One timer, set by the first reading after a commit: an agent without devices never wakes
up for it. Leaves out what a commit does (`agent.store.telemetry`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from agent.core.wear import Wear
from shared import limits
from shared.errors import WorldError


def bytes_written() -> int | None:
    """Return how many bytes this process has caused to be written to disks; None if nobody knows.

    Pages that were made dirty count whole (proc(5), write_bytes), which is what flash sees.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/io").read_text("ascii").splitlines():
            name, _, count = line.partition(":")
            if name == "write_bytes":
                return int(count)
    return None


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
        budget_bytes: int | None = None,
        written: Callable[[], int | None] = bytes_written,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Keep `store`; `then` is called after each commit.

        Args:
            store: what is kept.
            commit_interval_ms: how often, if that is cheap enough.
            budget_bytes: to be written per day at most; None: whatever it costs.
            written: says how much this process has written to disks; None: nobody knows.
            then: called after each commit.
        """
        self._store, self._then = store, then
        self._wanted_ms, self._budget = commit_interval_ms, budget_bytes
        self._written, self._before = written, written()
        self._wear = Wear()

    @property
    def wear(self) -> Wear:
        """Return what commits cost."""
        return self._wear

    @property
    def interval_ms(self) -> int:
        """Return the time between two commits, as the flash's budget allows."""
        if self._budget is None:
            return self._wanted_ms
        return self._wear.interval_ms(self._wanted_ms, self._budget)

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
                self._count()
                if self._then is not None:
                    await self._then()

    def _count(self) -> None:
        now = self._written()
        if now is not None and self._before is not None:
            self._wear = self._wear.after(now - self._before)
        self._before = now

    def _patience_s(self, failures: int) -> float:
        """Return how long to wait: an interval, or a growing pause while the disk refuses."""
        if not failures:
            return self.interval_ms / 1000
        doubled = limits.RESTART_INITIAL_S << min(failures - 1, 16)
        return min(doubled, limits.RESTART_MAX_S)

    async def _pressed(self, failures: int) -> None:
        if failures:
            # Pressure does not mend a disk: only time passes here.
            await asyncio.Event().wait()
        await self._store.pressed()
