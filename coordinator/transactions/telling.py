"""Telling what only shows over time: a job that ended on every agent, an agent that fell silent.

Each is told once, whoever looks and however often: a row of its own remembers it in the same
transaction. Leaves out when to look (`coordinator.services.events`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.contract.jobs import SETTLED
from coordinator.core.events import BEGINNING, Place, Subject
from coordinator.core.ports import Row, Scalar, Tx, execute, fetch, fetch_one
from coordinator.core.presence import GRACE_MS, PATIENCE
from coordinator.transactions.jobs import view_job
from coordinator.transactions.outbox import tell
from shared import limits
from shared.clock import WallMs

_READER = "teller"


@dataclass(frozen=True, slots=True)
class Touched:
    """Jobs that may have ended, by the events since the last look."""

    jobs: Sequence[bytes]
    last: Place | None
    """Of the events that were read; None: there was none."""
    more: bool


def completed_jobs() -> Tx[Touched]:
    """Return the jobs that may have ended since the last look."""
    row = yield from fetch_one("event_read", _READER)
    place = BEGINNING if row is None else Place(*row)
    rows = yield from fetch("jobs_touched", *place, limits.TELLER_ROWS)
    if not rows:
        return Touched((), None, more=False)
    jobs = sorted({job for _, _, job in rows if job is not None})
    busy: set[Row] = set()
    for job in jobs:
        busy.update((yield from fetch("job_is_busy", job)))
    last = Place(rows[-1][0], rows[-1][1])
    ended = [job for job in jobs if (job,) not in busy]
    return Touched(ended, last, more=len(rows) == limits.TELLER_ROWS)


def tell_completed(touched: Touched, now_ms: WallMs) -> Tx[int]:
    """Tell which of them have ended, and that so much was read; return how many were told."""
    told = 0
    for job in touched.jobs:
        view = yield from view_job(job, now_ms=now_ms)
        if view is None or view.state not in SETTLED:
            continue
        if (yield from fetch_one("job_completed", job, now_ms)) is None:
            continue
        detail: dict[str, Scalar] = {"name": view.name, "state": view.state, **view.counts}
        yield from tell("job.completed", Subject(job=job), now_ms, detail=detail)
        told += 1
    assert touched.last is not None, "something was read"
    yield from execute("event_read_save", _READER, *touched.last)
    return told


def silent_agents(since_ms: WallMs, now_ms: WallMs) -> Tx[Sequence[str]]:
    """Return agents that are overdue by their own habit and were not told yet.

    Silence from before `since_ms` is ours: nobody was here to hear.
    """
    rows = yield from fetch(
        "agents_silent", now_ms, since_ms, GRACE_MS, PATIENCE, limits.TELLER_ROWS
    )
    return [agent for (agent,) in rows]


def fell_silent(agents: Sequence[str], now_ms: WallMs) -> Tx[int]:
    """Tell which of them are silent still; return how many were told."""
    told = 0
    for agent in agents:
        before_ms = now_ms - GRACE_MS
        if (yield from fetch_one("agent_fell_silent", agent, now_ms, before_ms)) is not None:
            yield from tell("agent.silent", Subject(agent=agent), now_ms)
            told += 1
    return told
