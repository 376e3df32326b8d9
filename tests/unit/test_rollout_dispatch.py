"""Rollouts against a real store: members are released, counted, held, put off."""

from functools import partial

import pytest

from coordinator.core.ports import execute
from coordinator.transactions.dispatch import next_due
from coordinator.transactions.jobs import view_job
from coordinator.transactions.membership import decommission, revoke
from shared.clock import WallMs
from shared.model.job import ExecutionState
from tests.rollout_fleet import CANARY, DAY_MS, STRICT, enrolled
from tests.stores import ENGINES, ask, open_store


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        yield await enrolled(store)


async def test_a_canary_that_succeeds_opens_the_next_stage(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    canary = await fleet.states()
    assert len(canary) == 2
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 20
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"


async def test_what_was_told_before_its_execution_is_released_again_counts_after_a_restore(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    canary = await fleet.states()
    early = next(f"a{index:02}" for index in range(20) if f"a{index:02}" not in canary)
    restored = partial(execute, "restore_insert", 1, fleet.now + 1, fleet.now)
    await fleet.store.run(restored, durable=False)
    await fleet.later(2)
    await fleet.tell(early, ExecutionState.SUCCEEDED)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    states = await fleet.states()
    assert (len(states), states[early]) == (20, ExecutionState.SUCCEEDED)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"


async def test_a_canary_that_fails_pauses_the_rollout(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    await fleet.tell_all(ExecutionState.FAILED)
    view = await fleet.view()
    assert (view.state, len(await fleet.states())) == ("PAUSED", 2)
    assert "2 of 2 failed" in view.why[0]


async def test_a_rollout_without_stages_releases_everybody_under_its_rate(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 6})
    assert len(await fleet.states()) == 6
    await fleet.later(59_999)
    assert len(await fleet.states()) == 6
    await fleet.later(1)
    assert len(await fleet.states()) == 12
    assert await fleet.store.read(next_due) == fleet.now + 60_000


async def test_a_rate_grows_with_success(fleet):
    ramp = {"base_rate_per_minute": 2, "increment_factor": 2, "number_of_succeeded": 2}
    await fleet.submit(rollout={"exponential_rate": ramp})
    assert len(await fleet.states()) == 2
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 4


async def test_one_site_is_never_worked_on_twice_at_once(fleet):
    await fleet.submit(rollout={"max_concurrent_per_site": 1})
    first = set(await fleet.states())
    assert len(first) == 10
    (agent, *_) = sorted(first)
    await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    assert set(await fleet.states()) == first
    await fleet.tell(agent, ExecutionState.FAILED)
    index = int(agent[1:])
    assert set(await fleet.states()) - first == {f"a{index ^ 1:02}"}


async def test_who_is_lost_keeps_his_site_to_himself(fleet):
    """A technician may be looking for the first gateway while the second one must still work."""
    await fleet.submit(
        rollout={"max_concurrent_per_site": 1}, deadlines={"complete_within_s": 3600}
    )
    for agent in sorted(await fleet.states()):
        await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    await fleet.later(3_600_000)
    assert set((await fleet.states()).values()) == {ExecutionState.OVERDUE}
    assert len(await fleet.states()) == 10


async def goes(fleet, act, agent):
    body = partial(act, agent, actor="me", now_ms=WallMs(fleet.now))
    assert await fleet.store.run(body, durable=True)
    await fleet.settle()


async def test_who_went_before_its_turn_leaves_it_to_the_next_one_of_its_site(fleet):
    await fleet.enroll(3, first=20, per_site=30)
    await fleet.submit(rollout={"max_concurrent_per_site": 1})
    (first,) = {"a00", "a01", "a20", "a21", "a22"} & set(await fleet.states())
    rest = "SELECT agent_id FROM rollout_member WHERE site = 's0' AND ready = 0 ORDER BY rank"
    second, third, *_ = [agent for (agent,) in await ask(fleet.store, rest)]
    await goes(fleet, revoke, second)
    await fleet.tell(first, ExecutionState.SUCCEEDED)
    states = await fleet.states()
    assert states[second] is ExecutionState.REMOVED
    assert states[third] is ExecutionState.QUEUED
    assert (await fleet.view()).stages[0].counts == {"QUEUED": 10, "SUCCEEDED": 1, "REMOVED": 1}


async def test_whoever_comes_after_one_that_went_is_not_left_until_the_next_look(fleet):
    await fleet.submit(rollout={"start": "2026-11-19T00:00:00Z"})
    for agent in ("a00", "a01"):
        await goes(fleet, revoke, agent)
    fleet.now = 1_795_046_400_000
    assert [(await fleet.step()).again for _ in range(2)] == [True, False]


@pytest.mark.parametrize("early", [True, False])
async def test_a_canary_asks_a_person_whenever_its_last_member_went(fleet, early):
    rollout = {"stages": CANARY, "maximum_per_minute": 1}
    await fleet.submit(rollout=rollout, gate=STRICT)
    (here,) = await fleet.states()
    if not early:
        await fleet.later(60_000)
    canary = "SELECT agent_id FROM rollout_member WHERE stage = 0 AND agent_id <> $1"
    ((gone,),) = await ask(fleet.store, canary, here)
    await goes(fleet, decommission, gone)
    await fleet.later(60_000)
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    view = await fleet.view()
    assert (view.state, view.stages[0].counts) == ("PAUSED", {"SUCCEEDED": 1, "REMOVED": 1})
    assert "nobody is left" in view.why[0]


async def test_a_percentage_bounds_what_is_open(fleet):
    await fleet.submit(rollout={"max_concurrent_percentage": 25})
    assert len(await fleet.states()) == 5
    await fleet.tell_all(ExecutionState.IN_PROGRESS)
    assert len(await fleet.states()) == 5
    agent = min(await fleet.states())
    await fleet.tell(agent, ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 6


async def test_a_paused_rollout_signs_nothing_that_it_had_released(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    agent, other = sorted(await fleet.states())
    assert (await fleet.sign(agent)).grants
    await fleet.ask("pause")
    assert await fleet.sign(other) is None
    await fleet.ask("resume")
    assert (await fleet.sign(other)).grants


async def test_after_a_resume_only_more_failures_stop_it_again(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    await fleet.tell_all(ExecutionState.FAILED)
    await fleet.ask("resume")
    assert ((await fleet.view()).state, len(await fleet.states())) == ("RUNNING", 2)
    await fleet.ask("advance")
    assert len(await fleet.states()) == 20
    await fleet.tell_all(
        ExecutionState.FAILED, [a for a, s in (await fleet.states()).items() if s < 10][:2]
    )
    assert (await fleet.view()).state == "PAUSED"


async def test_a_stage_waits_for_a_person_where_it_says_so(fleet):
    stages = [{**CANARY[0], "success_action": "pause"}, CANARY[1]]
    await fleet.submit(rollout={"stages": stages}, gate=STRICT)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert ((await fleet.view()).state, len(await fleet.states())) == ("PAUSED", 2)
    await fleet.ask("resume")
    assert len(await fleet.states()) == 20


async def test_a_good_stage_soaks_before_the_next_one(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate={**STRICT, "soak_minutes": 60})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).stages[0].state == "SOAKING"
    await fleet.later(3_599_999)
    assert len(await fleet.states()) == 2
    await fleet.later(1)
    assert len(await fleet.states()) == 20


@pytest.mark.parametrize("paused", [False, True])
async def test_a_stage_soaks_anew_when_its_gate_is_met_anew(fleet, paused):
    stages = [{"name": "canary", "percentage": 50}, {"name": "fleet", "percentage": 100}]
    gate = {"success_percentage": 60, "error_percentage": 30, "min_executed": 5}
    await fleet.submit(rollout={"stages": stages}, gate={**gate, "soak_minutes": 60})
    agents = sorted(await fleet.states())
    await fleet.tell_all(ExecutionState.SUCCEEDED, agents[:5])
    assert (await fleet.view()).stages[0].state == "SOAKING"
    if paused:
        await fleet.ask("pause")
    await fleet.tell_all(ExecutionState.IN_PROGRESS, agents[5:])
    assert (await fleet.view()).stages[0].state == "RUNNING"
    await fleet.later(7_200_000)
    await fleet.tell_all(ExecutionState.SUCCEEDED, agents[5:])
    if paused:
        await fleet.ask("resume")
    assert (await fleet.view()).stages[0].state == "SOAKING"
    await fleet.later(3_599_999)
    assert len(await fleet.states()) == 10
    await fleet.later(1)
    assert len(await fleet.states()) == 20


async def test_a_pause_that_its_gate_outlasts_is_no_break_of_the_soak(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate={**STRICT, "soak_minutes": 60})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    await fleet.ask("pause")
    await fleet.later(3_600_000)
    await fleet.ask("resume")
    assert len(await fleet.states()) == 20


async def test_stragglers_are_carried_into_the_next_stage(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "carry_forward"}
    await fleet.submit(rollout={"stages": CANARY, "max_concurrent_per_site": 1}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    assert set(await fleet.states()) == {here, gone}
    await fleet.later(DAY_MS)
    view = await fleet.view()
    assert [(stage.name, stage.members) for stage in view.stages] == [("canary", 1), ("fleet", 19)]
    for _ in range(20):
        await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert ((await fleet.view()).state, len(await fleet.states())) == ("FINISHED", 20)


async def test_a_straggler_whose_work_was_signed_only_counts_in_the_next_stage(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "carry_forward"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.sign(gone)
    made = await fleet.made_ms(gone)
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    await fleet.later(DAY_MS)
    assert await fleet.made_ms(gone) == made, "it was not made anew"
    view = await fleet.view()
    assert [stage.members for stage in view.stages] == [1, 19]
    assert view.stages[1].counts == {"QUEUED": 19}


async def test_stragglers_are_dropped_and_come_back_only_as_late_facts(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "drop"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.sign(gone)
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    await fleet.later(DAY_MS)
    assert (await fleet.states())[gone] is ExecutionState.OVERDUE
    assert len(await fleet.states()) == 20
    assert (await fleet.sign(gone)).cancels
    await fleet.tell(gone, ExecutionState.SUCCEEDED)
    assert (await fleet.view()).stages[0].counts == {"SUCCEEDED": 2}


async def test_a_canary_that_nobody_executed_is_never_good(fleet):
    gate = {**STRICT, "reach_deadline": "P1D", "stragglers": "drop"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    await fleet.later(DAY_MS)
    view = await fleet.view()
    assert (view.state, len(await fleet.states())) == ("PAUSED", 2)
    assert "nobody is left" in view.why[0]


async def test_who_lets_a_stage_go_on_that_nobody_is_left_in_is_asked_again(fleet):
    gate = {**STRICT, "reach_deadline": "P1D", "stragglers": "carry_forward"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    await fleet.later(DAY_MS)
    await fleet.ask("resume")
    view = await fleet.view()
    assert (view.state, view.stages[0].members) == ("PAUSED", 0)
    await fleet.ask("advance")
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"


async def test_too_many_failures_of_one_kind_abort_the_rollout(fleet):
    criterion = {"failure_type": "TIMED_OUT", "threshold_percentage": 50, "min_executed": 4}
    await fleet.submit(abort={"criteria": [criterion]})
    agents = sorted(await fleet.states())
    await fleet.tell_all(ExecutionState.FAILED, agents[:3])
    assert (await fleet.view()).state == "RUNNING"
    await fleet.tell_all(ExecutionState.TIMED_OUT, agents[3:6])
    view = await fleet.view()
    assert (view.state, view.why) == ("STOPPED", ["3 of 6 are TIMED_OUT: the limit is 50 %"])
    job = await fleet.store.read(partial(view_job, fleet.job, now_ms=fleet.now))
    assert job.state == "ABORTED"
    assert set((await fleet.states()).values()) == {
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.CANCELED,
    }
