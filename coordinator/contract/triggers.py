"""Triggers: jobs that the coordinator submits by itself, at set times or when something happens."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, SelectorText, Time
from coordinator.contract.job_parts import TargetsBody
from coordinator.contract.job_times import ScheduleBody, to_schedule
from coordinator.contract.templates import Filling
from shared import limits
from shared.model.schedule import Misfire, Overlap, Schedule

EventKind = Literal[
    "agent.enrolled",
    "agent.online",
    "device.claimed",
    "device.discovered",
    "device.lost",
    "device.moved",
    "candidate.found",
    "candidate.lost",
    "candidate.moved",
    "config.drifted",
    "disk.filling",
    "job.succeeded",
    "job.failed",
]
"""``agent.online``: it is heard again after a silence. ``device.lost``: it did not answer a job.
``device.moved``: an adopted one was followed to another place; ``device.claimed``: it was not,
because something spoke against it.
``candidate.*``: a gateway found a device that nobody attached, lost it, or met it elsewhere.
``config.drifted``: a validation found drift. ``job.*``: a job of a name ended everywhere."""
Here = Literal["", "agent", "device"]
Outcome = Literal["submitted", "overlapped", "missed", "rate_limited", "refused"]


class TimesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When: exactly one of `cron`, `interval_s` and `at`, by the coordinator's clock."""

    cron: str = ""
    interval_s: int = 0
    at: Time | None = None
    zone: str = "UTC"
    """IANA name."""
    misfire: Misfire = Misfire.ONCE
    """What becomes of times that passed while no coordinator ran."""
    max_catchup: int = 1
    overlap: Overlap = Overlap.SKIP
    """What is done while the trigger's last job is not over."""
    start: Time | None = None
    end: Time | None = None

    def to_schedule(self) -> Schedule:
        """Return the table as the arithmetic of schedules knows it."""
        members = {name: getattr(self, name) for name in self.__struct_fields__}
        return to_schedule(ScheduleBody(**members))


class EventBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What has to happen."""

    kind: EventKind
    selector: SelectorText = ""
    """Only for agents with such labels."""
    of: str = ""
    """``job.*``: jobs of this name."""
    below_mb: Annotated[int, Meta(ge=0, le=limits.INT_MAX)] = 0
    """``disk.filling``: free megabytes below which it happens, once a day for each agent."""


class TriggerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/triggers``: when, and what is submitted then."""

    name: str
    about: Annotated[str, Meta(max_length=limits.DETAIL_CHARS)] = ""
    schedule: TimesBody | None = None
    event: EventBody | None = None
    template: str = ""
    version: Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None = None
    """Of the template; left out: the one that is the newest when the trigger is saved."""
    values: Annotated[dict[str, Filling], Meta(max_length=limits.TEMPLATE_PARAMETERS)] = {}
    job: dict[str, Any] | None = None
    """A whole job instead of a template."""
    targets: TargetsBody | None = None
    here: Here = ""
    """Instead of targets: the very agent, or device, that the event is about."""
    min_interval_s: Annotated[int, Meta(ge=0, le=limits.DELAY_S)] = 0
    """Not again for the same agent within so many seconds."""
    max_per_hour: Annotated[int, Meta(ge=1, le=limits.TRIGGER_FIRINGS_PER_HOUR)] = 60


class TriggerView(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger and where it stands."""

    trigger: TriggerBody
    """Its template's version is pinned: who changes a template changes no trigger."""
    author: str
    """In whose name its jobs are submitted; his own approval of them never counts."""
    saved_at: Time
    saved_by: str
    paused: bool
    next_at: Time | None
    """Of a schedule that is not paused; null: none, or it is an event's."""
    last_at: Time | None
    last_outcome: Outcome | Literal[""]
    last_job: str | None


class TriggersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/triggers``, by name."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class OccasionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/triggers/{trigger}/firings``, newest first."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class OccasionView(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger did about one occasion."""

    occasion: str
    """The nominal time or the event, by which it is known never to fire twice."""
    at: Time
    agent: str
    outcome: Outcome | Literal["waiting"]
    detail: str
    job: str | None
    done_at: Time | None
