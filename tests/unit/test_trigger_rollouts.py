"""Schedules of rollouts: one is not over while it soaks or is paused, though nobody is at work."""

from functools import partial

import pytest
from msgspec.structs import replace

from coordinator.transactions.cancel import cancel
from coordinator.transactions.deadlines import expire
from coordinator.transactions.jobs import view_job
from coordinator.transactions.trigger_firings import Bench, due_triggers, fire_schedule
from shared.clock import WallMs
from shared.ids import parse_uuid
from shared.model.job import ExecutionState
from shared.trust.policy import ClassRule
from tests.rollout_fleet import CANARY, ENTROPY, READ, STRICT, enrolled
from tests.stores import ENGINES, open_store
from tests.unit.test_triggers import occasions, outcomes, saved
from tests.unit.trust_world import PEOPLE, kid

HOUR_MS = 3_600_000
ROLLING = {
    "name": "roll",
    "steps": [READ],
    "rollout": {"stages": CANARY},
    "gate": {**STRICT, "soak_minutes": 600},
}


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        yield await enrolled(store)


async def an_hour_later(fleet) -> None:
    """Deal with what is due of schedules, as the service does, then with rollouts."""
    fleet.now += HOUR_MS
    bench = Bench(policy=fleet.policy, entropy=ENTROPY, now_ms=WallMs(fleet.now))
    due, _ = await fleet.store.read(partial(due_triggers, bench.now_ms))
    for trigger in due:
        await fleet.store.run(partial(fire_schedule, trigger, bench), durable=True)
    await fleet.settle()


async def scheduled(fleet, overlap="skip", **changes) -> None:
    """Save a schedule of a rollout and let its first hour come."""
    document = {"template": "", "targets": {"selector": "site"}, "job": {**ROLLING, **changes}}
    schedule = {"interval_s": 3600, "overlap": overlap}
    await saved(fleet.store, fleet.now, **document, schedule=schedule)
    await an_hour_later(fleet)
    (first,) = await occasions(fleet.store)
    fleet.job = parse_uuid(first.job, what="a job")


async def soaks(fleet) -> None:
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).stages[0].state == "SOAKING"
    assert set((await fleet.states()).values()) == {ExecutionState.SUCCEEDED}


@pytest.mark.parametrize(
    ("overlap", "then", "state"),
    [
        ("skip", ["submitted", "overlapped"], "IN_PROGRESS"),
        ("queue_one", ["submitted"], "IN_PROGRESS"),
        ("allow", ["submitted", "submitted"], "IN_PROGRESS"),
        ("cancel_running", ["submitted", "submitted"], "CANCELED"),
    ],
)
async def test_a_rollout_that_soaks_between_stages_is_not_over(fleet, overlap, then, state):
    await scheduled(fleet, overlap)
    await soaks(fleet)
    await an_hour_later(fleet)
    assert await outcomes(fleet.store) == then
    job = await fleet.store.read(partial(view_job, fleet.job, now_ms=WallMs(fleet.now)))
    assert job.state == state


async def test_a_paused_rollout_is_not_over_until_it_is_called_off(fleet):
    await scheduled(fleet)
    await fleet.tell_all(ExecutionState.FAILED)
    assert (await fleet.view()).state == "PAUSED"
    await an_hour_later(fleet)
    await fleet.ask("cancel")
    await an_hour_later(fleet)
    assert await outcomes(fleet.store) == ["submitted", "overlapped", "submitted"]


async def test_a_job_that_was_called_off_is_over_though_its_rollout_soaked(fleet):
    await scheduled(fleet)
    await soaks(fleet)
    off = partial(cancel, fleet.job, actor="anna", now_ms=WallMs(fleet.now))
    await fleet.store.run(off, durable=True)
    await an_hour_later(fleet)
    assert await outcomes(fleet.store) == ["submitted", "submitted"]


async def test_a_rollout_that_nobody_agreed_to_in_time_is_over(fleet):
    guarded = ClassRule(2, [kid(name) for name in PEOPLE], 60, {"device.read": []})
    fleet.policy = replace(fleet.policy, classes={"guarded": guarded})
    await scheduled(fleet, expires_in_s=2 * 3600 - 1)
    await an_hour_later(fleet)
    await fleet.store.run(partial(expire, WallMs(fleet.now + HOUR_MS)), durable=True)
    await an_hour_later(fleet)
    assert await outcomes(fleet.store) == ["submitted", "overlapped", "submitted"]
