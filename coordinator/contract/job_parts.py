"""The parts of a job as people write them, and their signed form.

Owns the members of each part and the two ways between the forms: a part whose members have the
same names in both is converted by its type alone (`same_part`), the others say what differs.
Leaves out time tables (`job_times`) and the job as a whole (`job_spec`).
"""

import math
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from shared import limits
from shared.errors import MistakeError
from shared.model.job import Retry, Step, Value
from shared.model.plan import Batch, PostCheck, Rule, Severity
from shared.model.schedule import SITE

_Part = TypeVar("_Part")
_MILLION: Final = 1_000_000
_STEP: Final = Step("", "")
_RULE: Final = Rule("")
_POST: Final = PostCheck("")


class StepBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One action, applied to each matching device."""

    id: str
    action: str
    params: dict[str, Value | list[str]] = {}
    when: str = _STEP.when
    """A condition; where it does not hold the step is left out."""
    timeout_s: int = _STEP.timeout_s
    """Of one try."""
    retries: int = _STEP.retries
    """Further tries within an attempt, at once."""
    on_failure: str = _STEP.on_failure
    """``fail``, ``continue`` or ``goto:STEP``, a later one."""
    for_s: int = _STEP.for_s
    """Seconds after which a written value is put back, offline too; 0: never."""


class TargetsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which agents, and which of their devices."""

    agents: list[str] = []
    """Joined with what `selector` matches."""
    selector: str = ""
    """Over agents' labels; empty selects by `agents` alone."""
    device_selector: str = ""
    """Over an agent's devices, evaluated by the agent; empty: all of them."""


class RetryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often and how patiently the agent tries again by itself."""

    failed: int = Retry().failed
    """Further attempts after a failure that retrying may cure."""
    timed_out: int | None = None
    """How many of them may follow a step that took too long; all where nothing is said."""
    initial_s: int = Retry().initial_s
    max_s: int = Retry().max_s
    multiplier: float = Retry().multiplier_ppm / _MILLION
    """By which the wait grows with each failure."""
    jitter: Literal["full", "none"] = "full"
    """``full``: any time up to the wait, so that a fleet that failed together spreads."""


class PostCheckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be true afterwards, and stay so."""

    condition: str
    within_s: int = _POST.within_s
    soak_s: int = _POST.soak_s
    every_s: int = _POST.every_s


class CompensationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done when the steps or the post-check failed for good."""

    steps: list[StepBody] = []


class WindowBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When work may begin: `duration_s` seconds from each time of `cron`."""

    cron: str
    duration_s: int
    zone: str = SITE


class AlarmBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a rule tells people at once."""

    text: str
    severity: Severity = Severity.WARNING


class RuleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A condition that fires by itself, offline too."""

    condition: str
    for_s: int = _RULE.for_s
    reset: str = _RULE.reset
    min_interval_s: int = _RULE.min_interval_s
    max_per_day: int = _RULE.max_per_day
    alarm: AlarmBody | None = None


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How it goes over the devices of one agent."""

    size: Literal["auto"] = "auto"
    """Devices at a time are bounded by their buses and the agent's memory."""
    max_parallel: int = Batch().max_parallel
    tolerate: Annotated[float, Meta(ge=0, le=1)] = 0
    """Share of devices that may fail without failing the execution."""
    canary: int = Batch().canary


class DependencyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another job that must have ended on the same agent first."""

    job: str
    outcome: str = "SUCCEEDED"


class TimeoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same as `timeout_s`, as other systems write it."""

    in_progress_s: int


def same_part(part: object, type_: type[_Part] | Any) -> _Part:  # noqa: ANN401  # any annotation
    """Return a part in its other form, where both have the same members."""
    converted: _Part = msgspec.convert(part, type_, from_attributes=True)
    return converted


def to_retry(body: RetryBody) -> Retry:
    """Return the signed form.

    Raises:
        MistakeError: its growth cannot be counted in millionths.
    """
    if not math.isfinite(body.multiplier * _MILLION):
        most = limits.BACKOFF_GROWTH
        raise MistakeError(f"it has to be 1 to {most}", where="retry.multiplier")
    return Retry(
        body.failed,
        body.initial_s,
        body.max_s,
        body.timed_out,
        round(body.multiplier * _MILLION),
        body.jitter == "full",
    )


def from_retry(retry: Retry) -> RetryBody:
    """Return the written form."""
    return RetryBody(
        failed=retry.failed,
        timed_out=retry.timed_out,
        initial_s=retry.initial_s,
        max_s=retry.max_s,
        multiplier=retry.multiplier_ppm / _MILLION,
        jitter="full" if retry.jitter else "none",
    )


def to_batch(body: BatchBody) -> Batch:
    """Return the signed form: a share is a whole number there, for floats have no one spelling."""
    return Batch(body.max_parallel, round(body.tolerate * _MILLION), body.canary)


def from_batch(batch: Batch) -> BatchBody:
    """Return what people read."""
    return BatchBody(
        max_parallel=batch.max_parallel,
        tolerate=batch.tolerate_ppm / _MILLION,
        canary=batch.canary,
    )
