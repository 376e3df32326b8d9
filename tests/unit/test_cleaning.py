"""Finished jobs that are old go with all that was kept of them, and nothing else does."""

from functools import partial

import pytest

from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollup import DAY_MS
from coordinator.services.retention import Retention
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.audit import list_audit
from coordinator.transactions.cancel import cancel
from coordinator.transactions.deadlines import expire
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.retention import count_excess, save_keeping
from shared import limits
from shared.clock import WallMs
from shared.model.job import ExecutionState, TaskState
from shared.wire.messages import Receipt
from tests.stores import ask, tell
from tests.unit.test_coordinator_transactions import (
    AGENT,
    GUARDED,
    NOW,
    issued,
    signed,
    store,
    submitted,
)
from tests.unit.test_events import VirtualClock, types

__all__ = ["store"]

LATER = WallMs(NOW + 200 * DAY_MS)
"""When these jobs are older than they are kept."""
TABLES = ("job", "execution", "task", "receipt", "job_completed", "job_target", "approval")
_X = ExecutionState


async def keep(store, age_ms):
    body = partial(save_keeping, [("jobs", age_ms)], actor="me", now_ms=NOW)
    await store.run(body, durable=False)


@pytest.fixture(autouse=True)
async def kept(store):
    """Jobs are kept for 100 days here: none may last for more than a year."""
    await keep(store, 100 * DAY_MS)


async def receipts(store, *told, at_ms=NOW):
    body = partial(reconcile_receipts, AGENT, b"J" * 16, told, now_ms=WallMs(at_ms))
    await store.run(body, durable=False)


async def finished(store, first=1, *, at_ms=NOW, state=_X.SUCCEEDED, **changes):
    """A job that its agent did on two devices, whose time to begin is over."""
    job = (await submitted(store, **changes)).job
    (grant,) = (await issued(store, NOW + 1)).grants
    done = [
        Receipt(first + number, grant.execution, device, TaskState.DONE, 1, 0, NOW)
        for number, device in enumerate(("a", "b"))
    ]
    ended = Receipt(first + 2, grant.execution, "", state, 1, 0, NOW)
    await receipts(store, *done, ended, at_ms=at_ms)
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False)
    return job


async def round_at(store, at_ms=LATER):
    clock = VirtualClock()
    clock.now_ms = at_ms
    return await Retention(store, clock).round(pause_s=0)


async def would_go(store, at_ms=LATER):
    return {
        one.setting: one.rows
        for one in await store.read(partial(count_excess, at_ms))
        if one.setting.startswith("jobs")
    }


async def counted(store):
    return {table: (await ask(store, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}


def of_jobs(dropped):
    return {name: rows for name, rows in dropped.items() if name.startswith("jobs")}


async def test_a_finished_job_goes_with_all_of_it_when_it_is_old_and_a_dry_run_says_so(store):
    await finished(store)
    before = await counted(store)
    whole = {"jobs": 1, "jobs.executions": 1, "jobs.tasks": 2, "jobs.receipts": 3}
    assert await would_go(store) == whole
    assert await counted(store) == before
    assert of_jobs(await round_at(store)) == whole
    assert set((await counted(store)).values()) == {0}
    assert await would_go(store) == {}


async def test_a_job_stays_while_any_part_of_it_is_younger(store):
    await finished(store, at_ms=NOW + 150 * DAY_MS)
    assert of_jobs(await round_at(store)) == {}
    assert of_jobs(await round_at(store, WallMs(NOW + 251 * DAY_MS)))["jobs"] == 1


@pytest.mark.parametrize("state", [state for state in _X if state >= OPEN_BELOW])
async def test_a_job_stays_whatever_the_state_is_that_it_ended_in_lately(store, state):
    await finished(store)
    await tell(store, "UPDATE execution SET state = $1, updated_ms = $2", state, LATER)
    assert of_jobs(await round_at(store)) == {}


async def test_what_an_agent_may_still_report_stays_for_ever(store):
    await submitted(store)
    assert (await issued(store, NOW + 1)).grants
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False)
    assert (await ask(store, "SELECT state FROM execution")) == [(_X.OVERDUE,)]
    assert of_jobs(await round_at(store)) == {}


@pytest.mark.parametrize("state", [_X.DELIVERED, _X.HELD, _X.IN_PROGRESS])
async def test_what_is_open_stays(store, state):
    await submitted(store, lasts_ms=300 * DAY_MS)
    (grant,) = (await issued(store, NOW + 1)).grants
    await receipts(store, Receipt(1, grant.execution, "", state, 1, 0, NOW))
    await store.run(
        partial(cancel, (await jobs(store))[0][0], actor="me", now_ms=NOW), durable=True
    )
    assert of_jobs(await round_at(store)) == {}


async def jobs(store):
    return await ask(store, "SELECT job_id FROM job ORDER BY job_id")


async def test_a_job_whose_time_to_begin_is_not_over_stays(store):
    await finished(store, lasts_ms=300 * DAY_MS)
    assert of_jobs(await round_at(store)) == {}


async def test_a_job_that_waits_for_people_stays_and_a_denied_one_goes(store):
    job = (await submitted(store, policy=GUARDED, lasts_ms=300 * DAY_MS)).job
    assert of_jobs(await round_at(store)) == {}
    await store.run(partial(cancel, job, actor="me", now_ms=NOW), durable=True)
    assert of_jobs(await round_at(store)) == {"jobs": 1}


async def test_a_job_stays_while_what_people_signed_for_it_holds(store):
    job = (await submitted(store, policy=GUARDED)).job
    await signed(store, job, "alice", lasts_ms=700 * DAY_MS)
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False)
    assert of_jobs(await round_at(store)) == {}
    assert of_jobs(await round_at(store, WallMs(NOW + 701 * DAY_MS))) == {"jobs": 1}
    assert set((await counted(store)).values()) == {0}


@pytest.mark.parametrize("column", ["after_job", "waits_for"])
async def test_a_job_stays_while_another_waits_for_it(store, column):
    first = await finished(store)
    second = (await submitted(store, lasts_ms=300 * DAY_MS)).job
    await tell(store, f"UPDATE job SET {column} = $1 WHERE job_id = $2", first, second)
    assert of_jobs(await round_at(store)) == {}


@pytest.mark.parametrize(("state", "gone"), [(2, {}), (10, {"jobs": 1})])
async def test_a_job_stays_while_its_rollout_is_open(store, state, gone):
    job = await finished(store)
    values = "VALUES ($1, $2, $2, CAST($3 AS BIGINT), 5)"
    columns = "(job_id, policy, progress, state, updated_ms)"
    await tell(store, f"INSERT INTO rollout {columns} {values}", job, b"", state)
    dropped = await round_at(store)
    assert {name: rows for name, rows in dropped.items() if name == "jobs"} == gone


async def test_jobs_that_stay_hold_up_none_behind_them_and_steps_are_small(store, monkeypatch):
    monkeypatch.setattr(limits, "RETENTION_ROWS", 2)
    for _ in range(3):
        await submitted(store, lasts_ms=300 * DAY_MS)
    await tell(store, "UPDATE execution SET state = 20, updated_ms = 5")
    await finished(store, lasts_ms=60_000)
    taken: list[int] = []
    run = store.run

    async def watched(transaction, *, durable):
        answer = await run(transaction, durable=durable)
        taken.extend(sum(answer.taken.values()) for _ in [0] if hasattr(answer, "taken"))
        return answer

    monkeypatch.setattr(store, "run", watched)
    assert of_jobs(await round_at(store))["jobs"] == 1
    assert max(taken) <= 2 + 1
    assert len(await jobs(store)) == 3


async def test_jobs_are_kept_for_ever_where_somebody_says_so(store):
    await finished(store)
    await keep(store, 0)
    assert await would_go(store) == {}
    assert of_jobs(await round_at(store)) == {}


async def test_a_run_that_took_something_is_history_and_one_that_took_nothing_is_none(store):
    await finished(store)
    dropped = await round_at(store)
    assert dropped["jobs"] == 1
    assert await round_at(store) == {}
    body = partial(list_audit, before=limits.INT_MAX, action="retention.run", object_="", size=9)
    (run,), _ = await store.read(body)
    assert (run.actor, run.detail) == ("coordinator", dropped)
    assert "maintenance.done" in await types(store)


async def test_a_receipt_that_comes_after_its_job_is_gone_changes_nothing(store):
    await finished(store)
    (execution,) = (await ask(store, "SELECT execution_id FROM execution"))[0]
    await round_at(store)
    late = Receipt(9, execution, "", _X.SUCCEEDED, 2, 0, NOW)
    await receipts(store, late, at_ms=LATER)
    assert (await counted(store))["execution"] == 0


HANGS_ON_A_JOB = {
    "job_target": "(job_id, agent_id) VALUES ($1, 'pump')",
    "job_artifact": "(job_id, digest) VALUES ($1, $1)",
    "job_completed": "(job_id, at_ms) VALUES ($1, 5)",
    "rollout": "(job_id, policy, progress, state, updated_ms) VALUES ($1, $1, $1, 10, 5)",
    "rollout_stage": "(job_id, stage, planned, members) VALUES ($1, 0, 1, 1)",
    "rollout_member": "(job_id, agent_id, stage, place, site, rank, ready)"
    " VALUES ($1, 'pump', 0, 0, 'north', 0, 1)",
    "rollout_site": "(job_id, site, members, room) VALUES ($1, 'north', 1, 1)",
    "rollout_count": "(job_id, stage, state, count) VALUES ($1, 0, 10, 1)",
    "rollout_event": "(job_id, agent_id, stage, before, after) VALUES ($1, 'pump', 0, 0, 10)",
}
APART = {"execution", "approval"}
"""Tables that hang on a job, too, and that other tests here fill."""


async def test_of_all_that_hangs_on_a_job_nothing_is_left_behind(store, monkeypatch):
    monkeypatch.setattr(limits, "RETENTION_ROWS", 3)
    job = await finished(store)
    for table, row in HANGS_ON_A_JOB.items():
        await tell(store, f"INSERT INTO {table} {row}", job)
    (execution,) = (await ask(store, "SELECT execution_id FROM execution"))[0]
    fired = Receipt(
        *(9, execution, "", _X.SUCCEEDED, 1, 0, NOW), firing_ms=NOW, last_ms=NOW, count=1
    )
    await receipts(store, fired)
    assert (await would_go(store))["jobs.firings"] == 1
    dropped = of_jobs(await round_at(store))
    assert (dropped["jobs"], dropped["jobs.firings"]) == (1, 1)
    for table in (*HANGS_ON_A_JOB, *TABLES, "firing"):
        assert await ask(store, f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_whatever_refers_to_a_job_is_known_here(store):
    """A table that gets a reference to `job` or `rollout` has to be cleaned, too."""
    if isinstance(store, SqliteStore):
        found = await ask(
            store,
            "SELECT m.name FROM sqlite_master m, pragma_foreign_key_list(m.name) f"
            " WHERE m.type = 'table' AND f.\"table\" IN ('job', 'rollout')",
        )
    else:
        found = await ask(
            store,
            "SELECT c.conrelid::regclass::text FROM pg_constraint c"
            " WHERE c.confrelid IN ('job'::regclass, 'rollout'::regclass)",
        )
    assert {table for (table,) in found} == {*HANGS_ON_A_JOB, *APART} - {"rollout_event"}
