"""The loop that takes away what has been kept long enough, a little at a time.

Each step is one short transaction, with a pause behind it: contacts come first. A round that took
something away is one entry of the audit log, and so an event. Leaves out what
is kept for how long (`coordinator.core.retention`).
"""

import asyncio
from functools import partial

from coordinator.core.ports import LivingStore
from coordinator.transactions.cleaning import clean_jobs, tell_cleaned
from coordinator.transactions.retention import drop_some
from shared import limits
from shared.clock import Clock
from shared.runtime.logs import Events

ROUND_S = 600
"""Between two rounds: what is ten minutes over its time hurts nobody."""
PAUSE_S = 0.05
"""Between two steps of a round: deleting has a fraction of the writer's time."""

_log = Events(__name__)


class Retention:
    """A service."""

    name = "retention"

    def __init__(self, store: LivingStore, clock: Clock, *, actor: str = "coordinator") -> None:
        """`actor`: in whose name the history of runs is written."""
        self._store, self._clock, self._actor = store, clock, actor

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(ROUND_S)

    async def round(self, *, pause_s: float = PAUSE_S) -> dict[str, int]:
        """Take away what is over its time or bound; return how many rows by setting."""
        total = dict(await self._store.upkeep(self._clock.wall_ms()))
        while dropped := await self._store.run(
            partial(drop_some, self._clock.wall_ms()), durable=False
        ):
            for name, count in dropped.items():
                total[name] = total.get(name, 0) + count
            await asyncio.sleep(pause_s)
        await self._clean_jobs(total, pause_s)
        if total:
            now_ms = self._clock.wall_ms()
            body = partial(tell_cleaned, total, now_ms, actor=self._actor)
            await self._store.run(body, durable=False)
        for name, count in total.items():
            _log.event("retention", setting=name, dropped=count)
        return total

    async def _clean_jobs(self, total: dict[str, int], pause_s: float) -> None:
        """Walk once over the old jobs, oldest first, and add what went to `total`."""
        after: bytes | None = b""
        while after is not None:
            body = partial(clean_jobs, self._clock.wall_ms(), after, size=limits.RETENTION_ROWS)
            cleaned = await self._store.run(body, durable=False)
            for name, count in cleaned.taken.items():
                total[name] = total.get(name, 0) + count
            after = cleaned.after
            if after is not None:
                await asyncio.sleep(pause_s)
