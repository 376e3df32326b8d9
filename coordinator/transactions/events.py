"""Events as listeners read them: in order, from any place on, within what they may see.

A reader gives the number of the last event that it knows and gets what follows. It never misses
one: on PostgreSQL what a slower transaction may still put before an event holds that event back
(docs/adr/0037). Leaves out writing (`coordinator.transactions.outbox`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from coordinator.contract.audit import Detail
from coordinator.contract.common import to_time
from coordinator.contract.events import EventData, EventView
from coordinator.core.events import BEGINNING, Place, Subject
from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.transactions.sight import sees_agent, sees_job
from coordinator.transactions.words import execution_state_text, reason_text
from shared import limits
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from shared.model.selector import Selector

NEWEST = Place(limits.INT_MAX, limits.INT_MAX)
"""After every event: where a list that goes from new to old begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Which events somebody listens to; empty members match every one."""

    source: str
    """How the events name this fleet."""
    type: str = ""
    """One type, or the noun of several."""
    subject: Subject = field(default_factory=Subject)
    selector: Selector | None = None
    """Only those of agents that match."""
    limit: Selector | None = None
    """What the listener's token may see."""


@dataclass(frozen=True, slots=True)
class Heap:
    """A part of the events."""

    events: Sequence[EventView]
    last: Place
    """Of the last row that was looked at, shown or not: where to go on."""
    more: bool
    """There may be more after it at once."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a listener goes on."""

    place: Place
    missed: bool = False
    """What followed the event it knows may be gone: it was too long away."""


def read_events(heard: Heard, *, place: Place, size: int, back: bool = False) -> Tx[Heap]:
    """Return up to `size` events after a place, or before it, newest first.

    At most `limits.EVENTS_SCANNED` rows are looked at, so a page may be short although more follow.
    """
    eyes = _Eyes(heard)
    shown: list[EventView] = []
    looked = 0
    while looked < limits.EVENTS_SCANNED:
        rows = yield from _rows(heard, place, size, back=back)
        for row in rows:
            place = Place(row[0], row[1])
            if (yield from eyes.see(row)):
                shown.append(_view(row, heard.source))
            if len(shown) == size:
                return Heap(shown, place, more=True)
        looked += len(rows)
        if len(rows) < size:
            return Heap(shown, place, more=False)
    return Heap(shown, place, more=True)


def find_start(number: int) -> Tx[Start]:
    """Return where whoever knows the events up to a number goes on; 0: from the oldest."""
    if number == 0:
        return Start(BEGINNING)
    row = yield from fetch_one("event_place", number)
    if row is not None:
        return Start(Place(*row))
    beyond = yield from fetch_one("event_place_beyond", number)
    if beyond is not None:
        return Start(Place(beyond[0], beyond[1] - 1), missed=True)
    return Start((yield from newest_place()), missed=True)


def newest_place() -> Tx[Place]:
    """Return the place of the newest event that may be told."""
    row = yield from fetch_one("event_newest")
    return BEGINNING if row is None else Place(*row)


def held_place() -> Tx[Place | None]:
    """Return the place of the first event that a slower transaction holds back, if one does.

    Ask before reading what may be told: what was not held then is among it.
    """
    row = yield from fetch_one("event_held")
    return None if row is None else Place(*row)


def _rows(heard: Heard, place: Place, size: int, *, back: bool) -> Tx[Sequence[Row]]:
    about = heard.subject
    return (
        yield from fetch(
            "events_before" if back else "events_after",
            *(*place, heard.type, about.agent, about.device),
            *(about.job or None, about.execution or None, about.object, size),
        )
    )


class _Eyes:
    """Tells which events a listener may see; asks once for each agent and job."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._agents: dict[str, bool] = {}
        self._jobs: dict[bytes, bool] = {}

    def see(self, row: Row) -> Tx[bool]:
        agent, job = row[4], row[6]
        heard = self._heard
        if heard.limit is None and heard.selector is None:
            return True
        if agent:
            if agent not in self._agents:
                seen = yield from sees_agent(agent, heard.limit)
                seen = seen and (yield from sees_agent(agent, heard.selector))
                self._agents[agent] = seen
            return self._agents[agent]
        if job is None or heard.selector is not None:
            return False  # of no single agent: it concerns the whole fleet
        if job not in self._jobs:
            self._jobs[job] = yield from sees_job(job, heard.limit)
        return self._jobs[job]


def _view(row: Row, source: str) -> EventView:
    _, number, at_ms, type_, agent, device, job, execution, before, after, *rest = row
    reason, actor, object_, detail = rest
    subject = Subject(
        agent=agent, device=device, job=job or b"", execution=execution or b"", object=object_
    )
    return EventView(
        id=str(number),
        source=source,
        type=type_,
        subject=subject.text,
        time=to_time(at_ms),
        data=EventData(
            agent=agent,
            device=device,
            job="" if job is None else uuid_text(job),
            execution="" if execution is None else uuid_text(execution),
            state="" if after < 0 else execution_state_text(after),
            before="" if before < 0 else execution_state_text(before),
            late=before == ExecutionState.OVERDUE and after >= 0,
            reason=reason_text(reason) or "",
            who=actor,
            detail=msgspec.json.decode(detail, type=Detail),
        ),
    )
