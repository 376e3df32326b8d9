"""Jobs: the questions about them, and what became of each on every agent.

What a job says stands in `coordinator.contract.job_spec`.
"""

from typing import Final, Literal

import msgspec

from coordinator.contract.agents import MovingView
from coordinator.contract.common import PageSize, PageToken, Time
from coordinator.contract.job_parts import DependencyBody
from coordinator.contract.job_spec import SpecBody
from coordinator.contract.standing import StandingKind
from shared.model.job import Value

# fmt: off
JobState = Literal[
    "PENDING_APPROVAL", "DENIED", "EXPIRED", "SCHEDULED", "IN_PROGRESS", "PAUSED", "CANCELING",
    "CANCELED", "COMPLETED", "ABORTED",
]
# fmt: on
"""PENDING_APPROVAL leaves when enough distinct people signed it; EXPIRED: they did not in time.
COMPLETED: every execution is terminal, or OVERDUE; a late receipt is still accounted for.
CANCELING: it was called off and an agent has yet to say what that stopped. SCHEDULED, PAUSED and
ABORTED come from its rollout: its time has not come, it is held, its own gate ended it. SCHEDULED
too while it waits for another job's end."""
CancelOutcome = Literal["never_delivered", "not_started", "stopped", "too_late", "unknown"]
"""``stopped``: at a safe point; the history says what was done until then. ``too_late``: it had
ended before. ``unknown``: it may have run before the agent lost its memory of what did."""
SETTLED: Final = frozenset({"DENIED", "EXPIRED", "COMPLETED", "CANCELED", "ABORTED"})
"""States that a job does not leave."""


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
    devices: int = 0
    """Devices there that it would be for, as they last said what they are."""
    unasked: int = 0
    """Agents among them of which no device was ever asked (`device.sync`)."""
    silent_devices: int = 0
    """Of `devices` those that do not answer, by their gateways' last word."""


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
    standing: StandingKind | Literal[""]
    """Whether it runs again and again, and by what."""
    canceled_at: Time | None
    canceled_by: str
    origin: str = ""
    """What made it: ``template:NAME@2``, ``retry:JOB``, ``clone:JOB``, ``trigger:NAME``."""
    waits_for: DependencyBody | None = None
    """The job whose end it waits for, or waited."""
    trace: str = ""
    """The trace id of the request's ``traceparent``, hex; the agents' logs name it too."""
    unreadable: bool = False
    """Nobody can read what it says, agents neither: of `spec` there is the name alone."""

    @property
    def succeeded_everywhere(self) -> bool:
        """Whether each of its agents did it, also those that its rollout had yet to come to.

        Not where its rollout was stopped or taken back, whatever had been done by then.
        """
        done = self.counts.get("SUCCEEDED", 0)
        return (
            set(self.counts) == {"SUCCEEDED"} and self.state != "ABORTED" and done >= self.targets
        )


class JobQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/jobs``, newest first."""

    standing: StandingKind | Literal[""] = ""
    """Only schedules, or only rules."""
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


class CancelView(msgspec.Struct, frozen=True):
    """That an execution was called off, and what came of it."""

    asked_at: Time
    outcome: CancelOutcome | None
    """Null until the agent's receipt says it."""


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
    detail: str
    """What it waits for or why it ended so, as the agent says it."""
    since: Time | None
    """Of its state, by the agent's clock; null while nothing came from the agent."""
    cancel: CancelView | None
    tasks: list[TaskView]
    history: list[FactView]
    """In the agent's order; empty in lists."""
    superseded_by: str | None = None
    """The newer job that is done instead, as far as the agent had not begun this one."""
    trace: str = ""
    """Its job's."""
    moving: MovingView | None = None
    """What is on its way at the agent, for whatever work; only while it is at this one."""
    has_earlier: bool = False
    """Its history is longer: this is the end of it."""
