"""Works the queue off: claims due tasks, runs their steps on the devices, writes down the end.

Owns the attempts in flight. Nothing polls: it wakes when a bundle was admitted, when an attempt
ended and when the next task is due. Decisions stand in `agent.core.executor`, rows in
`agent.store.jobs`. What a stop interrupts between two frames is given back and counts as nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.actions.registry import CheckedAction
from agent.core.device import DeviceSettings
from agent.core.executor import (
    Claim,
    Progress,
    after_step,
    conclude,
    held_back,
    next_step,
)
from agent.core.moment import Moment
from agent.core.ports import Driver, StepOutcome
from agent.core.queue import Problem
from agent.store.jobs import JobStore
from shared import limits
from shared.clock import Entropy, MonoMs
from shared.errors import Reason
from shared.ids import DeviceId, uuid_text
from shared.model.job import Step
from shared.runtime.logs import Events

_log = Events(__name__)


Permit = Callable[[Claim, bytes | None], Awaitable[Problem | None]]
"""Says why an attempt at a device of this profile (its content hash) may not begin now."""


class Executor:
    """The service that turns tasks into effects."""

    name = "executor"

    def __init__(
        self,
        store: JobStore,
        *,
        devices: Mapping[DeviceId, tuple[DeviceSettings, Driver]],
        actions: Mapping[str, CheckedAction],
        now: Callable[[], Moment],
        entropy: Entropy,
        told: Callable[[], None],
        permit: Permit,
    ) -> None:
        """Wire it up.

        `told` is called whenever receipts were written; `permit` says right before an attempt why
        it may not begin, or None.
        """
        self._permit = permit
        self._store, self._devices, self._actions = store, devices, actions
        self._now, self._entropy, self._told = now, entropy, told
        self._woken = asyncio.Event()
        self._running = 0
        self._crashed = True

    @property
    def running(self) -> int:
        """Return how many attempts are in flight."""
        return self._running

    def wake(self) -> None:
        """Look at the queue: something was admitted."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; then give back what was in flight."""
        await self._recover()
        try:
            async with asyncio.TaskGroup() as attempts:
                while True:
                    await self._work(attempts)
        finally:
            await self._store.give_back()

    async def _work(self, attempts: asyncio.TaskGroup) -> None:
        self._woken.clear()
        claimed = await self._store.claim(self._now(), room=limits.WORKERS - self._running)
        for claim in claimed.claims:
            self._running += 1
            attempts.create_task(self._attempt(claim), name=f"task {claim.task}")
        if claimed.receipts:
            self._told()
        await self._sleep(claimed.next_due_ms)

    async def _recover(self) -> None:
        """Put right what was running: in the first life of this process, it crashed the last."""
        await self._store.heal()
        left = await self._store.recover(self._now(), crashed=self._crashed)
        if left:
            _log.event("tasks_recovered", level=logging.WARNING, count=left, crashed=self._crashed)
            self._told()
        self._crashed = False

    async def _sleep(self, until_ms: MonoMs | None) -> None:
        """Wait to be woken, or until a task is due; the latter only while a worker is free."""
        if until_ms is None or self._running >= limits.WORKERS:
            await self._woken.wait()
            return
        # Monotonic time of the loop may stand still in suspend; the claim looks again anyway.
        left_s = max(0, until_ms - self._now().mono_ms) / 1000
        try:
            async with asyncio.timeout(left_s):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _attempt(self, claim: Claim) -> None:
        try:
            if problem := await self._permit(claim, self._profile_of(claim)):
                end = held_back(claim, problem)
            else:
                progress = await self._steps(claim)
                end = conclude(claim, progress, self._now(), fraction=self._entropy.fraction())
            current = await self._store.finish(claim, end, self._now())
        finally:
            self._running -= 1
            self._woken.set()
        _log.event(
            "attempt_ended" if current else "attempt_stale",
            execution=uuid_text(claim.execution),
            device=claim.device,
            attempt=claim.attempt,
            state=end.state.name,
            reason=end.reason.text if end.reason else None,
            detail=end.detail or None,
        )
        self._told()

    def _profile_of(self, claim: Claim) -> bytes | None:
        found = self._devices.get(claim.device)
        return None if found is None else found[0].profile.content_hash

    async def _steps(self, claim: Claim) -> Progress:
        progress = Progress()
        while step := next_step(claim.spec, progress):
            outcome = await self._step(claim, step)
            progress = after_step(progress, step, outcome)
        return progress

    async def _step(self, claim: Claim, step: Step) -> StepOutcome:
        """Do one step within its time; every way it can go wrong becomes an outcome."""
        found = self._devices.get(claim.device)
        if found is None:
            return StepOutcome(Reason.NO_MATCHING_DEVICE, f"{claim.device} is no longer attached")
        settings, driver = found
        action = self._actions.get(step.action)
        if action is None:
            return StepOutcome(Reason.UNKNOWN_ACTION, step.action)
        if problem := action.check(step, settings):
            return StepOutcome(problem.reason, problem.detail)
        try:
            async with asyncio.timeout(step.timeout_s):
                return await action.run(step, driver)
        except TimeoutError:
            return StepOutcome(Reason.TIMED_OUT, f"it took longer than {step.timeout_s} s")
        # A defect in one action must not stop the others' work; it is told and logged.
        except Exception as error:  # noqa: BLE001
            _log.event("action_failed", level=logging.ERROR, error=error, action=step.action)
            return StepOutcome(Reason.STEP_FAILED, f"{type(error).__name__}: {error}")
