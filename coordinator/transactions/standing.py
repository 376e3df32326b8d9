"""Where schedules and rules stand, agent by agent: armed or not, what they did, when they go on.

The next nominal time is worked out here as the agent does it; what the agent does about its clock
(`shared.model.schedule.Unsynced`) nobody here can know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from coordinator.contract.common import to_time
from coordinator.contract.standing import StandingView
from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.core.targeting import fold_labels
from coordinator.transactions.words import execution_state_text, reason_text
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import uuid_text
from shared.model.job import TERMINAL_EXECUTION, ExecutionState, JobSpec
from shared.model.schedule import SITE, Schedule, find_zone, next_nominal
from shared.model.selector import Selector
from shared.wire.codec import unpack

ZONE_LABEL: Final = "time_zone"
"""An agent's label that says what ``site`` means there; labels have no slash, so a dot stands."""
_ARMED: Final = frozenset({ExecutionState.DELIVERED, ExecutionState.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedStanding:
    """Which standing jobs are asked for; empty fields match every one."""

    kind: str = ""
    job: bytes = b""
    agent: str = ""
    limit: Selector | None = None
    """Only those of agents that match."""


def list_standing(
    wanted: WantedStanding, *, before: bytes, size: int, now_ms: WallMs
) -> Tx[tuple[list[StandingView], bool]]:
    """Return up to `size` standing executions older than an id, and whether there are more."""
    rows: list[Row] = []
    labels: dict[str, Mapping[str, str]] = {}
    while len(rows) <= size:
        page = yield from _before(wanted, before, size + 1)
        for row in page:
            if row[1] not in labels:
                found = fold_labels((yield from fetch("labels_of_one", row[1])))
                labels[row[1]] = found[row[1]]
        rows += [
            row for row in page if wanted.limit is None or wanted.limit.matches(labels[row[1]])
        ]
        if len(page) <= size:
            break
        before = page[-1][0]
    views = []
    for row in rows[:size]:
        newest = yield from fetch_one("firing_newest", row[1], row[0])
        counted = yield from fetch_one("firings_counted", row[1], row[0])
        assert counted is not None, "an aggregate always answers"
        views.append(_view(row, newest, counted[0], labels[row[1]], now_ms))
    return views, len(rows) > size


def _before(wanted: WantedStanding, before: bytes, most: int) -> Tx[Sequence[Row]]:
    kind, agent = wanted.kind, wanted.agent
    if wanted.job:
        return (yield from fetch("standing_of_job", wanted.job, kind, agent, before, most))
    if agent:
        return (yield from fetch("standing_of_agent", agent, kind, before, most))
    return (yield from fetch("standing_before", kind, before, most))


def _view(
    row: Row, newest: Row | None, firings: int, labels: Mapping[str, str], now_ms: WallMs
) -> StandingView:
    execution, agent, job, name, kind, packed, not_after_ms, state, reason, *rest = row
    detail, since_ms, cancel_ms, _ = rest
    schedule = unpack(packed, JobSpec, bound=limits.SPEC_BYTES).schedule
    armed = state in _ARMED and now_ms <= not_after_ms
    following, zone = None, "UTC"
    if schedule is not None:
        zone, place = _zone(schedule, labels)
        following = next_nominal(schedule, now_ms, place) if armed else None
    return StandingView(
        job=uuid_text(job),
        name=name,
        kind=kind,
        agent=agent,
        execution=uuid_text(execution),
        armed=armed,
        state=execution_state_text(state),
        reason=reason_text(reason),
        detail=detail,
        since=None if since_ms is None else to_time(since_ms),
        not_after=to_time(not_after_ms),
        canceling=cancel_ms is not None and state not in TERMINAL_EXECUTION,
        firings=firings,
        last_at=None if newest is None else to_time(newest[0]),
        last_state=None if newest is None else execution_state_text(newest[1]),
        last_reason=None if newest is None else reason_text(newest[2]),
        next_at=None if following is None or following > not_after_ms else to_time(following),
        zone=zone,
    )


def _zone(schedule: Schedule, labels: Mapping[str, str]) -> tuple[str, tzinfo]:
    """Return the zone of a schedule, by name too; UTC where an agent's label names none."""
    site = labels.get(ZONE_LABEL, "UTC").replace(".", "/")
    name = site if schedule.zone == SITE else schedule.zone
    try:
        return name, find_zone(name, site="UTC", where=ZONE_LABEL)
    except MistakeError:
        return "UTC", UTC
