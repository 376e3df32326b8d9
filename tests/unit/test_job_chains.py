"""A job that waits for another one's end on the whole fleet; what is retried of one that failed."""

from functools import partial

import pytest

from coordinator.contract.job_spec import parse_submission
from coordinator.services.upkeep import rest_s
from coordinator.transactions.cancel import cancel
from coordinator.transactions.chains import begin_chain, ready_chains
from coordinator.transactions.deadlines import expire
from coordinator.transactions.jobs import view_job
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.repeats import failed_agents, list_job_events
from coordinator.transactions.submit import Submission, draft_body, submit
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason
from shared.ids import AgentId, uuid_text
from shared.model.job import ExecutionState, TaskState
from shared.wire.messages import Receipt
from tests.unit.test_coordinator_transactions import AGENT, ENTROPY, NOW, POLICY, issued, store

__all__ = ["store"]
STEP = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}


async def submitted(store, **changes):
    who = Submission(actor="me", token_id="t", now_ms=NOW, only=changes.pop("only", None))
    document = {"name": "look", "steps": [STEP], "targets": {"agents": [AGENT]}, **changes}
    job = draft_body(parse_submission(document), POLICY, NOW)
    return (await store.run(partial(submit, job, who, ENTROPY), durable=True)).job


async def ends(store, state, reason=0, number=1):
    (grant,) = (await issued(store, NOW + 1)).grants
    receipt = Receipt(number, grant.execution, "", state, 1, int(reason), NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
    await store.run(body, durable=True)
    return grant.job


async def begun(store):
    found = await store.read(partial(ready_chains, NOW))
    for job, wished in found:
        body = partial(begin_chain, job, wished=wished, now_ms=NOW)
        await store.run(body, durable=True)
    return [wished for _, wished in found]


async def view_of(store, job):
    return await store.read(partial(view_job, job, now_ms=NOW))


@pytest.mark.parametrize(
    ("ended", "wanted", "begins"),
    [
        (ExecutionState.SUCCEEDED, "SUCCEEDED", True),
        (ExecutionState.FAILED, "SUCCEEDED", False),
        (ExecutionState.FAILED, "FAILED", True),
        (ExecutionState.SUCCEEDED, "FAILED", False),
        (ExecutionState.FAILED, "ANY", True),
    ],
)
async def test_a_job_begins_when_the_one_before_ended_as_it_wishes(store, ended, wanted, begins):
    first = await submitted(store)
    after = {"job": uuid_text(first), "outcome": wanted}
    second = await submitted(store, begins_after=after)
    waiting = await view_of(store, second)
    assert (waiting.state, waiting.waits_for.outcome, waiting.targets) == ("SCHEDULED", wanted, 1)
    assert await begun(store) == []
    assert await ends(store, ended) == first
    assert await begun(store) == [begins]
    assert await begun(store) == []
    view = await view_of(store, second)
    assert view.state == ("IN_PROGRESS" if begins else "CANCELED")
    order = await issued(store, NOW + 1)
    assert [grant.job for grant in order.grants] == [second] if begins else order is None


async def test_a_second_look_at_a_chain_that_begun_queues_nothing_twice(store):
    first = await submitted(store)
    second = await submitted(store, begins_after={"job": uuid_text(first)})
    await ends(store, ExecutionState.SUCCEEDED)
    body = partial(begin_chain, second, wished=True, now_ms=NOW)
    done = [(await store.run(body, durable=True)).done for _ in range(2)]
    assert done == [True, False]
    assert (await view_of(store, second)).counts == {"QUEUED": 1}


async def test_a_job_that_waits_can_be_called_off_and_runs_out(store):
    first = await submitted(store)
    after = {"job": uuid_text(first)}
    second, third = [await submitted(store, begins_after=after) for _ in range(2)]
    off = await store.run(partial(cancel, second, actor="anna", now_ms=NOW), durable=True)
    assert off.settled == ""
    assert (await view_of(store, second)).state == "CANCELED"
    late = WallMs(NOW + (limits.JOB_EXPIRES_S + 1) * 1000)
    await store.run(partial(expire, late), durable=True)
    assert (await view_of(store, third)).state == "EXPIRED"
    assert await begun(store) == []


async def test_many_jobs_that_are_late_are_settled_some_at_a_time(store, monkeypatch):
    monkeypatch.setattr(limits, "DEADLINE_BATCH", 2)
    jobs = [await submitted(store) for _ in range(3)]
    late = WallMs(NOW + (limits.JOB_EXPIRES_S + 1) * 1000)
    settled = [await store.run(partial(expire, late), durable=False) for _ in range(3)]
    assert [len(some) for some in settled] == [2, 1, 0]
    assert {job for some in settled for job in some} == set(jobs)


def test_a_deadline_that_another_is_at_is_no_busy_loop():
    assert rest_s(NOW, NOW) == rest_s(NOW, WallMs(NOW + 1)) == limits.TAKEN_LOOK_S
    assert rest_s(WallMs(NOW + 250), NOW) == 0.25
    assert rest_s(None, NOW) == rest_s(WallMs(NOW + 10**9), NOW) == 3_600


@pytest.mark.parametrize(
    ("after", "where"),
    [
        ({"job": "yesterday"}, "begins_after.job"),
        ({"job": "01890000-0000-7000-8000-000000000000"}, "begins_after.job"),
        ({"job": "01890000-0000-7000-8000-000000000000", "outcome": "X"}, "begins_after.outcome"),
    ],
)
async def test_a_job_waits_only_for_one_there_is(store, after, where):
    with pytest.raises(MistakeError) as caught:
        await submitted(store, begins_after=after)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("state", "reason", "asked", "found"),
    [
        (ExecutionState.FAILED, Reason.STEP_FAILED, False, [AGENT]),
        (ExecutionState.TIMED_OUT, 0, False, [AGENT]),
        (ExecutionState.SUCCEEDED, 0, False, []),
        (ExecutionState.CANCELED, 0, False, []),
        (ExecutionState.FAILED, Reason.UNKNOWN_EFFECT, False, []),
        (ExecutionState.FAILED, Reason.UNKNOWN_EFFECT, True, [AGENT]),
    ],
)
async def test_only_what_failed_is_retried_and_what_may_have_run_only_if_asked(
    store, state, reason, asked, found
):
    job = await submitted(store)
    await ends(store, state, reason)
    assert await store.read(partial(failed_agents, job, unknown_effects=asked)) == found


@pytest.mark.parametrize(("said", "found"), [("unknown_effect", []), ("timed_out", [AGENT])])
@pytest.mark.parametrize(
    ("state", "task", "reason"),
    [
        (ExecutionState.ROLLED_BACK, TaskState.FAILED, Reason.UNDONE),
        (ExecutionState.FAILED, TaskState.FAILED, Reason.STEP_FAILED),
        (ExecutionState.QUARANTINED, TaskState.QUARANTINED, Reason.POISONED),
    ],
)
async def test_an_undone_job_that_may_have_run_is_retried_only_if_asked(
    store, state, task, reason, said, found
):
    job = await submitted(store)
    (grant,) = (await issued(store, NOW + 1)).grants
    result = {"look.reason": said, "look.p": 7}
    told = [
        Receipt(1, grant.execution, "pump", task, 1, int(reason), NOW, result=result),
        Receipt(2, grant.execution, "", state, 1, int(reason), NOW),
    ]
    body = partial(reconcile_receipts, AGENT, b"J" * 16, told, now_ms=NOW)
    await store.run(body, durable=True)
    assert await store.read(partial(failed_agents, job, unknown_effects=False)) == found
    assert await store.read(partial(failed_agents, job, unknown_effects=True)) == [AGENT]


async def test_a_retry_goes_only_to_agents_that_are_still_its_target(store):
    only = frozenset({AgentId("gone")})
    with pytest.raises(MistakeError, match="any more"):
        await submitted(store, only=only)
    await submitted(store, only=frozenset({AGENT}))


async def test_what_was_done_about_a_job_is_told_newest_first(store):
    job = await submitted(store)
    await submitted(store)
    await store.run(partial(cancel, job, actor="anna", now_ms=NOW), durable=True)
    body = partial(list_job_events, job, before=limits.INT_MAX, size=9)
    events, more = await store.read(body)
    assert ([event.what for event in events], more) == (["job.cancel", "job.submit"], False)
    assert events[0].who == "anna"
    assert await store.read(partial(list_job_events, b"x" * 16, before=9, size=9)) is None


@pytest.mark.parametrize("over", ["called off", "late"])
async def test_a_job_that_is_over_since_it_was_looked_at_does_not_begin(store, over):
    first = await submitted(store)
    second = await submitted(store, begins_after={"job": uuid_text(first)})
    await ends(store, ExecutionState.SUCCEEDED)
    assert await store.read(partial(ready_chains, NOW)) == [(second, True)]
    if over == "called off":
        await store.run(partial(cancel, second, actor="anna", now_ms=NOW), durable=True)
    else:
        late = WallMs(NOW + (limits.JOB_EXPIRES_S + 1) * 1000)
        await store.run(partial(expire, late), durable=True)
    before = await view_of(store, second)
    begin = await store.run(partial(begin_chain, second, wished=True, now_ms=NOW), durable=True)
    assert (begin.done, await view_of(store, second)) == (False, before)
