"""Rollouts as people see them: stages with their counts, and why they wait."""

from typing import Literal

import msgspec

from coordinator.contract.common import PageSize, PageToken, Time

RolloutState = Literal[
    "READY", "RUNNING", "PAUSED", "FINISHED", "STOPPED", "ROLLED_BACK", "EXPIRED"
]
StageState = Literal["SCHEDULED", "RUNNING", "SOAKING", "FINISHED"]
OVER = frozenset({"FINISHED", "STOPPED", "ROLLED_BACK", "EXPIRED"})


class RolloutQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/rollouts``, newest first."""

    state: RolloutState | Literal[""] = ""
    page_size: PageSize = 50
    page_token: PageToken = ""


class StageView(msgspec.Struct, frozen=True):
    """One stage and how far it is."""

    name: str
    state: StageState
    planned: int
    """Members that it was planned with."""
    members: int
    """Members now: stragglers may have come or gone."""
    waiting: int
    """Of them not released."""
    counts: dict[str, int]
    """Executions by state; ``LOST``: presumed OVERDUE though it had begun."""
    reached: int
    executed: int
    succeeded: int
    failed: int
    opened_at: Time | None
    gate: str
    """The gate's arithmetic in words; empty before the stage is opened."""


class RolloutView(msgspec.Struct, frozen=True):
    """One rollout; its id is that of its job."""

    job: str
    name: str
    state: RolloutState
    why: list[str]
    """What it waits for, or why it was stopped."""
    stages: list[StageView]
    targets: int
    released: int
    created_at: Time
    created_by: str
    updated_at: Time
    next_look_at: Time | None
    """When something happens at the latest though nobody does anything."""
    undo: str | None
    """The job that takes it back."""
