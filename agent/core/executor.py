"""An attempt at a task: what it was given, how it ended, and what a receipt may carry of it.

Values, and the few judgements that need no step machine; what comes next in a job is
`agent.core.program`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.course import Course, Ended, Phase, Rest
from agent.core.queue import Due, Problem
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, TaskState, Value
from shared.wire.codec import pack

_LOOKED_AT = {
    Reason.UNKNOWN_EFFECT: TaskState.FAILED,
    Reason.POISONED: TaskState.QUARANTINED,
}
"""What a person has to look at, and what a task is that ended for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A task that this process, and nobody else, may now work on."""

    task: int
    execution: bytes
    device: DeviceId
    """Empty: the agent itself."""
    attempt: int
    """Fences everything the attempt writes; from 1, never reused after a failure."""
    crashes: int
    spec: JobSpec
    job_class: str
    grace_s: int
    not_after_ms: WallMs
    firing: int = 0
    """Which firing of a standing job it belongs to; 0 for others."""
    course: Course = Course()  # noqa: RUF009 - immutable
    trace: bytes = b""
    """The trace id of the request behind it, for the log and for nobody else; empty: none."""

    @property
    def begins_by_ms(self) -> WallMs | None:
        """Return by when it has to begin; None: checks, undoing and last steps may be late."""
        return self.not_after_ms if self.course.phase is Phase.STEPS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How an attempt ended, as one transaction writes it; READY with `due` is another one later."""

    state: TaskState
    reason: Reason | None = None
    detail: str = ""
    result: Mapping[str, Value] = field(default_factory=dict)
    due: Due | None = None
    course: Course | None = None
    """Where the next attempt goes on."""
    untried: bool = False
    """It was held before it did anything: not counted as an attempt."""
    verifying: bool = False
    """Its effects are done, only checks are left."""


def held_back(claim: Claim, problem: Problem) -> Conclusion:
    """Return how an attempt ends that may not begin.

    The first one is called off before any effect; a task that was tried before has failed.
    """
    state = TaskState.CANCELED if claim.attempt == 1 else TaskState.FAILED
    reason, detail = problem.reason, problem.detail
    if claim.course.reason in _LOOKED_AT:
        # A person has to know it, whatever keeps the last steps from being done.
        reason = Reason(claim.course.reason)
        state = _LOOKED_AT[reason]
        detail = f"{claim.course.detail}; {problem.reason.text}: {problem.detail}"
    detail = detail[: limits.DETAIL_CHARS]
    return Conclusion(state=state, reason=reason, detail=detail, result=so_far(claim.course))


def left_out(problem: Problem) -> Conclusion:
    """Return how an attempt ends at a device that the job turned out not to be for."""
    detail = problem.detail[: limits.DETAIL_CHARS]
    return Conclusion(state=TaskState.CANCELED, reason=problem.reason, detail=detail)


def resting(rest: Rest, course: Course | None, *, untried: bool) -> Conclusion:
    """Return how an attempt ends that goes on later."""
    return Conclusion(
        state=TaskState.READY,
        reason=rest.reason,
        detail=rest.detail,
        due=rest.due,
        course=course,
        untried=untried,
        verifying=course is not None and course.is_verifying,
    )


def ended(end: Ended, course: Course) -> Conclusion:
    """Return how an attempt ends that was the last."""
    result, note = bounded_result(course.result, dropped=course.dropped)
    detail = end.detail or note
    return Conclusion(state=end.state, reason=end.reason, detail=detail, result=result)


def so_far(course: Course) -> dict[str, Value]:
    """Return what a receipt tells of the steps that were done when a task ended before its end."""
    return bounded_result(course.result, dropped=course.dropped)[0]


def bounded_result(
    result: Mapping[str, Value], *, dropped: int = 0
) -> tuple[dict[str, Value], str]:
    """Return as much of a result as a receipt may carry, and what was left out.

    `dropped` values more were left out before.
    """
    total = len(result) + dropped
    kept: dict[str, Value] = {}
    size = len(pack(kept)) + _MAP_GROWTH
    for name, value in result.items():
        size += len(pack(name)) + len(pack(value))
        if size > limits.RESULT_BYTES:
            break
        kept[name] = value
    out = total - len(kept)
    return kept, f"{out} of {total} values left out" if out else ""


_MAP_GROWTH = 2
"""A msgpack map of 16 entries has a header of three bytes instead of one."""
