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


class MemberQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/rollouts/{job}/members``, by agent."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class MemberView(msgspec.Struct, frozen=True):
    """One agent of a rollout, also if it was never released; its end is its execution's."""

    agent: str
    stage: str
    """Empty: it was dropped from the rollout."""
    released: bool


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


class IncomingView(msgspec.Struct, frozen=True):
    """How far firmware has come into one device of a member, by its gateway's last word."""

    agent: str
    device: str
    permille: int
    at: Time
    """When its gateway said so."""


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
    incoming: list[IncomingView] = []
    """Devices of members that firmware is on its way into now, 20 at most; empty in lists."""


class OutlookView(msgspec.Struct, frozen=True):
    """What to expect of one stage."""

    name: str
    members: int
    expected: int
    """Call as often as usual; the others may have to be waited for."""
    silent: int
    never: int
    metered: int
    metered_bytes: int
    """On links whose bytes cost money, by the agents' labels."""
    done_after_s: int | None
    """From the start; null: it depends on agents that are not heard of."""
    sample: list[str]
    """The first 20 members."""


class ConflictView(msgspec.Struct, frozen=True):
    """An open job with the same conflict key, which this one would take the place of."""

    job: str
    name: str
    agents: int


class RolloutPreview(msgspec.Struct, frozen=True):
    """``POST /v1/rollouts/preview``: the answer to a job that is not submitted."""

    digest: str
    targets: int
    job_class: str
    approvals_needed: int
    stages: list[OutlookView]
    metered_bytes: int
    done_after_s: int | None
    conflicts: list[ConflictView]
    devices: int = 0
    """Devices there that it would be for, as they last said what they are."""
    unasked: int = 0
    """Agents among them of which no device was ever asked (`device.sync`)."""
    silent_devices: int = 0
    """Of `devices` those that do not answer, by their gateways' last word."""
