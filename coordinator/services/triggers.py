"""The loop in which triggers fire and waiting jobs begin.

Each firing is a transaction of its own, so a crash between two loses and doubles nothing. Whoever
commits what concerns a job rings; events of contacts ring nothing and are found by the next look.
Leaves out the loop (`rounds`) and what firing does (`coordinator.transactions.trigger_firings`).
"""

from collections.abc import Callable
from functools import partial

from coordinator.core.ports import Store, Tx
from coordinator.services.rounds import Rounds
from coordinator.services.shelf import Documents
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.chains import begin_chain, ready_chains
from coordinator.transactions.trigger_firings import (
    Bench,
    Fired,
    due_triggers,
    fire_event,
    fire_schedule,
    next_due,
)
from shared import limits
from shared.clock import Clock, Entropy, WallMs
from shared.ids import AgentId
from shared.runtime.logs import Events

_log = Events(__name__)


class Triggers(Rounds):
    """A service."""

    name = "triggers"

    look_s = float(limits.TRIGGER_LOOK_S)

    def __init__(
        self,
        documents: Documents,
        store: Store,
        clock: Clock,
        rooms: tuple[WaitingRoom[AgentId], WaitingRoom[bytes]],
        *,
        entropy: Entropy,
        submitted: Callable[[], None],
    ) -> None:
        """Take what the ids of jobs are made by, too, and whom to tell that there are new ones."""
        super().__init__(documents, store, clock, rooms)
        self._entropy, self._submitted = entropy, submitted

    async def round(self) -> bool:
        """Deal with some of what is due; tell whether something was dealt with here."""
        self._taken, dealt = False, 0
        due, waiting = await self._store.read(partial(due_triggers, self._clock.wall_ms()))
        for trigger in due:
            dealt += await self._fire(partial(fire_schedule, trigger, self._bench()))
        for trigger, occasion in waiting:
            dealt += await self._fire(partial(fire_event, trigger, occasion, self._bench()))
        chains = await self._store.read(partial(ready_chains, self._clock.wall_ms()))
        for job, wished in chains:
            dealt += await self._begin(job, wished=wished)
        return bool(dealt)

    async def _begin(self, job: bytes, *, wished: bool) -> bool:
        now_ms = self._clock.wall_ms()
        body = partial(begin_chain, job, wished=wished, now_ms=now_ms)
        begun = await self._store.run(body, durable=True)
        self._taken |= begun.taken
        if begun.done:
            _log.event("job_begun" if wished else "job_canceled", job=job, told=len(begun.agents))
            self._work.wake(begun.agents)
            self._jobs.wake([job])
        return begun.done

    def _bench(self) -> Bench:
        return Bench(
            policy=self._documents.now.shelf.policy,
            entropy=self._entropy,
            now_ms=self._clock.wall_ms(),
        )

    async def _fire(self, body: partial[Tx[Fired]]) -> bool:
        fired = await self._store.run(body, durable=True)
        if fired.taken:
            self._taken = True
            return False
        for job in fired.jobs:
            _log.event("trigger_fired", job=job)
        self._work.wake(fired.agents)
        self._jobs.wake(fired.jobs)
        if fired.jobs:
            self._submitted()
        return True

    def _next_due(self) -> Tx[WallMs | None]:
        return next_due()
