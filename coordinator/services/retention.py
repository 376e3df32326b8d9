"""The loop that takes away what has been kept long enough, a little at a time.

Each step is one short transaction, with a pause behind it: contacts come first. Leaves out what
is kept for how long (`coordinator.core.retention`).
"""

import asyncio
from functools import partial

from coordinator.core.ports import LivingStore
from coordinator.transactions.retention import drop_some
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

    def __init__(self, store: LivingStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

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
        for name, count in total.items():
            _log.event("retention", setting=name, dropped=count)
        return total
