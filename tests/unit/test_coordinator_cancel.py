"""A job is called off: what each side knows then, against a real store."""

from functools import partial

import pytest

from coordinator.core.ports import execute, fetch_one
from coordinator.transactions.cancel import cancel
from coordinator.transactions.carried import prepare_return
from coordinator.transactions.deadlines import expire
from coordinator.transactions.issue import CONFIRM_MS
from coordinator.transactions.jobs import Wanted, list_executions, view_job
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.standing import WantedStanding, list_standing
from shared.clock import WallMs
from shared.errors import MistakeError, Reason
from shared.ids import parse_uuid, uuid_text
from shared.model.job import ExecutionState
from shared.wire.messages import Receipt
from tests.stores import AnyStore, tell
from tests.unit.test_coordinator_transactions import (
    AGENT,
    GUARDED,
    NOW,
    issued,
    store,
    submitted,
)

__all__ = ["store"]
EPOCH = b"J" * 16
NEWEST = b"\xff" * 16
DAY_MS = 86_400_000


async def called_off(store: AnyStore, job: bytes, at_ms: int = NOW):
    body = partial(cancel, job, actor="anna", now_ms=WallMs(at_ms))
    return await store.run(body, durable=True)


async def told(store, execution, state, number=1, **rest):
    receipt = Receipt(number, execution, "", state, 1, int(rest.pop("reason", 0)), NOW, **rest)
    body = partial(reconcile_receipts, AGENT, EPOCH, [receipt], now_ms=NOW)
    return await store.run(body, durable=True)


async def execution_of(store):
    views, _ = await store.read(partial(list_executions, Wanted(), before=NEWEST, size=9))
    (view,) = views
    return view


async def job_of(store, job):
    return await store.read(partial(view_job, job, now_ms=NOW))


async def test_what_was_never_signed_is_canceled_at_once(store):
    job = (await submitted(store)).job
    assert (await called_off(store, job)).agents == []
    view = await execution_of(store)
    assert (view.state, view.reason, view.cancel.outcome) == (
        *("CANCELED", "canceled"),
        "never_delivered",
    )
    assert (await job_of(store, job)).state == "CANCELED"
    assert await issued(store, NOW) is None


async def test_what_was_signed_is_called_off_in_every_bundle_until_a_receipt_settles_it(store):
    job = (await submitted(store)).job
    (grant,) = (await issued(store, NOW)).grants
    assert grant.job == job
    assert (await called_off(store, job)).agents == [AGENT]
    assert (await job_of(store, job)).state == "CANCELING"
    first = await issued(store, NOW)
    assert (list(first.grants), list(first.cancels)) == ([], [grant.execution])
    assert await issued(store, NOW + CONFIRM_MS - 1) is None
    assert (await issued(store, NOW + CONFIRM_MS)).cancels == [grant.execution]
    assert (await issued(store, NOW + CONFIRM_MS, again=True)).cancels == [grant.execution]
    await told(store, grant.execution, ExecutionState.CANCELED, result={"cancel": "stopped"})
    assert await issued(store, NOW + 9 * CONFIRM_MS) is None
    assert (await execution_of(store)).cancel.outcome == "stopped"
    assert (await job_of(store, job)).state == "CANCELED"


async def test_an_execution_that_ended_was_called_off_too_late(store):
    job = (await submitted(store)).job
    (grant,) = (await issued(store, NOW)).grants
    await called_off(store, job)
    await told(store, grant.execution, ExecutionState.SUCCEEDED)
    view = await execution_of(store)
    assert (view.state, view.cancel.outcome) == ("SUCCEEDED", "too_late")
    assert await issued(store, NOW + CONFIRM_MS) is None


@pytest.mark.parametrize("how", ["never_delivered", "not_started", "stopped"])
async def test_what_an_agent_proved_stays_when_it_says_less_after_a_loss(store, how):
    job = (await submitted(store)).job
    (grant,) = (await issued(store, NOW)).grants
    await called_off(store, job)
    await told(store, grant.execution, ExecutionState.CANCELED, 2)
    assert (await execution_of(store)).cancel.outcome == "stopped"
    await told(store, grant.execution, ExecutionState.CANCELED, 1, result={"cancel": how})
    await told(store, grant.execution, ExecutionState.CANCELED, 3)
    assert (await execution_of(store)).cancel.outcome == how


async def test_called_off_again_nothing_changes(store):
    job = (await submitted(store)).job
    await issued(store, NOW)
    await called_off(store, job)
    before = await job_of(store, job)
    assert (await called_off(store, job, NOW + 5)).settled == ""
    assert await job_of(store, job) == before
    rows = await store.read(partial(fetch_one, "audit_head"))
    again = await called_off(store, job, NOW + 6)
    assert again.agents == ()
    assert await store.read(partial(fetch_one, "audit_head")) == rows


async def test_a_job_that_is_over_cannot_be_called_off(store):
    job = (await submitted(store)).job
    (grant,) = (await issued(store, NOW)).grants
    await told(store, grant.execution, ExecutionState.FAILED, reason=Reason.STEP_FAILED)
    assert "over" in (await called_off(store, job)).settled
    assert (await job_of(store, job)).state == "COMPLETED"
    assert await called_off(store, b"?" * 16) is None


@pytest.fixture(params=["", "execution", "job"], ids=["at once", "by a stage", "by a trigger"])
async def forgotten(request, store):
    """Return a job that is older than a restore; it, or its execution, is made once more since."""
    job = (await submitted(store)).job
    await store.run(partial(execute, "restore_insert", 1, NOW + 1, NOW), durable=False)
    if request.param:
        await tell(store, f"UPDATE {request.param} SET created_ms = $1 RETURNING 1", NOW + 2)
    return job


async def test_what_a_restore_forgot_to_have_signed_is_called_off_at_the_agent(store, forgotten):
    job = forgotten
    assert (await called_off(store, job, NOW + 2)).agents == [AGENT]
    order = await issued(store, NOW + 2)
    assert (len(order.grants), len(order.cancels)) == (0, 1)


async def test_what_a_restore_forgot_to_have_signed_is_overdue_and_not_expired(store, forgotten):
    job = forgotten
    await store.run(partial(expire, WallMs(NOW + DAY_MS)), durable=False)
    view = await execution_of(store)
    assert view.state == "OVERDUE"
    await told(store, parse_uuid(view.id, what="execution"), ExecutionState.SUCCEEDED)
    assert (await execution_of(store)).state == "SUCCEEDED"
    assert (await job_of(store, job)).state == "COMPLETED"


async def test_a_stick_takes_along_what_is_called_off(store):
    job = (await submitted(store)).job
    contact = (AGENT, 1, b"d", b"t", EPOCH, b"b", 2, 0, "{}", NOW, None, 0, 0)
    await store.run(partial(execute, "contact_save", *contact), durable=False)
    (grant,) = (await issued(store, NOW)).grants
    await called_off(store, job)
    assert (await issued(store, NOW)).cancels, "the link has it; nobody knows whether it arrived"
    body = partial(prepare_return, AGENT, actor="anna", now_ms=NOW)
    out = await store.run(body, durable=True)
    assert (list(out.order.grants), list(out.order.cancels)) == ([], [grant.execution])


async def test_an_agent_that_lost_its_memory_proves_nothing(store):
    job = (await submitted(store)).job
    contact = (AGENT, 1, b"d", b"t", b"old".ljust(16), b"b", 2, 0, "{}", NOW, None, 0, 0)
    await store.run(partial(execute, "contact_save", *contact), durable=False)
    (grant,) = (await issued(store, NOW)).grants
    await called_off(store, job)
    never = {"cancel": "never_delivered"}
    await told(store, grant.execution, ExecutionState.CANCELED, result=never)
    view = await execution_of(store)
    assert (view.state, view.cancel.outcome) == ("CANCELED", "unknown")


@pytest.mark.parametrize("too_late", [False, True])
async def test_a_job_that_people_are_asked_about_is_called_off_for_good(store, too_late):
    job = (await submitted(store, policy=GUARDED)).job
    if too_late:
        await store.run(partial(execute, "job_expired", job, NOW), durable=False)
        assert "in time" in (await called_off(store, job)).settled
        return
    await called_off(store, job)
    view = await job_of(store, job)
    assert (view.state, view.canceled_by) == ("CANCELED", "anna")
    assert view.agreement.denied_reason == "it was called off"
    assert await issued(store, NOW) is None


async def test_a_new_jobs_store_is_told_at_once(store):
    job = (await submitted(store)).job
    await issued(store, NOW)
    await called_off(store, job)
    assert (await issued(store, NOW)).cancels
    contact = (*(AGENT, 1, b"d", b"t", EPOCH, b"b", 2, 0, "{}", NOW, None, 0, 0),)
    await store.run(partial(execute, "contact_save", *contact), durable=False)
    assert (await issued(store, NOW)).cancels, "the store that knew of it is gone"
    assert await issued(store, NOW) is None


async def test_an_armed_standing_job_is_never_overdue(store):
    every_hour = {"schedule": {"interval_s": 3600}}
    await submitted(store, **every_hour)
    (grant,) = (await issued(store, NOW)).grants
    await told(store, grant.execution, ExecutionState.HELD)
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False)
    assert (await execution_of(store)).state == "HELD"


async def test_a_standing_job_that_never_arrived_is_overdue(store):
    await submitted(store, schedule={"interval_s": 3600})
    await issued(store, NOW)
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False)
    assert (await execution_of(store)).state == "OVERDUE"


# --- what stands, and what waits for another ------------------------------------------------------
async def standing_of(store, at_ms):
    body = partial(list_standing, WantedStanding(), before=NEWEST, size=9, now_ms=WallMs(at_ms))
    views, _ = await store.read(body)
    (view,) = views
    return view


@pytest.mark.parametrize(
    ("zone", "label", "by", "hour"),
    [
        ("site", "", "UTC", 2),
        ("site", "Europe.Berlin", "Europe/Berlin", 1),
        ("site", "Mars.North", "UTC", 2),
        ("Asia/Tokyo", "Europe.Berlin", "Asia/Tokyo", 17),
    ],
)
async def test_the_next_time_is_told_in_the_zone_of_the_site(store, zone, label, by, hour):
    if label:
        row = (AGENT, "time_zone", label)
        await store.run(partial(execute, "label_insert", *row), durable=False)
    await submitted(store, schedule={"cron": "0 2 * * *", "zone": zone}, lasts_ms=9 * DAY_MS)
    (grant,) = (await issued(store, NOW)).grants
    assert (await standing_of(store, NOW)).armed is False
    await told(store, grant.execution, ExecutionState.HELD)
    view = await standing_of(store, NOW)
    assert (view.armed, view.zone, view.next_at.hour) == (True, by, hour)
    assert (await standing_of(store, NOW + 9 * DAY_MS + 1)).armed is False


async def test_a_schedule_that_ends_before_its_next_time_has_none(store):
    await submitted(store, schedule={"cron": "0 2 * * *"}, lasts_ms=60_000)
    (grant,) = (await issued(store, NOW)).grants
    await told(store, grant.execution, ExecutionState.HELD)
    assert (await standing_of(store, NOW)).next_at is None


async def test_a_job_waits_only_for_one_that_is_known_and_ends(store):
    first = (await submitted(store)).job
    await submitted(store, after={"job": uuid_text(first)})
    with pytest.raises(MistakeError) as caught:
        await submitted(store, after={"job": uuid_text(bytes(16))})
    assert caught.value.where == "after.job"
    stands = (await submitted(store, schedule={"interval_s": 60})).job
    with pytest.raises(MistakeError, match="no outcome"):
        await submitted(store, after={"job": uuid_text(stands)})
