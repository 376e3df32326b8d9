"""What happens in a fleet, as CloudEvents 1.0 in JSON: listed, and streamed as it happens."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.audit import Detail
from coordinator.contract.common import PageSize, PageToken, SelectorText, Time
from shared import limits

EVENT_STREAM_TYPE = "text/event-stream"
EventNumber = Annotated[int, Meta(ge=0, le=limits.INT_MAX)]


class EventData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event says; members that do not apply are left out."""

    agent: str = ""
    device: str = ""
    job: str = ""
    execution: str = ""
    state: str = ""
    """Of the execution, from now on."""
    before: str = ""
    late: bool = False
    """It was presumed OVERDUE until its agent told this."""
    reason: str = ""
    who: str = ""
    """Whose deed it is; left out: it happened."""
    detail: Detail = {}


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One event (CloudEvents 1.0); `source` and `id` together are unique for ever."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """A number that grows, with gaps; give it back to go on after it."""
    source: str
    """``urn:outstation:fleet:HEX``."""
    type: str
    """``execution.changed``, ``agent.silent``, ...: docs/events.md lists them."""
    subject: str
    """``job:ID``, ``agent:NAME``, ``execution:ID``, ``device:AGENT/DEVICE``, ..."""
    time: Time
    data: EventData


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/events``; an empty filter matches every event."""

    after: EventNumber = 0
    """Only those that follow this one, by their `id`."""
    order: Literal["oldest", "newest"] = "oldest"
    type: str = ""
    """One type, or a noun for all of its types: ``rollout``."""
    subject: str = ""
    """``job:ID`` with its executions, ``agent:NAME`` with its devices, ..."""
    selector: SelectorText = ""
    page_size: PageSize = 100
    page_token: PageToken = ""


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/events/stream``; without `after` and ``Last-Event-ID`` from now on."""

    after: EventNumber | None = None
    type: str = ""
    subject: str = ""
    selector: SelectorText = ""
    seconds: Annotated[int, Meta(ge=0, le=limits.EVENT_STREAM_S)] = limits.EVENT_STREAM_S
    """The stream ends after this time; 0: after what there is now."""


class StreamHeaders(msgspec.Struct, frozen=True, rename={"last_event_id": "last-event-id"}):
    """Whoever comes back says which event it knows."""

    last_event_id: EventNumber | None = None


class Missed(msgspec.Struct, frozen=True):
    """The data of an ``event: missed``: what followed an event is not kept any more."""

    after: int
