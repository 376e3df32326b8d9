"""Works the queue off: claims due tasks, walks their programs on the devices, writes down the end.

Owns the attempts in flight. Nothing polls: it wakes when a bundle was admitted, when an attempt
ended and when the next task is due; while something is held back because a wall clock calls it
over, also when the time was told, and now and then. Decisions stand in `agent.core.program`, rows
in `agent.store.jobs`, one step in `agent.services.step_runner`. What a stop interrupts between two
steps is given back and is no failure.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from agent.core.course import Course, Do, Ended, Phase, Rest, Watch
from agent.core.executor import Claim, Conclusion, ended, held_back, left_out, resting
from agent.core.moment import Moment
from agent.core.program import Program
from agent.core.queue import Problem, chooses_by_word, due_in
from agent.services.facts import Facts
from agent.services.gates import Gates
from agent.services.step_runner import StepRunner
from agent.store.jobs import JobStore
from shared import limits
from shared.clock import Entropy, MonoMs
from shared.errors import Reason
from shared.ids import uuid_text
from shared.model.job import TaskState
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
        runner: StepRunner,
        facts: Facts,
        gates: Gates,
        now: Callable[[], Moment],
        entropy: Entropy,
        told: Callable[[], None],
        permit: Permit,
    ) -> None:
        """Wire it up.

        `told` is called whenever receipts were written; `permit` says right before an attempt why
        it may not begin, or None; `gates` say until when it has to wait.
        """
        self._store, self._runner, self._facts, self._gates = store, runner, facts, gates
        self._now, self._entropy, self._told, self._permit = now, entropy, told, permit
        self._woken = asyncio.Event()
        self._running = 0
        self._crashed = True
        self._began_ms = now().mono_ms
        self._release = self._ordered = False
        self._canceled: frozenset[tuple[bytes, int]] = frozenset()
        self._settle_ms: MonoMs | None = None
        """When to look at what is held back; None: nothing is."""
        self._looks_again = False

    @property
    def running(self) -> int:
        """Return how many attempts are in flight."""
        return self._running

    def wake(self) -> None:
        """Look at the queue: something was admitted or called off."""
        self._ordered = True
        self._woken.set()

    def release_held(self) -> None:
        """Let what waits at a gate look again now: the site was unlocked, or is so sooner."""
        self._release = True
        self._woken.set()

    def set_right(self) -> None:
        """Look at what was held back: signed words said what time it is."""
        self._looks_again = True
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; then give back what was in flight."""
        await self._recover()
        try:
            async with asyncio.TaskGroup() as attempts:
                while True:
                    await self._work(attempts)
        finally:
            await self._store.give_back(self._now())

    async def _work(self, attempts: asyncio.TaskGroup) -> None:
        self._woken.clear()
        if self._release:
            self._release = False
            await self._store.release(Reason.SITE_LOCKED, self._now())
        if self._running and self._ordered:
            self._ordered = False
            self._canceled = await self._store.canceled()
        now = self._now()
        await self._settle(now)
        # Whatever takes the power down with it begins again soon after the boot, and counts then.
        young = now.mono_ms - self._began_ms < limits.CRASH_LOOK_MS
        claimed = await self._store.claim(now, room=limits.WORKERS - self._running, durable=young)
        for claim in claimed.claims:
            self._running += 1
            attempts.create_task(self._attempt(claim), name=f"task {claim.task}")
        if claimed.receipts:
            self._told()
        if claimed.held and self._settle_ms is None:
            self._settle_ms = MonoMs(now.mono_ms + limits.STANDING_LOOK_MS)
        wakes = [at for at in (claimed.next_due_ms, self._settle_ms) if at is not None]
        await self._sleep(min(wakes, default=None))

    async def _settle(self, now: Moment) -> None:
        """Let go what was held back, once it is due to look at it.

        A clock that is set right by itself tells nobody: so it is looked at now and then, too.
        """
        again, self._looks_again = self._looks_again, False
        if self._settle_ms is None or not (again or now.mono_ms >= self._settle_ms):
            return
        held = await self._store.settle(now)
        self._settle_ms = MonoMs(now.mono_ms + limits.STANDING_LOOK_MS) if held else None

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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._woken.wait()

    async def _attempt(self, claim: Claim) -> None:
        try:
            end = await self._conclusion(claim)
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
            trace=claim.trace or None,
        )
        self._told()

    async def _conclusion(self, claim: Claim) -> Conclusion:
        """Return how the attempt ended, having done what there was to do."""
        now = self._now()
        course = claim.course.on_this_boot(now)
        if problem := await self._permit(claim, self._runner.profile_of(claim.device)):
            return held_back(claim, problem)
        # What is begun is brought to an end: only the way in has gates.
        if course.phase is Phase.STEPS and (rest := await self._gates.closed(claim, now)):
            return resting(rest, course, untried=True)
        if course.phase is Phase.STEPS and not course.chosen and chooses_by_word(claim.spec):
            if problem := await self._runner.selection.judge(claim):
                return self._unchosen(claim, course, problem)
            course = replace(course, chosen=True)
            # Durable: what its first step changes must not make it another device after a crash.
            await self._store.note(claim, course, durable=True)
        if claim.spec.window or claim.spec.preconditions:
            await self._store.begun(claim, now)
        if claim.spec.timeout_s and course.deadline is None:
            course = course.ending_by(due_in(claim.spec.timeout_s * 1000, now))
        return await self._walk(claim, Program.of(claim.spec), course)

    def _unchosen(self, claim: Claim, course: Course, problem: Problem) -> Conclusion:
        """Return how an attempt ends whose device did not say that the job is for it.

        Nothing was done: there is nothing to undo, and nothing to put in order.
        """
        if problem.reason is Reason.NOT_SELECTED:
            return left_out(problem)
        program, fraction = Program.of(claim.spec), self._entropy.fraction()
        course = program.failed(course, problem.reason, problem.detail)
        course, rest = program.after_failure(course, self._now(), fraction=fraction)
        if rest is not None:
            return resting(rest, course, untried=False)
        return Conclusion(state=TaskState.FAILED, reason=problem.reason, detail=problem.detail)

    async def _walk(self, claim: Claim, program: Program, course: Course) -> Conclusion:
        only_looking = course.is_verifying
        while True:
            rest: Rest | None = None
            if course.phase is Phase.FAILED:  # an earlier life may have ended right here
                fraction = self._entropy.fraction()
                course, rest = program.after_failure(course, self._now(), fraction=fraction)
            elif (claim.execution, claim.firing) in self._canceled and not course.is_ending:
                course = course.called_off(Reason.CANCELED)
                # Its last steps are not forgotten if it is cut off again.
                await self._store.note(claim, course, durable=False)
            else:
                course, todo = program.advance(course, self._now())
                match todo:
                    case Ended():
                        return ended(todo, course)
                    case Watch(condition):
                        holds = await self._facts.holds(condition, claim.device, course.facts)
                        if course.is_verifying:
                            course, rest = program.seen(course, self._now(), holds=holds)
                        else:
                            course = program.decided(course, holds=holds)
                    case Do(step):
                        course = await self._runner.do(claim, program, course, step)
                        only_looking = False
                    case Rest():  # a program rests after a look or a failure only
                        rest = todo
            if rest is not None:
                return resting(rest, course, untried=only_looking)
