"""What follows an attempt at a task: the next step, success, another try, or failure.

Pure. The steps of a task run in order on one device; the first that fails ends the attempt. An
attempt begins with the first step again: every step is idempotent or none was done.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.moment import Moment
from agent.core.ports import StepOutcome
from agent.core.queue import Due, Problem, due_in
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Step, TaskState, Value
from shared.model.policy import full_jitter_ms, may_retry
from shared.wire.codec import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A task that this process, and nobody else, may now work on."""

    task: int
    execution: bytes
    device: DeviceId
    attempt: int
    """Fences everything the attempt writes; from 1, never reused after a failure."""
    crashes: int
    spec: JobSpec
    job_class: str
    grace_s: int
    not_after_ms: WallMs


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt has come."""

    done: int = 0
    result: Mapping[str, Value] = field(default_factory=dict)
    failure: StepOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How an attempt ended, as one transaction writes it; READY with `due` is another try."""

    state: TaskState
    reason: Reason | None = None
    detail: str = ""
    result: Mapping[str, Value] = field(default_factory=dict)
    due: Due | None = None


def held_back(claim: Claim, problem: Problem) -> Conclusion:
    """Return how an attempt ends that may not begin.

    The first one is called off before any effect; a task that was tried before has failed.
    """
    state = TaskState.CANCELED if claim.attempt == 1 else TaskState.FAILED
    detail = problem.detail[: limits.DETAIL_CHARS]
    return Conclusion(state=state, reason=problem.reason, detail=detail)


def next_step(spec: JobSpec, progress: Progress) -> Step | None:
    """Return the step to do now, or None when the attempt is over."""
    if progress.failure or progress.done == len(spec.steps):
        return None
    return spec.steps[progress.done]


def after_step(progress: Progress, step: Step, outcome: StepOutcome) -> Progress:
    """Return the progress once `step` ended; results are named ``step.point``."""
    named = {f"{step.id}.{name}": value for name, value in outcome.result.items()}
    result = {**progress.result, **named}
    if outcome.reason is None:
        return Progress(progress.done + 1, result)
    detail = f"{step.id}: {outcome.detail}" if outcome.detail else step.id
    return Progress(progress.done, result, StepOutcome(outcome.reason, detail))


def conclude(claim: Claim, progress: Progress, now: Moment, *, fraction: float) -> Conclusion:
    """Return how the attempt ends.

    Args:
        claim: the attempt.
        progress: what its steps did.
        now: when it ended; a retry is due relative to it.
        fraction: random in [0, 1), spreads the retries of a fleet that failed together.
    """
    result, note = _bounded(progress.result)
    failure = progress.failure
    if failure is None:
        return Conclusion(state=TaskState.DONE, detail=note, result=result)
    assert failure.reason is not None, "a failure has a reason"
    detail = failure.detail[: limits.DETAIL_CHARS]
    failures = claim.attempt - claim.crashes
    retry = claim.spec.retry
    if may_retry(failure.reason, failures=failures, allowed=retry.failed):
        delay = full_jitter_ms(
            failures, initial_s=retry.initial_s, max_s=retry.max_s, fraction=fraction
        )
        return Conclusion(
            state=TaskState.READY, reason=failure.reason, detail=detail, due=due_in(delay, now)
        )
    return Conclusion(state=TaskState.FAILED, reason=failure.reason, detail=detail, result=result)


def _bounded(result: Mapping[str, Value]) -> tuple[dict[str, Value], str]:
    """Return as much of a result as a receipt may carry, and what was left out."""
    kept: dict[str, Value] = {}
    size = len(pack(kept)) + _MAP_GROWTH
    for name, value in result.items():
        sent = _sendable(value)
        size += len(pack(name)) + len(pack(sent))
        if size > limits.RESULT_BYTES:
            return kept, f"{len(result) - len(kept)} of {len(result)} values left out"
        kept[name] = sent
    return kept, ""


def _sendable(value: Value) -> Value:
    """Return a value as signed documents may carry it: they know no -0.0 and 53 bits.

    One that is refused would make every report with its receipt unreadable.
    """
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= limits.INT_MAX else float(value)
    return value + 0.0 if math.isfinite(value) else str(value)


_MAP_GROWTH = 2
"""A msgpack map of 16 entries has a header of three bytes instead of one."""
