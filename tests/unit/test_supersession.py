"""Newer jobs take the place of older ones, and an agent that was away gets a short plan."""

from dataclasses import replace
from functools import partial

import pytest

from coordinator.contract.job_spec import parse_submission, to_spec
from coordinator.core.minimal_plan import Waiting, needless
from coordinator.transactions.cancel import cancel
from coordinator.transactions.chains import begin_chain
from coordinator.transactions.jobs import Wanted, list_executions
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.submit import Submission, submit
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from shared.wire.messages import Receipt
from tests.stores import tell
from tests.unit.test_coordinator_transactions import (
    AGENT,
    ENTROPY,
    NOW,
    drafted,
    issued,
    store,
)

__all__ = ["store"]
WEEK_MS = 7 * 86_400_000


async def submitted(store, at_ms=0, **changes):
    who = Submission(actor="me", token_id="t", now_ms=WallMs(NOW + at_ms))
    job = drafted(lasts_ms=9 * WEEK_MS, **changes)
    return (await store.run(partial(submit, job, who, ENTROPY), durable=False)).job


async def held_back(store, **changes):
    """A job that is there already and goes out later, and what lets it go."""
    first = await submitted(store)
    who = Submission(actor="me", token_id="t", now_ms=NOW)
    job = replace(drafted(lasts_ms=9 * WEEK_MS, **changes), waits=(first, "ANY"))
    old = (await store.run(partial(submit, job, who, ENTROPY), durable=False)).job

    async def goes_out():
        body = partial(begin_chain, old, wished=True, now_ms=WallMs(NOW + 9))
        await store.run(body, durable=False)
        return (await states(store))[uuid_text(old)]

    return goes_out


async def states(store):
    views, _ = await store.read(partial(list_executions, Wanted(), before=b"\xff" * 16, size=99))
    return {view.job: (view.state, view.superseded_by) for view in views}


async def test_what_was_never_signed_is_superseded_at_once(store):
    old = await submitted(store, conflict_key="setpoint")
    other = await submitted(store, 1, conflict_key="speed")
    new = await submitted(store, 2, conflict_key="setpoint")
    found = await states(store)
    assert found[uuid_text(old)] == ("SUPERSEDED", uuid_text(new))
    assert found[uuid_text(other)] == ("QUEUED", None)
    grants = (await issued(store, NOW + 3)).grants
    assert [grant.job for grant in grants] == [other, new]


async def test_what_was_signed_is_called_off_and_only_the_receipt_settles_it(store):
    old = await submitted(store, conflict_key="setpoint")
    (grant,) = (await issued(store, NOW)).grants
    new = await submitted(store, 2, conflict_key="setpoint")
    assert (await states(store))[uuid_text(old)] == ("QUEUED", uuid_text(new))
    order = await issued(store, NOW + 3)
    assert ([one.job for one in order.grants], list(order.cancels)) == ([new], [grant.execution])
    receipt = Receipt(
        *(1, grant.execution, "", ExecutionState.CANCELED, 1, 0, NOW),
        result={"cancel": "not_started"},
    )
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
    await store.run(body, durable=True)
    assert (await states(store))[uuid_text(old)] == ("CANCELED", uuid_text(new))


async def test_an_old_bundle_that_was_lost_never_brings_back_what_was_replaced(store):
    old = await submitted(store, conflict_key="setpoint")
    await issued(store, NOW)
    new = await submitted(store, 2, conflict_key="setpoint")
    later = [await issued(store, NOW + at_ms, again=True) for at_ms in (3, 40_000, 80_000)]
    assert all(grant.job != old for order in later for grant in order.grants)
    assert later[0].grants[0].job == new


async def test_one_that_is_at_work_goes_on(store):
    old = await submitted(store, conflict_key="setpoint")
    (grant,) = (await issued(store, NOW)).grants
    at_work = Receipt(1, grant.execution, "", ExecutionState.IN_PROGRESS, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [at_work], now_ms=NOW)
    await store.run(body, durable=True)
    await submitted(store, 2, conflict_key="setpoint")
    assert (await issued(store, NOW + 3)).cancels == []
    assert (await states(store))[uuid_text(old)] == ("IN_PROGRESS", None)


@pytest.mark.parametrize(
    ("newer", "then"),
    [
        (ExecutionState.QUEUED, "SUPERSEDED"),
        (ExecutionState.IN_PROGRESS, "SUPERSEDED"),
        (ExecutionState.SUCCEEDED, "SUPERSEDED"),
        (ExecutionState.FAILED, "SUPERSEDED"),
        (ExecutionState.OVERDUE, "SUPERSEDED"),
        (ExecutionState.REJECTED, "QUEUED"),
        (ExecutionState.EXPIRED, "QUEUED"),
        (ExecutionState.CANCELED, "QUEUED"),
        (ExecutionState.REMOVED, "QUEUED"),
    ],
)
async def test_an_older_job_that_goes_out_late_gives_way_to_what_was_done(store, newer, then):
    goes_out = await held_back(store, conflict_key="setpoint")
    new = await submitted(store, 1, conflict_key="setpoint")
    change = "UPDATE execution SET state = $2 WHERE job_id = $1 RETURNING state"
    await tell(store, change, new, int(newer))
    by = uuid_text(new) if then == "SUPERSEDED" else None
    assert await goes_out() == (then, by)


async def test_who_gave_way_to_a_job_that_was_called_off_stops_no_older_one(store):
    goes_out = await held_back(store, conflict_key="setpoint")
    await submitted(store, 1, conflict_key="setpoint")
    newest = await submitted(store, 2, conflict_key="setpoint")
    await store.run(partial(cancel, newest, actor="me", now_ms=WallMs(NOW + 3)), durable=False)
    assert await goes_out() == ("QUEUED", None)


async def test_what_a_newer_configuration_says_too_is_not_brought_back(store):
    def configure(value):
        return [{"id": "apply", "action": "device.configure", "params": {"setpoint": value}}]

    goes_out = await held_back(store, conflict_key="setpoint", steps=configure(1))
    new = await submitted(store, 1, conflict_key="setpoint", steps=configure(2))
    plain = await submitted(store, 2, steps=configure(3))
    await issued(store, NOW + 3)
    assert (await states(store))[uuid_text(new)] == ("SUPERSEDED", uuid_text(plain))
    assert await goes_out() == ("SUPERSEDED", uuid_text(new))


async def test_what_another_job_waits_for_is_not_dropped(store):
    first = await submitted(store, conflict_key="setpoint")
    await submitted(store, 1, after={"job": uuid_text(first)})
    await submitted(store, 2, conflict_key="setpoint")
    assert (await states(store))[uuid_text(first)] == ("QUEUED", None)
    assert len((await issued(store, NOW + 3)).grants) == 3


async def test_after_weeks_an_agent_gets_only_the_newest_configuration(store):
    def configure(**params):
        return [{"id": "apply", "action": "device.configure", "params": params}]

    jobs = [
        await submitted(store, 1, steps=configure(setpoint=1)),
        await submitted(store, 2, steps=configure(setpoint=2, speed=1)),
        await submitted(store, 3, steps=configure(mode=1)),
        await submitted(store, 4, steps=configure(setpoint=3, speed=2)),
    ]
    order = await issued(store, NOW + 3 * WEEK_MS)
    assert [grant.job for grant in order.grants] == jobs[2:]
    found = await states(store)
    assert found[uuid_text(jobs[0])] == ("SUPERSEDED", uuid_text(jobs[3]))
    assert found[uuid_text(jobs[1])] == ("SUPERSEDED", uuid_text(jobs[3]))


STEP = {"id": "apply", "action": "device.configure", "params": {"setpoint": 1}}


def waiting(number, after=None, *, held=False, **changes):
    spec = to_spec(parse_submission({"name": "j", "steps": [STEP], **changes}))
    execution, job = b"e%d" % number, b"%d" % number
    return Waiting(execution=execution, job=job, spec=spec, after=after, held=held)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": [{**STEP, "params": {"speed": 1}}]},
        {"steps": [{**STEP, "action": "device.write"}]},
        {"steps": [{**STEP, "when": "battery > 1"}]},
        {"dry_run": True},
        {"preconditions": ["battery > 1"]},
        {"targets": {"device_selector": "kind=pump"}},
        {"delay_s": 60},
    ],
)
def test_only_a_plain_configuration_that_says_as_much_replaces_one(changes):
    assert needless([waiting(1), waiting(2, **changes)]) == []
    assert needless([waiting(1), waiting(2)])[0].by == b"2"


def test_a_whole_chain_is_kept():
    write = [{**STEP, "action": "device.write"}]
    chain = [
        waiting(1, conflict_key="a"),
        waiting(2, b"1", conflict_key="a"),
        waiting(3, b"2", steps=write),
    ]
    assert needless(chain) == []
    assert needless([*chain, waiting(4, conflict_key="a")]) == []


def test_a_chain_that_is_replaced_as_a_whole_is_dropped_as_a_whole():
    chain = [waiting(1, conflict_key="a"), waiting(2, b"1", conflict_key="a")]
    dropped = needless([*chain, waiting(3, conflict_key="a")])
    assert [one.execution for one in dropped] == [b"e2", b"e1"]


def test_what_a_pause_holds_back_takes_no_place_and_keeps_what_it_waits_for():
    assert needless([waiting(1), waiting(2, held=True)]) == []
    write = [{**STEP, "action": "device.write"}]
    assert needless([waiting(1), waiting(2, b"1", held=True, steps=write), waiting(3)]) == []
    (dropped,) = needless([waiting(1, held=True), waiting(2)])
    assert (dropped.execution, dropped.by) == (b"e1", b"2")
