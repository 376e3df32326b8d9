"""The loop that moves rollouts on: when something changed, and when a time has come.

One transaction for each step of one. Whoever commits what concerns a job wakes it. Leaves out the
loop (`rounds`) and what a step does (`coordinator.transactions.dispatch`).
"""

from functools import partial

from coordinator.core.ports import Tx
from coordinator.services.rounds import Rounds
from coordinator.transactions.dispatch import Bench, OvertakenError, due, next_due, step
from coordinator.transactions.dispatch_joiners import add_members, joiners
from shared import limits
from shared.clock import WallMs
from shared.ids import JobId
from shared.runtime.logs import Events

_log = Events(__name__)


class Dispatcher(Rounds):
    """A service."""

    name = "dispatcher"

    look_s = float(limits.ROLLOUT_LOOK_S)

    async def round(self) -> bool:
        """Move on every rollout that is due; tell whether more is to be done at once."""
        again = self._taken = False
        for job in await self._store.read(partial(due, self._clock.wall_ms())):
            again |= await self._step(job)
        return again

    async def _step(self, job: JobId) -> bool:
        joined = await self._store.read(partial(joiners, job, self._clock.wall_ms()))
        if joined:
            await self._store.run(partial(add_members, job, joined), durable=False)
        bench = Bench(self._clock.wall_ms(), self._documents.now.shelf.policy)
        try:
            done = await self._store.run(partial(step, job, bench), durable=False)
        except OvertakenError:
            return True
        self._taken |= done.taken
        if done.agents:
            _log.event("rollout_step", job=job, agents=len(done.agents))
        self._work.wake(done.agents)
        self._jobs.wake([job] if done.changed else [])
        return done.again

    def _next_due(self) -> Tx[WallMs | None]:
        return next_due()
