"""What a job says, as people write it: one JSON object or TOML file, and its signed form.

Owns the members' names and the conversion to and from `shared.model.job.JobSpec`, which is what
agents receive. Leaves out its parts (`job_parts`, `job_times`) and what makes a job a mistake
(`shared.model.spec_check`), except where two ways of writing one thing contradict each other.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coordinator.contract.common import Time
from coordinator.contract.job_parts import (
    BatchBody,
    CompensationBody,
    DependencyBody,
    PostCheckBody,
    RetryBody,
    RuleBody,
    StepBody,
    TargetsBody,
    TimeoutBody,
    WindowBody,
    from_batch,
    from_retry,
    same_part,
    to_batch,
    to_retry,
)
from coordinator.contract.job_times import ScheduleBody, from_schedule, to_schedule
from coordinator.contract.mistakes import mistake_of
from coordinator.contract.rollout import AbortBody, DeadlinesBody, GateBody, RolloutBody
from shared import limits
from shared.errors import MistakeError
from shared.model.job import JobSpec, Step


class SpecBody(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    rename={"final_steps": "finally"},
):
    """What is wanted: the JSON form of `JobSpec`."""

    name: str
    steps: list[StepBody] = []
    """Only a rule that gives an alarm may have none."""
    targets: TargetsBody = TargetsBody()
    retry: RetryBody = RetryBody()
    delay_s: int = 0
    """Seconds the agent waits after it accepted the job."""
    final_steps: list[StepBody] = []
    """``finally``: done at the end of each attempt, however it ended."""
    post_check: PostCheckBody | None = None
    compensation: CompensationBody = CompensationBody()
    preconditions: list[str] = []
    """All must hold before an attempt begins; until then it is HELD."""
    window: WindowBody | None = None
    schedule: ScheduleBody | None = None
    rule: RuleBody | None = None
    batch: BatchBody = BatchBody()
    timeout_s: int = 0
    """Seconds from the first attempt to the end, over restarts; 0: without bound."""
    timeout: TimeoutBody | UnsetType = UNSET
    """Instead of `timeout_s`."""
    priority: int = 1
    """0 goes first, 3 last."""
    conflict_key: str = ""
    """Of several jobs with one key that wait on an agent only the newest is done."""
    after: DependencyBody | None = None
    dry_run: bool = False
    """Tell what would be done; change nothing."""


class JobSubmission(SpecBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/jobs``: a spec, and until when it may still begin."""

    not_after: Time | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=limits.DELAY_S)] | None = None
    """Instead of `not_after`, counted from submission; 30 days when neither is given."""
    job_class: str = ""
    """Of the policy; empty: the class that may do this and asks for the fewest people."""
    begins_after: DependencyBody | None = None
    """Another job that must have ended on the whole fleet first: SUCCEEDED (everywhere), FAILED
    (otherwise) or ANY. The coordinator waits; `after` is for each agent by itself."""
    rollout: RolloutBody | None = None
    """In which steps and how fast; without it and the next three: to everybody at once."""
    gate: GateBody | None = None
    abort: AbortBody | None = None
    deadlines: DeadlinesBody | None = None


def parse_submission(document: Mapping[str, Any]) -> JobSubmission:
    """Return a submission from a decoded TOML or JSON document.

    Raises:
        MistakeError: names the member at fault.
    """
    try:
        return msgspec.convert(document, JobSubmission)
    except msgspec.ValidationError as error:
        raise mistake_of(error, JobSubmission) from None


def place_in_body(where: str) -> str:
    """Return where people wrote what `shared.model.spec_check` points at.

    >>> place_in_body("compensation[0].params")
    'compensation.steps[0].params'
    """
    if where.startswith("compensation["):
        return "compensation.steps" + where.removeprefix("compensation")
    return where


_OWN_FORM: Final = frozenset({"compensation", "retry", "schedule", "batch", "timeout", "timeout_s"})
"""Members that are written otherwise than they are signed; all others are the same in both."""
_SIGNED: Final = {
    name: kind for name, kind in get_type_hints(JobSpec).items() if name not in _OWN_FORM
}
_WRITTEN: Final = {name: kind for name, kind in get_type_hints(SpecBody).items() if name in _SIGNED}
assert _SIGNED.keys() == _WRITTEN.keys(), "a member of one form is missing in the other"


def to_spec(body: SpecBody) -> JobSpec:
    """Return what agents receive: everything of a submission but its validity.

    Raises:
        MistakeError: `timeout` and `timeout_s` say different things.
    """
    same: dict[str, Any] = {
        name: same_part(getattr(body, name), kind) for name, kind in _SIGNED.items()
    }
    return JobSpec(
        **same,
        compensation=same_part(body.compensation.steps, list[Step]),
        retry=to_retry(body.retry),
        schedule=None if body.schedule is None else to_schedule(body.schedule),
        batch=to_batch(body.batch),
        timeout_s=_timeout_s(body),
    )


def from_spec(spec: JobSpec) -> SpecBody:
    """Return the JSON form of a spec."""
    same: dict[str, Any] = {
        name: same_part(getattr(spec, name), kind) for name, kind in _WRITTEN.items()
    }
    return SpecBody(
        **same,
        compensation=CompensationBody(steps=same_part(spec.compensation, list[StepBody])),
        retry=from_retry(spec.retry),
        schedule=None if spec.schedule is None else from_schedule(spec.schedule),
        batch=from_batch(spec.batch),
        timeout_s=spec.timeout_s,
    )


def _timeout_s(body: SpecBody) -> int:
    if body.timeout is UNSET:
        return body.timeout_s
    if body.timeout_s not in {0, body.timeout.in_progress_s}:
        raise MistakeError("it says something else than timeout_s", where="timeout.in_progress_s")
    return body.timeout.in_progress_s
