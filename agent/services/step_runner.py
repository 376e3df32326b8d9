"""Does one step of one task: within its time, told whatever happens, an effect never twice.

Owns the order of writing down and doing: before the first byte of an effect that must not happen
twice, INTENT is durable; after it, so is what became of it. Decides nothing about what follows
(`agent.core.program`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from msgspec.structs import replace

from agent.actions.hand import Hand, MayWrite
from agent.actions.own import AgentHand, Caretaker
from agent.actions.registry import OWN_ACTIONS, CheckedAction, may_repeat
from agent.core.course import Course, Phase
from agent.core.device import DeviceSettings
from agent.core.executor import Claim
from agent.core.firmware import FirmwareSource
from agent.core.loan import Owner
from agent.core.moment import Moment
from agent.core.ports import Driver, StepOutcome
from agent.core.program import Program
from agent.core.queue import AGENT_ITSELF
from agent.services.selection import Selection
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore
from shared import limits
from shared.errors import Reason
from shared.ids import DeviceId, uuid_text
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import Step
from shared.runtime.logs import Events

_log = Events(__name__)
_AMBIGUOUS = frozenset(
    {
        *(Reason.TIMED_OUT, Reason.JOB_TIMED_OUT, Reason.STEP_FAILED),
        *(Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME, Reason.BUS_DOWN),
    }
)
"""Failures that prove nothing about an effect: its answer may be all that was lost."""


_Effect = Callable[[], Awaitable[StepOutcome]]


class StepRunner:
    """The hands of the executor."""

    def __init__(
        self,
        store: JobStore,
        *,
        devices: Mapping[DeviceId, tuple[DeviceSettings, Driver]],
        actions: Mapping[str, CheckedAction],
        memory: DeviceMemory,
        may_write: MayWrite,
        caretaker: Caretaker | None = None,
        now: Callable[[], Moment],
    ) -> None:
        """Wire it up.

        Args:
            store: attempts are written down there.
            devices: every device with its driver.
            actions: what can be done, by name.
            memory: what is known of devices between steps.
            may_write: says what the catalog in force does not allow to be written.
            caretaker: what the agent can do to itself; None: nothing.
            now: the agent's time.
        """
        self._store, self._devices, self._actions, self._now = store, devices, actions, now
        self._memory, self._may_write, self._caretaker = memory, may_write, caretaker
        self._lanes: dict[DeviceId, asyncio.Lock] = {}
        self.selection = Selection(devices, memory)
        """Who a job is really for, asked before its first step."""
        self.firmware: FirmwareSource | None = None
        """Where images for devices come from; None: nowhere."""

    def lane(self, device: DeviceId) -> asyncio.Lock:
        """Return what whoever changes a device holds meanwhile: one at a time."""
        return self._lanes.setdefault(device, asyncio.Lock())

    def profile_of(self, device: DeviceId) -> bytes | None:
        """Return the content hash of a device's profile, None when it is not attached."""
        found = self._devices.get(device)
        return None if found is None else found[0].profile.content_hash

    async def do(self, claim: Claim, program: Program, course: Course, step: Step) -> Course:
        """Do a step; return the course after it, written down as far as anything follows."""
        # The job's time bounds its steps; undoing and last steps have their own.
        left_ms = course.left_ms(self._now()) if course.phase is Phase.STEPS else None
        if left_ms == 0:
            what = f"the whole job took longer than {claim.spec.timeout_s} s"
            return program.failed(course, Reason.JOB_TIMED_OUT, what)
        within_s = min(step.timeout_s, limits.DELAY_S if left_ms is None else left_ms / 1000)
        if claim.spec.dry_run or self._may_repeat(claim, step):
            outcome = await self._outcome(claim, step, within_s)
            after = program.did(course, step, outcome)
            # A job of one step is at its end: its finish is written anyway.
            if len(claim.spec.every_step) > 1 or claim.spec.post_check:
                await self._store.note(claim, after, durable=False)
            return after
        return await self._once(claim, program, course, step, within_s)

    async def _once(
        self, claim: Claim, program: Program, course: Course, step: Step, within_s: float
    ) -> Course:
        """Do a step that must not be done twice."""
        if not await self._store.note(claim, replace(course, intent=step.id), durable=True):
            return program.failed(course, Reason.CANCELED, "another attempt took its place")

        async def effect() -> Course:
            outcome = await self._outcome(claim, step, within_s)
            if outcome.reason in _AMBIGUOUS:
                # Its bytes may have arrived: nobody can say whether it was done.
                outcome = StepOutcome(Reason.UNKNOWN_EFFECT, outcome.detail, outcome.result)
            after = program.did(course, step, outcome)
            await self._store.note(claim, after, durable=True)
            return after

        return await _uncut(effect())

    def _may_repeat(self, claim: Claim, step: Step) -> bool:
        found = self._devices.get(claim.device)
        told = None if found is None else may_repeat(step, found[0])
        return DECLARED[step.action].idempotent if told is None else told

    async def _outcome(self, claim: Claim, step: Step, within_s: float) -> StepOutcome:
        """Return how a step went; every way it can go wrong becomes an outcome."""
        found = self._effect(claim, step)
        if isinstance(found, StepOutcome):
            return found
        lane, effect = found
        try:
            async with asyncio.timeout(within_s), lane:
                return await effect()
        except TimeoutError:
            if within_s < step.timeout_s:
                whole = f"the whole job took longer than {claim.spec.timeout_s} s"
                return StepOutcome(Reason.JOB_TIMED_OUT, whole)
            return StepOutcome(Reason.TIMED_OUT, f"it took longer than {step.timeout_s} s")
        # A defect in one action must not stop the others' work; it is told and logged.
        except Exception as error:  # noqa: BLE001
            _log.event(
                "action_failed",
                level=logging.ERROR,
                error=error,
                action=step.action,
                execution=uuid_text(claim.execution),
                trace=claim.trace or None,
            )
            return StepOutcome(Reason.STEP_FAILED, f"{type(error).__name__}: {error}")

    def _effect(self, claim: Claim, step: Step) -> StepOutcome | tuple[asyncio.Lock, _Effect]:
        """Return what does a step, and the lane it needs; or why nothing can."""
        owner, dry_run = Owner(claim.execution, claim.firing), claim.spec.dry_run
        if (own := OWN_ACTIONS.get(step.action)) is not None:
            if self._caretaker is None:
                return StepOutcome(Reason.UNKNOWN_ACTION, step.action)
            itself = AgentHand(caretaker=self._caretaker, owner=owner, dry_run=dry_run)
            return self.lane(AGENT_ITSELF), partial(own.run, step, itself)
        found = self._devices.get(claim.device)
        if found is None:
            return StepOutcome(Reason.NO_MATCHING_DEVICE, f"{claim.device} is no longer attached")
        settings, driver = found
        action = self._actions.get(step.action)
        if action is None:
            return StepOutcome(Reason.UNKNOWN_ACTION, step.action)
        if problem := action.check(step, settings):
            return StepOutcome(problem.reason, problem.detail)
        hand = Hand(
            driver=driver,
            settings=settings,
            memory=self._memory,
            owner=owner,
            may_write=self._may_write,
            dry_run=dry_run,
            firmware=self.firmware,
            bring=None if self._caretaker is None else self._caretaker.bring,
        )
        return self.lane(claim.device), partial(action.run, step, hand)


async def _uncut(effect: Coroutine[Any, Any, Course]) -> Course:
    """Let an effect that has begun come to its end although a stop was asked for, for a while."""
    task = asyncio.ensure_future(effect)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=limits.SAFE_STOP_S)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
        raise
