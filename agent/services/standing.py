"""Keeps standing jobs: schedules fire at their times, rules when readings say so, offline too.

Owns when to look. A schedule is looked at when its next time comes, when the clock is learned and
once an hour, because timers stand still in suspend; firings that come within each other's slack
share a wake-up. A rule is looked at when a reading of one of its points came, when `for_s` ends,
and every few minutes where it names facts of the agent itself. What is over by a wall clock alone
is held back, and ends once its time is proven to be over. What is decided stands in
`agent.core.standing` and `agent.core.rules`, rows in `agent.store.standing`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import tzinfo

from agent.core.device import DeviceSettings
from agent.core.judge import Judged
from agent.core.moment import Moment
from agent.core.queue import Problem, plan_job
from agent.core.standing import agenda
from agent.services.rule_watch import RuleWatch
from agent.store.standing import StandingStore
from agent.store.standing_rows import Standing
from shared import limits
from shared.clock import MonoMs
from shared.errors import MistakeError, WorldError
from shared.ids import DeviceId, uuid_text
from shared.model.job import ExecutionState, JobSpec
from shared.model.schedule import Schedule, find_zone, jitter_ms, next_nominal
from shared.runtime.logs import Events

_log = Events(__name__)

Plan = Callable[[JobSpec], tuple[DeviceId, ...] | Problem]


class StandingJobs:
    """The service that lets schedules and rules fire."""

    name = "standing jobs"

    def __init__(
        self,
        store: StandingStore,
        *,
        rules: RuleWatch,
        plan: Plan,
        now: Callable[[], Moment],
        zone: str,
        agent: str,
        fired: Callable[[], None],
    ) -> None:
        """Wire it up.

        Args:
            store: the rows.
            rules: looks at rules.
            plan: says which devices a job works on.
            now: the best idea of now.
            zone: the site's, by its IANA name.
            agent: its id: spreads jitter over a fleet.
            fired: called when there is something new in the queue.
        """
        self._store, self._rules, self._plan = store, rules, plan
        self._now, self._zone, self._agent, self._fired = now, zone, agent, fired
        self._woken = asyncio.Event()
        self._armed: set[int] = set()
        self._jobs: list[Standing] | None = None
        self._held: set[int] = set()
        """Jobs that do nothing now: by some clock they are over."""

    def wake(self) -> None:
        """Look again: a bundle came, or the clock is known now."""
        self._jobs = None
        self._woken.set()

    def observe(self, judged: Judged) -> None:
        """See a poll; never waits."""
        if self._rules.see(judged):
            self._woken.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._woken.clear()
            wait_ms: int | None
            try:
                wait_ms = await self._look()
            except WorldError as error:
                # The disk refuses for now; what is due stays due.
                _log.event("standing_jobs_wait", level=logging.WARNING, cause=str(error))
                wait_ms = limits.PRECONDITION_MS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                    await self._woken.wait()

    async def _look(self) -> int | None:
        """Do what is due; return for how long nothing will be, None: until something happens."""
        now = self._now()
        jobs = await self._load(now)
        self._armed &= {job.number for job in jobs}
        latest: list[MonoMs] = []
        for job in jobs:
            if job.number not in self._armed:
                await self._store.arm(job, now)
                self._armed.add(job.number)
            if now.is_over(job.not_after_ms):
                await self._end(job, ExecutionState.EXPIRED, now)
            elif job.number not in self._held and job.spec.schedule is not None:
                due = await self._keep(job, job.spec.schedule, now)
                if due is not None:
                    latest.append(due)
        rules = [job for job in jobs if job.spec.rule is not None and job.number not in self._held]
        if await self._rules.look(rules, now):
            self._fired()
        if (again := self._rules.next_look_ms) is not None:
            latest.append(again)
        if not jobs:
            return None
        until = min([*latest, now.mono_ms + limits.STANDING_LOOK_MS])
        return max(0, until - self._now().mono_ms)

    async def _load(self, now: Moment) -> list[Standing]:
        """Return the orders, having noted which of them are held back."""
        # Readings come every second, orders do not: the rows are read again when they changed.
        jobs = self._jobs if self._jobs is not None else await self._store.load(now)
        held = {job.number for job in jobs if now.may_be_over(job.not_after_ms)}
        if held != self._held:
            # A rule that comes back goes on with what it remembers, not with what it once did.
            jobs = await self._store.load(now)
        self._jobs, self._held = jobs, held
        return jobs

    async def _keep(self, job: Standing, schedule: Schedule, now: Moment) -> MonoMs | None:
        """Let a schedule fire if it is due; return the latest moment of its next look."""
        if _is_early(job, now):
            assert job.due is not None, "what is early has a time"
            return MonoMs(job.due.mono_ms + schedule.slack_s * 1000)
        try:
            zone = find_zone(schedule.zone, site=self._zone, where="schedule.zone")
        except MistakeError as error:
            _log.event("schedule_unusable", level=logging.ERROR, cause=str(error))
            return None
        todo = agenda(schedule, job.last_ms, now, zone, elapsed_due=job.due, runs=job.runs)
        key = self._agent.encode() + job.execution
        delays = [jitter_ms(schedule, key, nominal) for nominal in todo.fire]
        devices = self._devices(job) if todo.fire else ()
        fired = 0
        if todo.fire or todo.missed or todo.due or job.due:
            fired = await self._store.follow(job, todo, devices, now=now, delays_ms=delays)
            self._jobs = None
        if fired:
            execution, trace = uuid_text(job.execution), job.trace or None
            _log.event("schedule_fired", execution=execution, count=fired, trace=trace)
            self._fired()
        if todo.due is None and now.sure and _is_done(schedule, now, zone):
            await self._end(job, ExecutionState.SUCCEEDED, now)
            return None
        return None if todo.due is None else MonoMs(todo.due.mono_ms + schedule.slack_s * 1000)

    def _devices(self, job: Standing) -> Sequence[DeviceId]:
        """Return the devices a firing works on: those that match now, not when it was ordered."""
        planned = self._plan(job.spec)
        if isinstance(planned, Problem):
            _log.event("standing_job_unusable", level=logging.WARNING, reason=planned.reason.text)
            return ()
        return planned

    async def _end(self, job: Standing, state: ExecutionState, now: Moment) -> None:
        await self._store.end(job, state, now)
        self._jobs = None
        self._fired()


def _is_done(schedule: Schedule, now: Moment, zone: tzinfo) -> bool:
    """Tell whether a schedule is proven to have no time to come."""
    return next_nominal(schedule, now.proven_ms, zone) is None


def _is_early(job: Standing, now: Moment) -> bool:
    """Tell whether a schedule need not be looked at yet.

    A due time of another boot, or one set while the clock was not known, says nothing. Neither
    does one that a step of the clock overtook, in either direction.
    """
    due = job.due
    if due is None or due.boot_id != now.boot_id or now.mono_ms >= due.mono_ms:
        return False
    return abs((due.today_ms - now.today_ms) - (due.mono_ms - now.mono_ms)) < _STEP_MS


_STEP_MS = 2_000


def planner(
    devices: Sequence[DeviceSettings], check: Callable[..., Problem | None]
) -> Callable[[JobSpec], tuple[DeviceId, ...] | Problem]:
    """Return a planner over an agent's devices."""

    def plan(spec: JobSpec) -> tuple[DeviceId, ...] | Problem:
        return plan_job(spec, devices, check)

    return plan
