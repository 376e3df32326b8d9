"""Who listens to a job's end hears of it when it ended, however that came about, never later."""

from functools import partial

import pytest
from msgspec import convert

from coordinator.contract.triggers import TriggerBody
from coordinator.transactions.cancel import cancel
from coordinator.transactions.chains import begin_chain
from coordinator.transactions.deadlines import expire
from coordinator.transactions.trigger_firings import due_triggers
from coordinator.transactions.triggers import Saver, save_trigger
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from tests.rollout_fleet import CANARY, DAY_MS, ENTROPY, STRICT, Fleet
from tests.stores import ENGINES, ask, open_store

MONTH_MS = 31 * DAY_MS
DONE, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED
CANCELS = {**STRICT, "error_action": "cancel"}
CONFIGURE = [{"id": "apply", "action": "device.configure", "params": {"setpoint": 1}}]


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        made = Fleet(store)
        await made.enroll(4)
        await listen(made)
        yield made


async def listen(fleet, of="look", name="t"):
    """Wait for both ends of jobs of a name."""
    for kind in ("succeeded", "failed"):
        body = convert(
            {
                "name": f"{name}-{kind}",
                "event": {"kind": f"job.{kind}", "of": of},
                "template": "check-health",
                "targets": {"agents": ["a00"]},
            },
            TriggerBody,
        )
        saver = Saver(actor="anna", author="anna", now_ms=WallMs(fleet.now))
        await fleet.store.run(partial(save_trigger, body, saver, ENTROPY), durable=True)


async def heard(fleet, *, later_ms=0):
    """Return which ends were heard of, once and after a month, in which each job's time is over."""
    if later_ms:
        fleet.now += later_ms
        await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
        await fleet.settle()
    _, waiting = await fleet.store.read(partial(due_triggers, WallMs(fleet.now)))
    kinds = "SELECT t.kind FROM trigger_firing f JOIN job_trigger t ON t.trigger_id = f.trigger_id"
    found = [kind for (kind,) in await ask(fleet.store, kinds)]
    assert len(found) == len(waiting)
    return found


async def called_off(fleet):
    body = partial(cancel, fleet.job, actor="anna", now_ms=WallMs(fleet.now))
    await fleet.store.run(body, durable=True)
    await fleet.settle()


async def newer(fleet, **members):
    """Hand in another job, later."""
    fleet.now += 1
    await fleet.submit(name="newer", **members)


async def test_a_job_that_was_called_off_failed_at_once_and_not_a_month_later(fleet):
    await fleet.submit()
    await fleet.tell("a00", DONE)
    assert await heard(fleet) == []
    await called_off(fleet)
    assert await heard(fleet) == ["job.failed"]
    assert await heard(fleet, later_ms=MONTH_MS) == ["job.failed"]


async def test_what_was_signed_and_called_off_ends_with_its_receipt(fleet):
    await fleet.submit(targets={"agents": ["a00"]})
    await fleet.sign("a00")
    await called_off(fleet)
    assert await heard(fleet) == []
    await fleet.tell("a00", ExecutionState.CANCELED, cancel="not_started")
    assert await heard(fleet) == ["job.failed"]


@pytest.mark.parametrize("how", [{"begins_after": True}, {"rollout": True}])
async def test_a_job_that_went_to_nobody_ended_nowhere(fleet, how):
    if "begins_after" in how:
        await fleet.submit(name="other")
        how = {"begins_after": {"job": uuid_text(fleet.job)}}
    else:
        how = {"rollout": {"start": "2026-11-30T00:00:00Z"}}
    await fleet.submit(**how)
    await called_off(fleet)
    assert await heard(fleet, later_ms=MONTH_MS) == []


async def test_who_listens_only_since_a_job_ended_does_not_hear_of_it_when_its_time_is_over(fleet):
    await fleet.submit(name="other")
    await fleet.tell_all(FAILED)
    await listen(fleet, of="other", name="late")
    assert await heard(fleet, later_ms=MONTH_MS) == []


async def test_what_nobody_began_in_time_ends_then(fleet):
    await fleet.submit()
    await fleet.tell("a00", DONE)
    assert await heard(fleet, later_ms=MONTH_MS) == ["job.failed"]


async def test_a_job_that_a_newer_one_replaced_ends_with_that(fleet):
    await fleet.submit(conflict_key="setpoint")
    await newer(fleet, conflict_key="setpoint")
    assert await heard(fleet) == ["job.failed"]


async def test_a_job_that_goes_out_too_late_ends_with_that(fleet):
    await fleet.submit(name="other")
    await fleet.submit(begins_after={"job": uuid_text(fleet.job)}, conflict_key="setpoint")
    job = fleet.job
    await newer(fleet, conflict_key="setpoint")
    body = partial(begin_chain, job, wished=True, now_ms=WallMs(fleet.now))
    await fleet.store.run(body, durable=True)
    assert await heard(fleet) == ["job.failed"]


async def test_a_configuration_that_became_needless_ends_with_that(fleet):
    targets = {"agents": ["a00"]}
    await fleet.submit(steps=CONFIGURE, targets=targets)
    await newer(fleet, steps=CONFIGURE, targets=targets)
    assert await heard(fleet) == []
    await fleet.sign("a00")
    assert await heard(fleet) == ["job.failed"]


async def test_a_rollout_ends_when_it_releases_nobody_more(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    await fleet.tell_all(DONE)
    busy = [agent for agent, state in (await fleet.states()).items() if state < 10]
    await fleet.tell_all(DONE, busy[:1])
    assert await heard(fleet) == []
    await fleet.tell_all(DONE)
    assert await heard(fleet, later_ms=MONTH_MS) == ["job.succeeded"]


async def test_a_rollout_that_was_stopped_failed_though_not_all_had_it(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=CANCELS)
    await fleet.tell_all(FAILED)
    assert ((await fleet.view()).state, len(await fleet.states())) == ("STOPPED", 2)
    assert await heard(fleet) == ["job.failed"]


async def test_a_rollout_that_did_well_until_it_was_called_off_failed(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 1})
    await fleet.tell_all(DONE)
    assert await heard(fleet) == []
    await fleet.ask("cancel")
    assert await heard(fleet, later_ms=MONTH_MS) == ["job.failed"]


async def test_who_is_given_up_after_its_rollout_ended_ends_its_job(fleet):
    end = {"end": "2026-11-19T00:00:00Z"}
    await fleet.submit(rollout=end, deadlines={"contact_within": "P5D"})
    await fleet.later(4 * DAY_MS)
    assert ((await fleet.view()).state, await heard(fleet)) == ("EXPIRED", [])
    await fleet.later(DAY_MS)
    assert await heard(fleet) == ["job.failed"]
