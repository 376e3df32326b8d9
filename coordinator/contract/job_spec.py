"""What a job says, as people write it: one JSON object or TOML file, and its signed form.

Owns the members' names and the conversion to and from `shared.model.job.JobSpec`, which is what
agents receive. Leaves out what makes a job a mistake (`shared.model.spec_check`), except where two
ways of writing one thing contradict each other.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coordinator.contract.common import Time, to_time, to_wall_ms
from coordinator.contract.mistakes import mistake_of
from shared import limits
from shared.errors import MistakeError
from shared.model.job import JobSpec, Retry, Step, Targets, Value
from shared.model.plan import Alarm, Batch, Dependency, PostCheck, Rule, Severity
from shared.model.schedule import SITE, Misfire, Overlap, Schedule, Unsynced, Window

_Body = TypeVar("_Body", bound=msgspec.Struct)
_MILLION: Final = 1_000_000
_STEP: Final = Step("", "")
_RULE: Final = Rule("")
_POST: Final = PostCheck("")
_SCHEDULE: Final = Schedule()


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
    initial_s: int = Retry().initial_s
    max_s: int = Retry().max_s


class PostCheckBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must be true afterwards, and stay so."""

    condition: str
    within_s: int = _POST.within_s
    soak_s: int = _POST.soak_s
    every_s: int = _POST.every_s


class CompensationBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done when the steps or the post-check failed for good."""

    steps: list[StepBody] = []


class ScheduleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When it runs, again and again: exactly one of `cron`, `interval_s` and `at`."""

    cron: str = ""
    interval_s: int = 0
    at: Time | None = None
    """One moment, kept by the agent also offline."""
    zone: str = SITE
    misfire: Misfire = _SCHEDULE.misfire
    max_catchup: int = _SCHEDULE.max_catchup
    overlap: Overlap = _SCHEDULE.overlap
    unsynced: Unsynced = _SCHEDULE.unsynced
    jitter_s: int = 0
    slack_s: int = 0
    start: Time | None = None
    end: Time | None = None


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


# --- to the signed form ---------------------------------------------------------------------------
def to_spec(body: SpecBody) -> JobSpec:
    """Return what agents receive: everything of a submission but its validity.

    Raises:
        MistakeError: `timeout` and `timeout_s` say different things.
    """
    return JobSpec(
        name=body.name,
        steps=[_step(one) for one in body.steps],
        targets=Targets(body.targets.agents, body.targets.selector, body.targets.device_selector),
        retry=Retry(body.retry.failed, body.retry.initial_s, body.retry.max_s),
        delay_s=body.delay_s,
        final_steps=[_step(one) for one in body.final_steps],
        post_check=None if body.post_check is None else _post_check(body.post_check),
        compensation=[_step(one) for one in body.compensation.steps],
        preconditions=body.preconditions,
        window=None if body.window is None else _window(body.window),
        schedule=None if body.schedule is None else _schedule(body.schedule),
        rule=None if body.rule is None else _rule(body.rule),
        batch=Batch(
            body.batch.max_parallel, round(body.batch.tolerate * _MILLION), body.batch.canary
        ),
        timeout_s=_timeout_s(body),
        priority=body.priority,
        conflict_key=body.conflict_key,
        after=None if body.after is None else Dependency(body.after.job, body.after.outcome),
        dry_run=body.dry_run,
    )


def _step(body: StepBody) -> Step:
    return Step(
        id=body.id,
        action=body.action,
        params=body.params,
        timeout_s=body.timeout_s,
        when=body.when,
        retries=body.retries,
        on_failure=body.on_failure,
        for_s=body.for_s,
    )


def _post_check(body: PostCheckBody) -> PostCheck:
    return PostCheck(body.condition, body.within_s, body.soak_s, body.every_s)


def _window(body: WindowBody) -> Window:
    return Window(body.cron, body.duration_s, body.zone)


def _schedule(body: ScheduleBody) -> Schedule:
    return Schedule(
        cron=body.cron,
        interval_s=body.interval_s,
        at_ms=_wall_ms(body.at),
        zone=body.zone,
        misfire=body.misfire,
        max_catchup=body.max_catchup,
        overlap=body.overlap,
        unsynced=body.unsynced,
        jitter_s=body.jitter_s,
        slack_s=body.slack_s,
        start_ms=_wall_ms(body.start),
        end_ms=_wall_ms(body.end),
    )


def _wall_ms(time: Time | None) -> int:
    return 0 if time is None else to_wall_ms(time)


def _rule(body: RuleBody) -> Rule:
    return Rule(
        condition=body.condition,
        for_s=body.for_s,
        reset=body.reset,
        min_interval_s=body.min_interval_s,
        max_per_day=body.max_per_day,
        alarm=None if body.alarm is None else Alarm(body.alarm.text, body.alarm.severity),
    )


def _timeout_s(body: SpecBody) -> int:
    if body.timeout is UNSET:
        return body.timeout_s
    if body.timeout_s not in {0, body.timeout.in_progress_s}:
        raise MistakeError("it says something else than timeout_s", where="timeout.in_progress_s")
    return body.timeout.in_progress_s


# --- from the signed form -------------------------------------------------------------------------
def from_spec(spec: JobSpec) -> SpecBody:
    """Return the JSON form of a spec."""
    schedule, rule, check = spec.schedule, spec.rule, spec.post_check
    return SpecBody(
        name=spec.name,
        steps=[_step_body(one) for one in spec.steps],
        targets=TargetsBody(
            agents=spec.targets.agents,
            selector=spec.targets.selector,
            device_selector=spec.targets.device_selector,
        ),
        retry=RetryBody(
            failed=spec.retry.failed, initial_s=spec.retry.initial_s, max_s=spec.retry.max_s
        ),
        delay_s=spec.delay_s,
        final_steps=[_step_body(one) for one in spec.final_steps],
        post_check=_body_of(check, PostCheckBody),
        compensation=CompensationBody(steps=[_step_body(one) for one in spec.compensation]),
        preconditions=spec.preconditions,
        window=_body_of(spec.window, WindowBody),
        schedule=None if schedule is None else _schedule_body(schedule),
        rule=_body_of(rule, RuleBody),
        batch=BatchBody(
            max_parallel=spec.batch.max_parallel,
            tolerate=spec.batch.tolerate_ppm / _MILLION,
            canary=spec.batch.canary,
        ),
        timeout_s=spec.timeout_s,
        priority=spec.priority,
        conflict_key=spec.conflict_key,
        after=_body_of(spec.after, DependencyBody),
        dry_run=spec.dry_run,
    )


def _step_body(step: Step) -> StepBody:
    return msgspec.convert(step, StepBody, from_attributes=True)


def _schedule_body(schedule: Schedule) -> ScheduleBody:
    return ScheduleBody(
        cron=schedule.cron,
        interval_s=schedule.interval_s,
        at=_time(schedule.at_ms),
        zone=schedule.zone,
        misfire=schedule.misfire,
        max_catchup=schedule.max_catchup,
        overlap=schedule.overlap,
        unsynced=schedule.unsynced,
        jitter_s=schedule.jitter_s,
        slack_s=schedule.slack_s,
        start=_time(schedule.start_ms),
        end=_time(schedule.end_ms),
    )


def _time(wall_ms: int) -> Time | None:
    return to_time(wall_ms) if wall_ms else None


def _body_of(part: msgspec.Struct | None, type_: type[_Body]) -> _Body | None:
    """Return a part whose members have the same names in both forms."""
    return None if part is None else msgspec.convert(part, type_, from_attributes=True)
