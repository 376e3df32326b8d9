"""The work of an agent that is let in no more ends, and nothing is made up about it."""

from dataclasses import replace
from functools import partial

import pytest

from coordinator.core.ports import execute, fetch_one
from coordinator.transactions.cancel import cancel
from coordinator.transactions.chains import begin_chain
from coordinator.transactions.deadlines import expire
from coordinator.transactions.jobs import view_job
from coordinator.transactions.membership import decommission, revoke, take_word
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.submit import Submission, submit
from shared.clock import WallMs
from shared.errors import Reason
from shared.model.job import ExecutionState
from shared.trust.words import Leave
from shared.wire.messages import Receipt
from tests.stores import ask
from tests.unit.test_coordinator_transactions import (
    AGENT,
    ENTROPY,
    NOW,
    drafted,
    issued,
    store,
    submitted,
)

__all__ = ["store"]
BEGUN, DONE, OVERDUE, REMOVED = (
    ExecutionState.IN_PROGRESS,
    ExecutionState.SUCCEEDED,
    ExecutionState.OVERDUE,
    ExecutionState.REMOVED,
)
LATER = WallMs(NOW + 100_000)


async def given(store):
    """Have one job signed for the agent and begun there, and one that never was signed."""
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    signed = (await submitted(store)).job
    (grant,) = (await issued(store, NOW)).grants
    await told(store, grant.execution, BEGUN)
    waiting = (await submitted(store)).job
    return signed, grant.execution, waiting


async def told(store, execution, state, number=1):
    receipt = Receipt(number, execution, "", state, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
    await store.run(body, durable=True)


async def steer(store, act):
    assert await store.run(partial(act, AGENT, actor="me", now_ms=NOW), durable=True)


async def leave(store):
    await store.run(
        partial(take_word, AGENT, Leave(b"", AGENT, b""), key=b"key", now_ms=NOW), durable=True
    )


async def known(store):
    """Return state, reason and version of the execution of each job."""
    rows = await ask(store, "SELECT job_id, state, reason, version FROM execution")
    return {bytes(job): tuple(rest) for job, *rest in rows}


async def end(store, job):
    return (await known(store))[job][:2]


async def state_of(store, job):
    return (await store.read(partial(view_job, job, now_ms=NOW))).state


async def is_cleaned(store, job):
    await store.run(partial(expire, LATER), durable=False)
    row = await store.read(partial(fetch_one, "job_is_over", job, LATER + 1, LATER + 1))
    return row is not None


async def test_no_job_waits_for_an_agent_that_was_revoked(store):
    signed, _, waiting = await given(store)
    await steer(store, revoke)
    assert await end(store, signed) == (OVERDUE, Reason.REVOKED)
    assert await end(store, waiting) == (REMOVED, Reason.REVOKED)
    assert [await state_of(store, job) for job in (signed, waiting)] == ["COMPLETED"] * 2
    before = await known(store)
    await steer(store, revoke)
    assert await known(store) == before, "said again it changes nothing"


async def test_what_was_overdue_already_says_why_nobody_will_ever_tell(store):
    signed, _, waiting = await given(store)
    await issued(store, NOW + 1)
    await store.run(partial(expire, LATER), durable=False)
    await steer(store, revoke)
    assert [await end(store, job) for job in (signed, waiting)] == [(OVERDUE, Reason.REVOKED)] * 2
    assert await state_of(store, waiting) == "COMPLETED"


async def test_an_agent_that_goes_may_still_tell_of_what_it_has(store):
    signed, execution, waiting = await given(store)
    await steer(store, decommission)
    assert await end(store, waiting) == (REMOVED, Reason.DECOMMISSIONED)
    assert await state_of(store, signed) == "IN_PROGRESS"
    await told(store, execution, DONE, number=2)
    await leave(store)
    assert await end(store, signed) == (DONE, 0)


async def test_what_an_agent_did_not_tell_before_it_went_nobody_waits_for(store):
    signed, _, _ = await given(store)
    await steer(store, decommission)
    await leave(store)
    assert await end(store, signed) == (OVERDUE, Reason.DECOMMISSIONED)
    assert await state_of(store, signed) == "COMPLETED"


async def waiting_for(store, first):
    """Have a job that goes out once another one ended."""
    who = Submission(actor="me", token_id="t", now_ms=NOW)
    job = replace(drafted(), waits=(first, "ANY"))
    return (await store.run(partial(submit, job, who, ENTROPY), durable=False)).job


@pytest.mark.parametrize(
    ("act", "left", "why"),
    [
        (revoke, False, Reason.REVOKED),
        (decommission, False, Reason.DECOMMISSIONED),
        (decommission, True, Reason.DECOMMISSIONED),
    ],
)
async def test_who_went_before_a_job_goes_out_has_no_work_of_it(store, act, left, why):
    first = (await submitted(store)).job
    second = await waiting_for(store, first)
    await steer(store, act)
    if left:
        await leave(store)
    body = partial(begin_chain, second, wished=True, now_ms=NOW)
    await store.run(body, durable=True)
    assert await end(store, second) == (REMOVED, why)
    assert await state_of(store, second) == "COMPLETED"


@pytest.mark.parametrize(("left", "then"), [(True, OVERDUE), (False, ExecutionState.QUEUED)])
async def test_what_a_restore_may_have_forgotten_ends_once_its_agent_has_left(store, left, then):
    first = (await submitted(store)).job
    second = await waiting_for(store, first)
    await store.run(partial(execute, "restore_insert", 1, NOW + 1, NOW), durable=False)
    await steer(store, decommission)
    if left:
        await leave(store)
    await store.run(partial(cancel, first, actor="me", now_ms=NOW), durable=True)
    body = partial(begin_chain, second, wished=True, now_ms=NOW)
    await store.run(body, durable=True)
    assert (await end(store, second))[0] == then


@pytest.mark.parametrize("gone", [True, False])
async def test_jobs_are_cleaned_whose_agent_can_never_tell_of_them(store, gone):
    signed, _, _ = await given(store)
    if gone:
        await steer(store, revoke)
    else:
        await store.run(
            partial(execute, "executions_never_told", AGENT, OVERDUE, 0, NOW, 10), durable=True
        )
    assert await is_cleaned(store, signed) is gone
