"""Finished jobs that are old go with their executions, tasks, receipts and history.

Owns which jobs are over for good, what goes with one, and taking a bounded part of it away: a job
of a hundred thousand gateways goes in many short transactions, its own row last, so that whoever
was interrupted goes on where he was. The audit log stays. Leaves out the other kinds
(`coordinator.transactions.retention`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.retention import keeping_of
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.ids import uuid7

_BESIDE = (
    *("job_targets_drop", "approvals_drop", "job_artifacts_drop", "rollout_events_drop"),
    *("rollout_counts_drop", "rollout_members_drop", "rollout_sites_drop", "rollout_stages_drop"),
)
"""What else is kept of a job, leaves before what they hang on; none of it is counted."""


@dataclass(slots=True)
class Budget:
    """How many rows one transaction may still take, and how many it took, by kind."""

    left: int
    taken: dict[str, int] = field(default_factory=dict)

    def take(self, rows: int, kind: str = "") -> None:
        """Count rows that went; those without a kind are not told."""
        self.left -= rows
        if kind and rows:
            self.taken[kind] = self.taken.get(kind, 0) + rows


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one step did."""

    after: bytes | None
    """Go on behind this job; None: every old job was looked at."""
    taken: Mapping[str, int]


def clean_jobs(now_ms: WallMs, after: bytes, *, size: int) -> Tx[Cleaned]:
    """Look at up to `size` old jobs behind one and take up to about `size` rows away.

    Args:
        now_ms: the present.
        after: the job to go on behind; empty: the oldest.
        size: an execution, and what is one row for each job, may go over it by a few rows.
    """
    before_ms = keeping_of(dict((yield from fetch("keeping")))).jobs_before_ms(now_ms)
    if before_ms is None:
        return Cleaned(None, {})
    budget = Budget(size)
    page = yield from _page(before_ms, after, size)
    for job in page:
        if (yield from fetch_one("job_is_over", job, before_ms, now_ms)) is not None:
            gone = yield from _take(job, budget)
            if not gone:
                return Cleaned(after, budget.taken)
        after = job
    return Cleaned(after if len(page) == size else None, budget.taken)


def count_jobs(now_ms: WallMs, before_ms: int | None) -> Tx[dict[str, int]]:
    """Return how many rows of each kind would go; it takes nothing and looks at a job at a time.

    `before_ms` None: every job stays.
    """
    if before_ms is None:
        return {}
    names = ("jobs.executions", "jobs.tasks", "jobs.receipts", "jobs.firings")
    counted = dict.fromkeys(("jobs", *names), 0)
    page = yield from _page(before_ms, b"", limits.RETENTION_ROWS)
    while page:
        for job in page:
            if (yield from fetch_one("job_is_over", job, before_ms, now_ms)) is None:
                continue
            row = yield from fetch_one("job_weighs", job)
            assert row is not None, "count answers a row"
            counted["jobs"] += 1
            for name, rows in zip(names, row, strict=True):
                counted[name] += int(rows)
        page = yield from _page(before_ms, page[-1], limits.RETENTION_ROWS)
    return {name: rows for name, rows in counted.items() if rows}


def tell_cleaned(taken: Mapping[str, int], now_ms: WallMs, *, actor: str) -> Tx[None]:
    """Write one run that took something away into the history of runs."""
    yield from audit(
        now_ms, actor=actor, action="retention.run", object_="coordinator", detail=dict(taken)
    )


def _page(before_ms: int, after: bytes, size: int) -> Tx[list[bytes]]:
    # Ids of jobs begin with the time they were made at.
    end = uuid7(WallMs(max(0, before_ms)), bytes(10))
    return [job for (job,) in (yield from fetch("jobs_from", after, end, size))]


def _take(job: bytes, budget: Budget) -> Tx[bool]:
    """Take a job away as far as the budget goes; tell whether it is gone."""
    rows = yield from fetch("firings_of_job_drop", job, budget.left)
    budget.take(len(rows), "jobs.firings")
    while budget.left > 0:
        found = yield from fetch_one("execution_first_of_job", job)
        if found is None:
            break
        agent, execution = found
        for name, kind in (("receipts_drop", "jobs.receipts"), ("tasks_drop", "jobs.tasks")):
            if budget.left > 0:
                rows = yield from fetch(name, agent, execution, budget.left)
                budget.take(len(rows), kind)
        if budget.left > 0:
            yield from execute("execution_forget", agent, execution)
            budget.take(1, "jobs.executions")
    for name in _BESIDE:
        if budget.left > 0:
            budget.take(len((yield from fetch(name, job, budget.left))))
    if budget.left <= 0:
        return False
    for name in ("rollout_forget", "job_completed_forget", "job_forget"):
        yield from execute(name, job)
    budget.take(1, "jobs")
    return True
