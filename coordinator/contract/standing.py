"""Standing jobs: where schedules and rules stand, what they did, and the alarms they gave."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, Time
from shared.model.job import Value

StandingKind = Literal["schedule", "rule"]
Severity = Literal["info", "warning", "critical"]
NoSeverity = Literal[""]


class FiringQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/jobs/{job}/firings``, newest first."""

    agent: str = ""
    page_size: PageSize = 100
    page_token: PageToken = ""


class FiringView(msgspec.Struct, frozen=True):
    """What a standing job did: one firing, or several in a row that ended alike."""

    agent: str
    execution: str
    device: str
    """Empty: all of its devices. Else what the firings found out about one; ``@agent``: itself."""
    first_at: Time
    """Nominal time of a schedule; when a rule fired."""
    last_at: Time
    count: int
    state: str
    """As of an execution; CANCELED for `missed`, `overlapped` or `rate_limited`: it did not run."""
    reason: str | None
    detail: str
    severity: Severity | NoSeverity
    """Of an alarm."""
    result: dict[str, Value]
    """Of the last one."""
    received_at: Time


class AlarmQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/alarms``, newest first; an empty filter matches every one."""

    severity: Severity | NoSeverity = ""
    agent: str = ""
    job: str = ""
    start: Time | None = None
    """No alarm from before this."""
    page_size: PageSize = 100
    page_token: PageToken = ""


class AlarmView(msgspec.Struct, frozen=True):
    """A rule that fired and has something to say."""

    number: int
    severity: Severity
    agent: str
    device: str
    text: str
    first_at: Time
    """By the agent's clock."""
    last_at: Time
    count: int
    values: dict[str, Value]
    """What its condition named, at the last one."""
    job: str | None
    """Null: it is not known here (any more)."""
    name: str
    received_at: Time


class StandingQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/standing``: schedules and rules agent by agent, newest first."""

    kind: StandingKind | Literal[""] = ""
    job: str = ""
    agent: str = ""
    page_size: PageSize = 100
    page_token: PageToken = ""


class StandingView(msgspec.Struct, frozen=True):
    """One schedule or rule on one agent."""

    job: str
    name: str
    kind: StandingKind
    agent: str
    execution: str
    armed: bool
    """The agent has it and lets it fire."""
    state: str
    """Of the execution; HELD without a reason: in force, waits for its time."""
    reason: str | None
    detail: str
    since: Time | None
    """Of that state, by the agent's clock; null before it was delivered."""
    not_after: Time
    """It fires no more after this."""
    canceling: bool
    firings: Annotated[int, Meta(description="as far as they are kept and were told")]
    last_at: Time | None
    last_state: str | None
    last_reason: str | None
    next_at: Time | None
    """The next nominal time of a schedule that is armed; null: none, or it is a rule."""
    zone: str
    """By which `next_at` was worked out: the schedule's own, the agent's label `time_zone`, or UTC
    where nobody said it."""
