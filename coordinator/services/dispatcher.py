"""The loop that moves rollouts on: when something changed, and when a time has come.

One timer for all of them, one transaction for each step of one. Whoever commits what concerns a
job wakes it; nothing polls, but for a look each half minute in which another replica's work or a
clock that was set is noticed. Leaves out what a step does (`coordinator.transactions.dispatch`).
"""

from functools import partial

from coordinator.core.ports import Store
from coordinator.services.bell import Bell
from coordinator.services.shelf import Documents
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.dispatch import Bench, OvertakenError, due, next_due, step
from coordinator.transactions.dispatch_joiners import add_members, joiners
from shared import limits
from shared.clock import Clock, Entropy
from shared.ids import AgentId, JobId
from shared.runtime.logs import Events

_log = Events(__name__)


class Dispatcher:
    """A service."""

    name = "dispatcher"

    def __init__(
        self,
        documents: Documents,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        rooms: tuple[WaitingRoom[AgentId], WaitingRoom[bytes]],
    ) -> None:
        """Take `rooms`: held contacts, and requests that wait for a job to change."""
        self._documents, self._store = documents, store
        self._clock, self._entropy = clock, entropy
        self._work, self._jobs = rooms
        self.bell = Bell()
        self._jobs.tell(self.bell.ring)
        self._taken = False
        """Another replica was at one of them in the last round."""

    def look_again(self) -> None:
        """Say that something changed."""
        self.bell.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.round():
                pass
            next_ms = await self._store.read(next_due)
            left_s = float(limits.ROLLOUT_LOOK_S)
            if self._taken:
                left_s = limits.TAKEN_LOOK_S
            elif next_ms is not None:
                left_s = max(0.0, min(left_s, (next_ms - self._clock.wall_ms()) / 1000))
            await self.bell.wait(left_s)

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
        bench = Bench(self._clock.wall_ms(), self._entropy, self._documents.now.shelf.policy)
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
