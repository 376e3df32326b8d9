"""How a task gets from its first step to its end: one pure step machine.

    STEPS -> CHECK -> SOAK ---------------------------> FINAL -> END
      |        |        |                                 ^
      +--------+--------+-> FAILED -> (COMPENSATE) -------+
                               |
                               +-> STEPS again, later, at the step that failed

Owns what comes next after every step, every look at a condition and every interruption: an attempt
that was cut, or that is tried again, repeats nothing that had succeeded. Leaves out doing steps
(`agent.services.executor`), rows (`agent.store.jobs`) and what facts are (`agent.core.facts`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from agent.core.course import SKIPPED, Course, Do, Ended, Next, Phase, Rest, Watch
from agent.core.moment import Moment
from agent.core.ports import StepOutcome
from agent.core.queue import due_in
from shared import limits
from shared.errors import Reason
from shared.model.condition import Condition
from shared.model.job import JobSpec, Step, TaskState, Value
from shared.model.plan import CONTINUE, GOTO
from shared.model.policy import full_jitter_ms, may_retry
from shared.model.spec_check import conditions_of

_UNWANTED = frozenset({Reason.CANCELED, Reason.SUPERSEDED})
"""Ends that are no failure."""
_CUT = "cut off; the device may or may not have done it"
_LISTS = {Phase.STEPS: "steps", Phase.COMPENSATE: "compensation", Phase.FINAL: "finally"}


@dataclass(frozen=True, slots=True)
class Program:
    """A job's steps and conditions, taken apart once."""

    spec: JobSpec
    conditions: Mapping[str, Condition]

    @classmethod
    def of(cls, spec: JobSpec) -> "Program":
        """Return the program of a job that was checked."""
        return cls(spec, conditions_of(spec))

    def advance(self, course: Course, now: Moment) -> tuple[Course, Next]:
        """Return what to do now, and the course on the way to it.

        A `Watch` is followed by `decided` where a step has a condition, by `seen` where the
        post-check is on.

        Args:
            course: where the task stands; not FAILED.
            now: when a check begins that begins now.
        """
        assert course.phase is not Phase.FAILED, "see `after_failure`"
        while True:
            if course.phase is Phase.END:
                return course, _verdict(course)
            if course.is_verifying:
                return self._watching(course, now)
            steps = self._steps(course.phase)
            if course.index < len(steps):
                step = steps[course.index]
                if step.when and not course.cleared:
                    where = f"{_LISTS[course.phase]}[{course.index}].when"
                    return course, Watch(self.conditions[where])
                return course, Do(step)
            course = self._leave(course)

    def decided(self, course: Course, *, holds: bool | None) -> Course:
        """Return the course after the condition of the next step was looked at."""
        if holds is True:
            return replace(course, cleared=True)
        step = self._steps(course.phase)[course.index]
        return course.moved({f"{step.id}.reason": SKIPPED})

    def did(self, course: Course, step: Step, outcome: StepOutcome) -> Course:
        """Return the course once a step ended: the next one, a jump, another try, or FAILED."""
        facts: dict[str, Value] = {f"{step.id}.{k}": v for k, v in outcome.result.items()}
        if outcome.reason is None:
            return course.moved({**facts, f"{step.id}.ok": True})
        tries = course.tries + 1
        if may_retry(outcome.reason, failures=tries, allowed=step.retries):
            return replace(course, tries=tries, intent="")
        facts |= {f"{step.id}.ok": False, f"{step.id}.reason": outcome.reason.text}
        if step.on_failure == CONTINUE:
            return course.moved(facts)
        if step.on_failure.startswith(GOTO):
            ids = [one.id for one in self._steps(course.phase)]
            return course.moved(facts, index=ids.index(step.on_failure.removeprefix(GOTO)))
        detail = f"{step.id}: {outcome.detail}" if outcome.detail else step.id
        return self.failed(course.knowing(facts), outcome.reason, detail)

    def failed(self, course: Course, reason: Reason, detail: str) -> Course:
        """Return the course after a failure: of the job, of its undoing, or of a last step."""
        if course.phase is Phase.FINAL:
            return course.moved({})
        if course.phase is Phase.COMPENSATE:
            both = f"{course.detail}; undoing: {detail}"[: limits.DETAIL_CHARS]
            return replace(course, phase=Phase.FINAL, index=0, tries=0, undone=False, detail=both)
        told = detail[: limits.DETAIL_CHARS]
        return replace(
            course, phase=Phase.FAILED, tries=0, reason=int(reason), detail=told, until=None
        )

    def cut_off(
        self, course: Course, *, poison: str = "", canceled: bool = False
    ) -> tuple[Course, Ended | None]:
        """Return how a task goes on whose attempt was cut off, and its end if nothing is left.

        An effect that had begun is never begun again: nobody can say whether it was done. Undoing
        and last steps follow as after any other failure.

        Args:
            course: as it was written down last.
            poison: why there is no further attempt; empty: there may be one.
            canceled: it was called off meanwhile.
        """
        after = course
        if course.intent:
            step = next(iter(self._steps(course.phase)[course.index :]), None)
            unknown = StepOutcome(Reason.UNKNOWN_EFFECT, _CUT)
            if step is None or step.id != course.intent:  # damage: it is not known where it stood
                return course, Ended(TaskState.FAILED, unknown.reason, f"{course.intent}: {_CUT}")
            after = self.did(course, step, unknown)
        if poison and course.is_ending:  # it had its chance to put things in order
            if course.intent or course.reason == Reason.UNKNOWN_EFFECT:
                detail = after.detail or f"{course.intent}: {_CUT}"
                return after, Ended(TaskState.FAILED, Reason.UNKNOWN_EFFECT, detail)
            return after, Ended(TaskState.QUARANTINED, Reason.POISONED, poison)
        if not after.is_ending:
            if poison:
                after = self.failed(after, Reason.POISONED, poison)
            elif canceled:
                after = after.called_off(Reason.CANCELED)
        if after is course or self._has_more(after):
            return after, None
        return after, _verdict(after)

    def _has_more(self, course: Course) -> bool:
        """Tell whether something is left to do once a cut changed the course."""
        if course.phase is Phase.FAILED:
            return bool(self.spec.compensation or self.spec.final_steps)
        return course.phase is not Phase.FINAL or course.index < len(self.spec.final_steps)

    def after_failure(
        self, course: Course, now: Moment, *, fraction: float
    ) -> tuple[Course, Rest | None]:
        """Return how it goes on after FAILED: another attempt later, else undoing, else the end.

        Args:
            course: FAILED.
            now: a retry is due relative to it.
            fraction: random in [0, 1), spreads the retries of a fleet that failed together.
        """
        reason, retry = Reason(course.reason), self.spec.retry
        timeouts = course.timeouts + (reason is Reason.TIMED_OUT)
        course = replace(course, failures=course.failures + 1, timeouts=timeouts)
        patient = retry.timed_out is None or timeouts <= retry.timed_out
        if patient and may_retry(reason, failures=course.failures, allowed=retry.failed):
            delay = full_jitter_ms(
                course.failures,
                initial_s=retry.initial_s,
                max_s=retry.max_s,
                fraction=fraction if retry.jitter else 1,
                multiplier_ppm=retry.multiplier_ppm,
            )
            rest = Rest(due_in(delay, now), reason, course.detail)
            return replace(course, phase=Phase.STEPS, reason=0, detail=""), rest
        phase = Phase.COMPENSATE if self.spec.compensation else Phase.FINAL
        return replace(course, phase=phase, index=0), None

    def seen(
        self, course: Course, now: Moment, *, holds: bool | None
    ) -> tuple[Course, Rest | None]:
        """Return the course after a look at the post-check, and when to look again.

        Args:
            course: in CHECK or SOAK.
            now: when it was looked.
            holds: what the condition says; None: nothing known settles it.
        """
        check = self.spec.post_check
        assert check is not None, "a course is checked only where there is a check"
        rest = Rest(due_in(check.every_s * 1000, now))
        over = course.check_is_over(now)
        if course.phase is Phase.CHECK:
            if holds:
                return self._holds(course, check.soak_s, now, rest)
            if not over:
                return course, rest
            return self.failed(course, Reason.POST_CHECK_FAILED, check.condition), None
        if holds is False:
            what = f"no longer holds: {check.condition}"
            return self.failed(course, Reason.POST_CHECK_FAILED, what), None
        if not over:
            return course, rest
        if holds is None:
            what = f"cannot be told any more: {check.condition}"
            return self.failed(course, Reason.POST_CHECK_FAILED, what), None
        return replace(course, phase=Phase.FINAL, index=0, until=None), None

    def _holds(
        self, course: Course, soak_s: int, now: Moment, rest: Rest
    ) -> tuple[Course, Rest | None]:
        if soak_s == 0:
            return replace(course, phase=Phase.FINAL, index=0, until=None), None
        soaking = replace(course, phase=Phase.SOAK)
        return soaking.checked_until(due_in(soak_s * 1000, now)), rest

    def _watching(self, course: Course, now: Moment) -> tuple[Course, Watch]:
        check = self.spec.post_check
        assert check is not None, "a course is checked only where there is a check"
        if course.until is None:
            course = course.checked_until(due_in(check.within_s * 1000, now))
        return course, Watch(self.conditions["post_check.condition"])

    def _steps(self, phase: Phase) -> Sequence[Step]:
        lists = {Phase.STEPS: self.spec.steps, Phase.COMPENSATE: self.spec.compensation}
        return lists.get(phase, self.spec.final_steps)

    def _leave(self, course: Course) -> Course:
        """Return the course once a phase's list is done."""
        if course.phase is Phase.FINAL:
            return replace(course, phase=Phase.END)
        if course.phase is Phase.STEPS and self.spec.post_check:
            return replace(course, phase=Phase.CHECK, index=0)
        undone = True if course.phase is Phase.COMPENSATE else None
        return replace(course, phase=Phase.FINAL, index=0, undone=undone)


def _verdict(course: Course) -> Ended:
    if not course.reason:
        return Ended(TaskState.DONE)
    reason = Reason(course.reason)
    if reason in _UNWANTED:
        return Ended(TaskState.CANCELED, reason, course.detail)
    if reason is Reason.POISONED:
        return Ended(TaskState.QUARANTINED, reason, course.detail)
    if course.undone is None:
        return Ended(TaskState.FAILED, reason, course.detail)
    undone = Reason.UNDONE if course.undone else Reason.UNDO_FAILED
    return Ended(TaskState.FAILED, undone, f"{reason.text}: {course.detail}"[: limits.DETAIL_CHARS])
