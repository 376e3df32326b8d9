"""A newer job that a pause holds back, or whose time is over, takes no older one's place."""

from functools import partial

import pytest

from coordinator.core.ports import execute
from coordinator.transactions.deadlines import expire
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from tests.rollout_fleet import STRICT, Fleet
from tests.stores import ENGINES, open_store

MINUTE_MS = 60_000
KEY = {"conflict_key": "setpoint"}


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        fleet = Fleet(store)
        await fleet.enroll(3)
        yield fleet


async def configured(fleet, setpoint, **members) -> bytes:
    """Hand in a plain configuration, a millisecond after what was there before."""
    fleet.now += 1
    step = {"id": "apply", "action": "device.configure", "params": {"setpoint": setpoint}}
    await fleet.submit(name=f"set-{setpoint}", steps=[step], **members)
    return fleet.job


async def granted(fleet, agent) -> list[bytes]:
    order = await fleet.sign(agent)
    return [] if order is None else [grant.job for grant in order.grants]


async def paused(fleet, **members) -> bytes:
    """Hand in a rollout that its gate pauses; a02 was released and not signed for."""
    new = await configured(fleet, 2, rollout={}, gate=STRICT, **members)
    await fleet.tell_all(ExecutionState.FAILED, ["a00", "a01"])
    assert (await fleet.view()).state == "PAUSED"
    return new


async def test_a_configuration_goes_out_while_a_newer_one_is_held_back(fleet):
    old = await configured(fleet, 1)
    await paused(fleet)
    assert await granted(fleet, "a02") == [old]
    await fleet.ask("cancel")
    assert (await fleet.states())["a02"] is ExecutionState.CANCELED


async def test_a_configuration_is_replaced_once_the_newer_one_may_go_on(fleet):
    old = await configured(fleet, 1)
    new = await paused(fleet)
    await fleet.ask("resume")
    assert await granted(fleet, "a02") == [new]
    fleet.job = old
    assert (await fleet.states())["a02"] is ExecutionState.SUPERSEDED


async def test_a_configuration_goes_out_where_a_newer_ones_time_is_over(fleet):
    """A contact comes before anybody settled the deadline."""
    old = await configured(fleet, 1)
    await configured(fleet, 2, expires_in_s=600)
    fleet.now += 600_000
    assert await granted(fleet, "a02") == [old]


async def test_what_a_held_back_job_waits_for_is_kept(fleet):
    first = await configured(fleet, 1)
    held = await paused(fleet, after={"job": uuid_text(first)})
    third = await configured(fleet, 3)
    assert await granted(fleet, "a02") == [first, third]
    fleet.job = held
    await fleet.ask("resume")
    assert await granted(fleet, "a02") == [held]


async def released_late(fleet, old) -> tuple[str, ExecutionState]:
    """Let a rollout that releases one a minute go on; return whom it released, and what of it."""
    fleet.job = old
    before = set(await fleet.states())
    await fleet.later(MINUTE_MS)
    after = await fleet.states()
    (agent,) = set(after) - before
    return agent, after[agent]


async def test_what_is_released_late_is_dropped_for_a_newer_one_that_goes(fleet):
    old = await configured(fleet, 1, **KEY, rollout={"maximum_per_minute": 1})
    new = await configured(fleet, 2, **KEY, rollout={})
    agent, state = await released_late(fleet, old)
    assert state is ExecutionState.SUPERSEDED
    assert await granted(fleet, agent) == [new]


async def test_what_is_released_late_goes_while_a_newer_one_is_held_back(fleet):
    old = await configured(fleet, 1, **KEY, rollout={"maximum_per_minute": 1})
    new = await configured(fleet, 2, **KEY, rollout={})
    await fleet.ask("pause")
    agent, state = await released_late(fleet, old)
    assert state is ExecutionState.QUEUED
    assert await granted(fleet, agent) == [old]
    fleet.job = new
    await fleet.ask("resume")
    assert await granted(fleet, agent) == [new], "in the order in which they were handed in"


@pytest.mark.parametrize("settled", [False, True])
async def test_what_is_released_late_goes_where_a_newer_ones_time_is_over(fleet, settled):
    old = await configured(fleet, 1, **KEY, rollout={"maximum_per_minute": 1})
    await configured(fleet, 2, **KEY, expires_in_s=30)
    if settled:
        await fleet.store.run(partial(expire, WallMs(fleet.now + 30_000)), durable=False)
    agent, state = await released_late(fleet, old)
    assert state is ExecutionState.QUEUED
    assert await granted(fleet, agent) == [old]


@pytest.mark.parametrize("how", ["signed", "told", "restored"])
async def test_what_is_released_late_is_dropped_where_a_newer_one_may_be(fleet, how):
    """Its rollout is paused now; a coordinator from a copy may have signed it before."""
    old = await configured(fleet, 1, **KEY, rollout={"maximum_per_minute": 1})
    await configured(fleet, 2, **KEY, rollout={})
    for agent in ("a00", "a01", "a02"):
        if how == "signed":
            await fleet.sign(agent)
        elif how == "told":
            await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    if how == "restored":
        fleet.now += 1
        restored = partial(execute, "restore_insert", 1, fleet.now, fleet.now)
        await fleet.store.run(restored, durable=False)
    await fleet.ask("pause")
    _, state = await released_late(fleet, old)
    assert state is ExecutionState.SUPERSEDED
