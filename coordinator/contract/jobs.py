"""Jobs: what is submitted, what became of it on each agent, and the conversion to the signed form.

`shared.model.job.JobSpec` is what agents receive; a submission is the same content as a JSON
object plus how long it stays valid.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, Time
from shared import limits
from shared.model.job import JobSpec, Retry, Step, Targets, Value

JobState = Literal["PENDING_APPROVAL", "DENIED", "EXPIRED", "IN_PROGRESS", "COMPLETED"]
"""PENDING_APPROVAL leaves when enough distinct people signed it; EXPIRED: they did not in time.
COMPLETED: every execution is terminal, or OVERDUE; a late receipt is still accounted for."""
SETTLED: Final = frozenset({"DENIED", "EXPIRED", "COMPLETED"})
"""States that a job does not leave."""


class StepBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One action, applied to each matching device."""

    id: str
    action: str
    params: dict[str, Value | list[str]] = {}
    timeout_s: int = Step("", "").timeout_s


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


class SpecBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is wanted: the JSON form of `JobSpec`."""

    name: str
    steps: list[StepBody]
    targets: TargetsBody = TargetsBody()
    retry: RetryBody = RetryBody()
    delay_s: int = 0
    """Seconds the agent waits after it accepted the job."""


class JobSubmission(SpecBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/jobs``: a spec, and until when it may still begin."""

    not_after: Time | None = None
    expires_in_s: Annotated[int, Meta(ge=1, le=limits.DELAY_S)] | None = None
    """Instead of `not_after`, counted from submission; 30 days when neither is given."""
    job_class: str = ""
    """Of the policy; empty: the class that may do this and asks for the fewest people."""


class SubmitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/jobs?validate_only=true`` checks everything and submits nothing."""

    validate_only: bool = False


class JobPreview(msgspec.Struct, frozen=True):
    """The answer to ``validate_only``: what the submission would do."""

    digest: str
    targets: int
    sample: list[str]
    """The first 20 agents."""
    job_class: str
    approvals_needed: int
    """Distinct people who would have to agree first."""


class Agreement(msgspec.Struct, frozen=True):
    """How many people have to agree, and who did."""

    needed: int
    people: list[str]
    denied_by: str = ""
    denied_reason: str = ""


class JobView(msgspec.Struct, frozen=True):
    """One job and how far it is."""

    id: str
    name: str
    digest: str
    """sha256 of the canonical spec, hex: what people and keys sign."""
    state: JobState
    created_at: Time
    created_by: str
    not_after: Time
    targets: int
    counts: dict[str, int]
    """Executions by state."""
    spec: SpecBody
    job_class: str
    author: str
    agreement: Agreement


class JobQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/jobs``, newest first."""

    page_size: PageSize = 50
    page_token: PageToken = ""


class ExecutionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/executions``: one job's, one agent's, or all; newest first."""

    job: str = ""
    agent: str = ""
    state: str = ""
    """An execution state, e.g. ``FAILED``."""
    page_size: PageSize = 100
    page_token: PageToken = ""


class TaskView(msgspec.Struct, frozen=True):
    """What is known about one device of an execution."""

    device: str
    state: str
    attempt: int
    reason: str | None
    detail: str
    result: dict[str, Value]


class FactView(msgspec.Struct, frozen=True):
    """One receipt, as the agent numbered it; `device` is empty for the execution itself."""

    number: int
    device: str
    state: str
    attempt: int
    reason: str | None
    detail: str
    wall: Time
    """By the agent's clock."""
    received_at: Time


class ExecutionView(msgspec.Struct, frozen=True):
    """One job on one agent."""

    id: str
    job: str
    agent: str
    state: str
    reason: str | None
    late: bool
    """It was presumed OVERDUE before the agent's receipt came; the receipt is what counts."""
    created_at: Time
    updated_at: Time
    tasks: list[TaskView]
    history: list[FactView]
    """In the agent's order; empty in lists."""


def to_spec(body: SpecBody) -> JobSpec:
    """Return what agents receive: everything of a submission but its validity."""
    return JobSpec(
        name=body.name,
        steps=[Step(s.id, s.action, s.params, s.timeout_s) for s in body.steps],
        targets=Targets(body.targets.agents, body.targets.selector, body.targets.device_selector),
        retry=Retry(body.retry.failed, body.retry.initial_s, body.retry.max_s),
        delay_s=body.delay_s,
    )


def from_spec(spec: JobSpec) -> SpecBody:
    """Return the JSON form of a spec."""
    return SpecBody(
        name=spec.name,
        steps=[
            StepBody(id=s.id, action=s.action, params=s.params, timeout_s=s.timeout_s)
            for s in spec.steps
        ],
        targets=TargetsBody(
            agents=spec.targets.agents,
            selector=spec.targets.selector,
            device_selector=spec.targets.device_selector,
        ),
        retry=RetryBody(
            failed=spec.retry.failed, initial_s=spec.retry.initial_s, max_s=spec.retry.max_s
        ),
        delay_s=spec.delay_s,
    )


def parse_submission(document: Mapping[str, Any]) -> JobSubmission:
    """Return a submission from a decoded TOML or JSON document.

    Raises:
        msgspec.ValidationError: the sentence ends with the path of the member at fault.
    """
    return msgspec.convert(document, JobSubmission)
