"""A bundle becomes work: judged, planned for the devices here, durable before it counts.

The same for one that came over the link and one that came on a stick.
"""

import logging
from collections.abc import Callable

from agent.core.queue import Problem
from agent.services.calendar import Calendar
from agent.services.guard import Guard
from agent.store.jobs import JobStore, Planned
from shared.errors import Reason, RefusedError, WorldError
from shared.ids import DeviceId
from shared.model.job import JobSpec
from shared.runtime.logs import Events
from shared.trust.admission import admit_bundle

_log = Events(__name__)

Planner = Callable[[JobSpec], tuple[DeviceId, ...] | Problem]
"""Says which devices a job concerns here, or why none (`agent.core.queue.plan_job`)."""


class Orders:
    """What admits bundles."""

    def __init__(self, *, guard: Guard, jobs: JobStore, plan: Planner, calendar: Calendar) -> None:
        self._guard, self._jobs = guard, jobs
        self._plan, self._calendar = plan, calendar

    async def admit(self, bundle: bytes) -> bool:
        """Admit a bundle, or count why not; tell whether it ordered anything.

        What came beside it stands either way.

        Raises:
            WorldError: the store does not work now.
        """
        try:
            admitted = admit_bundle(bundle, await self._guard.held())
        except RefusedError as error:
            await self._guard.refuse(error, "bundle")
            return False
        planned = [Planned(job, self._plan(job.spec)) for job in admitted.jobs]
        try:
            taken = await self._jobs.admit(admitted, planned, now=self._calendar.now())
        except WorldError as error:
            if error.reason is not Reason.STORE_FULL:
                raise
            # The disk takes none of it; the coordinator hears no receipts and offers it again.
            _log.event("bundle_put_off", level=logging.WARNING, cause=str(error))
            return False
        if taken.put_off:
            # No receipts tell of these, so they are granted again.
            _log.event("jobs_put_off", level=logging.WARNING, seq=admitted.seq, count=taken.put_off)
            return bool(taken.new or admitted.cancels)
        self._guard.admitted(admitted.floor_ms)
        _log.event("bundle_admitted", seq=admitted.seq, grants=len(admitted.jobs), new=taken.new)
        return True
