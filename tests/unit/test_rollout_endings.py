"""Rollouts against a real store: taken back, called off, over, and what is told too late."""

from functools import partial

import pytest

from coordinator.core.ports import execute, fetch_one
from coordinator.transactions import approvals
from coordinator.transactions.cancel import cancel
from coordinator.transactions.chains import begin_chain, ready_chains
from coordinator.transactions.deadlines import expire
from coordinator.transactions.dispatch import OvertakenError, load, save
from coordinator.transactions.dispatch_joiners import add_members, joiners
from coordinator.transactions.fleet import count_everything
from coordinator.transactions.jobs import view_job
from coordinator.transactions.rollouts_steer import NotNowError
from coordinator.transactions.rollouts_view import list_rollouts
from shared.clock import WallMs
from shared.ids import FleetId, uuid_text
from shared.model.job import ExecutionState
from tests.rollout_fleet import CANARY, DAY_MS, NOW, POLICY, STRICT, UNDO, enrolled
from tests.stores import ENGINES, ask, open_store, tell

AGENTS = [f"a{number:02}" for number in range(20)]


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        yield await enrolled(store)


async def test_a_finished_rollout_is_not_paused(fleet):
    await fleet.submit(rollout={})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    with pytest.raises(NotNowError, match="FINISHED"):
        await fleet.ask("pause")


async def test_a_late_fact_reopens_the_account_and_releases_nothing(fleet):
    await fleet.submit(rollout={}, deadlines={"contact_within": "P1D"})
    await fleet.later(DAY_MS)
    assert (await fleet.view()).state == "FINISHED"
    agent = min(await fleet.states())
    await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    view = await fleet.view()
    assert (view.state, view.stages[0].counts) == ("FINISHED", {"IN_PROGRESS": 1, "OVERDUE": 19})
    job = await fleet.store.read(partial(view_job, fleet.job, now_ms=fleet.now))
    assert job.state == "IN_PROGRESS"
    assert await fleet.sign(sorted(await fleet.states())[1]) is None


async def test_late_failures_count_and_stop_nothing_that_is_over(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    deadlines = {"contact_within": "P1D"}
    await fleet.submit(gate=gate, deadlines=deadlines, compensation=UNDO)
    agents = sorted(await fleet.states())
    await fleet.later(DAY_MS)
    await fleet.tell_all(ExecutionState.FAILED, agents[:3])
    view = await fleet.view()
    assert (view.state, view.undo, view.stages[0].failed) == ("FINISHED", None, 3)
    assert view.why == ["3 of 20 agents failed"]


async def test_it_begins_at_its_start_and_stops_at_its_end(fleet):
    start, end = "2026-11-19T00:00:00Z", "2026-11-19T01:00:00Z"
    fleet.now = 1_795_046_400_000 - 60_000
    rollout = {"start": start, "end": end, "maximum_per_minute": 1, "end_behavior": "cancel"}
    await fleet.submit(rollout=rollout)
    assert ((await fleet.view()).state, await fleet.states()) == ("READY", {})
    await fleet.later(60_000)
    assert len(await fleet.states()) == 1
    await fleet.later(3_600_000)
    assert (await fleet.view()).state == "EXPIRED"
    assert list((await fleet.states()).values()) == [ExecutionState.CANCELED]


END, SOON_AFTER = "2026-11-19T01:00:00Z", "2026-11-19T01:00:30Z"
END_MS = 1_795_046_400_000 + 3_600_000


async def paused_at_its_end(fleet) -> list[str]:
    """Let a gate pause a rollout, and its end come; return whom the pause held it back from."""
    await fleet.submit(rollout={"end": END}, gate=STRICT, expires_in_s=DAY_MS // 1000)
    agents = sorted(await fleet.states())
    await fleet.tell_all(ExecutionState.FAILED, agents[:8])
    assert (await fleet.view()).state == "PAUSED"
    await fleet.later(END_MS - fleet.now)
    view = await fleet.view()
    held = "what its pause held back is not signed any more"
    assert (view.state, view.why) == ("EXPIRED", ["its end has come", held])
    assert all([await fleet.sign(agent) is None for agent in agents[8:]])
    return agents[8:]


async def test_what_a_pause_held_back_expires_unsigned_with_its_job(fleet):
    held = await paused_at_its_end(fleet)
    fleet.now = NOW + DAY_MS
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    await fleet.settle()
    states = await fleet.states()
    assert {states[agent] for agent in held} == {ExecutionState.EXPIRED}
    assert (await shown(fleet)).state == "COMPLETED"


async def test_what_a_pause_held_back_can_be_called_off_after_its_end(fleet):
    held = await paused_at_its_end(fleet)
    await fleet.ask("cancel")
    states = await fleet.states()
    assert {states[agent] for agent in held} == {ExecutionState.CANCELED}
    assert (await shown(fleet)).state == "CANCELED"


@pytest.mark.parametrize("not_after", [END, SOON_AFTER])
async def test_an_end_that_calls_off_does_so_though_the_jobs_time_is_over_too(fleet, not_after):
    """Nobody looked for a minute: deadlines are settled, and only then the rollout's turn comes."""
    await fleet.submit(rollout={"end": END, "end_behavior": "cancel"}, not_after=not_after)
    at_work = sorted(await fleet.states())[:3]
    for agent in at_work:
        await fleet.sign(agent)
        await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    fleet.now = END_MS + 60_000
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    await fleet.settle()
    view = await fleet.view()
    assert (view.state, view.why) == ("EXPIRED", ["its end has come"])
    assert all([len((await fleet.sign(agent)).cancels) == 1 for agent in at_work])


async def test_an_end_after_the_jobs_time_calls_nothing_off(fleet):
    await fleet.submit(rollout={"end": SOON_AFTER, "end_behavior": "cancel"}, not_after=END)
    agent = min(await fleet.states())
    await fleet.sign(agent)
    await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    fleet.now = END_MS + 60_000
    await fleet.settle()
    view = await fleet.view()
    assert view.why == ["the time in which its job may begin is over"]
    assert await fleet.sign(agent) is None


async def test_late_joiners_wait_under_the_same_limits(fleet):
    rollout = {"target_selection": "continuous", "maximum_per_minute": 20}
    await fleet.submit(rollout={**rollout, "max_concurrent_per_site": 2})
    assert len(await fleet.states()) == 20
    await fleet.enroll(3, first=20, per_site=30)
    fleet.now += 59_000
    assert await fleet.store.read(partial(joiners, fleet.job, WallMs(fleet.now))) == []
    fleet.now += 1_000
    found = await fleet.store.read(partial(joiners, fleet.job, WallMs(fleet.now)))
    assert found == ["a20", "a21", "a22"]
    for _ in range(2):
        await fleet.store.run(partial(add_members, fleet.job, found), durable=False)
    await fleet.settle()
    view = await fleet.view()
    # They stand on the site of two members that are at work.
    assert (view.targets, view.released, view.state) == (23, 20, "RUNNING")
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).released == 22


async def test_who_is_beyond_the_limit_of_a_token_joins_nothing_of_it(fleet):
    rollout = {"target_selection": "continuous"}
    await fleet.submit(limit='site in (s0, "s10")', rollout=rollout)
    assert sorted(await fleet.states()) == ["a00", "a01"]
    await fleet.enroll(4, first=20)
    fleet.now += 60_000
    found = await fleet.store.read(partial(joiners, fleet.job, WallMs(fleet.now)))
    assert found == ["a20", "a21"], "the site of its own, and neither an old nor a new one besides"


async def test_what_was_called_off_releases_nobody_more(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5})
    await fleet.ask("cancel")
    await fleet.later(600_000)
    assert len(await fleet.states()) == 5
    assert (await fleet.view()).state == "STOPPED"


async def test_a_step_that_was_overtaken_keeps_nothing(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5})
    fleet.now += 60_000

    def overtaken():
        yield from execute("rollout_begin", fleet.job, fleet.now)
        loaded = yield from load(fleet.job)
        assert loaded is not None
        yield from execute("rollout_begin", fleet.job, fleet.now)
        yield from save(loaded, loaded.progress, "", due_ms=0, now_ms=fleet.now)

    with pytest.raises(OvertakenError):
        await fleet.store.run(overtaken, durable=False)
    await fleet.settle()
    assert len(await fleet.states()) == 10


async def test_a_rollout_whose_time_is_over_says_so(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5}, expires_in_s=600)
    fleet.now += 600_000
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    await fleet.settle()
    assert (await fleet.view()).state == "EXPIRED"
    page, more = await fleet.store.read(partial(list_rollouts, before=b"\xff" * 16, size=5))
    assert ([one.state for one in page], more) == (["EXPIRED"], False)


WAITS = "UPDATE job SET threshold = 1, released_ms = NULL WHERE job_id = $1 RETURNING name"
"""People have yet to agree."""


async def waiting(fleet, *, agreed=True):
    """A rollout that has not begun: its job waits, for another one or for people."""
    await fleet.submit()
    await fleet.submit(rollout={}, begins_after={"job": uuid_text(fleet.job)}, expires_in_s=600)
    if not agreed:
        await tell(fleet.store, WAITS, fleet.job)


def deny(job, *, actor, now_ms):
    bench = approvals.Bench(fleet=FleetId(bytes(16)), policy=POLICY, now_ms=now_ms)
    return approvals.deny(job, "no", bench, actor=actor)


async def told(fleet):
    rows = await ask(fleet.store, "SELECT type FROM event WHERE type LIKE 'rollout.%'")
    return [kind for (kind,) in rows]


@pytest.mark.parametrize(
    ("agreed", "end", "state"),
    [
        (True, partial(cancel, actor="anna"), "STOPPED"),
        (False, partial(cancel, actor="anna"), "STOPPED"),
        (False, partial(deny, actor="anna"), "STOPPED"),
        (True, partial(begin_chain, wished=False), "STOPPED"),
        (True, None, "EXPIRED"),
        (False, None, "EXPIRED"),
    ],
)
async def test_a_rollout_that_never_began_ends_with_its_job(fleet, agreed, end, state):
    await waiting(fleet, agreed=agreed)
    if end is None:
        fleet.now += 600_000
        body = partial(expire, WallMs(fleet.now))
    else:
        body = partial(end, fleet.job, now_ms=WallMs(fleet.now))
    await fleet.store.run(body, durable=False)
    ready = partial(list_rollouts, before=b"\xff" * 16, size=5, state=0)
    assert await fleet.store.read(ready) == ([], False)
    view = await fleet.view()
    assert (view.state, len(view.why), await told(fleet)) == (
        state,
        1,
        [f"rollout.{state.lower()}"],
    )
    with pytest.raises(NotNowError, match=f"it is {state}: "):
        await fleet.ask("resume")
    await fleet.ask("cancel")
    await fleet.later(600_000)
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    late_ms = fleet.now + 1
    over = partial(fetch_one, "job_is_over", fleet.job, late_ms, late_ms)
    assert await fleet.store.read(over) is not None
    assert ((await fleet.view()).state, len(await told(fleet))) == (state, 1)


@pytest.mark.parametrize(("agreed", "why"), [(True, "waits for another"), (False, "have yet to")])
async def test_what_has_not_begun_can_be_called_off_and_nothing_else(fleet, agreed, why):
    await waiting(fleet, agreed=agreed)
    with pytest.raises(NotNowError, match=why):
        await fleet.ask("pause")
    await fleet.ask("cancel")
    assert ((await fleet.view()).state, (await shown(fleet)).state) == ("STOPPED", "CANCELED")


async def test_a_rollout_that_began_ends_by_its_own_step(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5})
    await fleet.store.run(
        partial(cancel, fleet.job, actor="anna", now_ms=WallMs(fleet.now)), durable=False
    )
    assert (await fleet.view()).state == "RUNNING"
    await fleet.settle()
    assert ((await fleet.view()).state, (await told(fleet))[-1]) == ("STOPPED", "rollout.stopped")


async def counted(fleet) -> dict[str, int]:
    totals = await fleet.store.read(partial(count_everything, WallMs(fleet.now)))
    return {state: count for state, count in totals.jobs.items() if count}


async def test_a_fleet_counts_a_job_as_what_is_said_of_it(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    assert await counted(fleet) == {"IN_PROGRESS": 1}
    await fleet.tell_all(ExecutionState.FAILED)
    assert await counted(fleet) == {"PAUSED": 1}
    await fleet.ask("cancel")
    assert await counted(fleet) == {"ABORTED": 1}
    await fleet.submit(gate={**STRICT, "error_action": "cancel"})
    await fleet.tell_all(ExecutionState.FAILED)
    assert await counted(fleet) == {"ABORTED": 2}
    assert (await shown(fleet)).state == "ABORTED"
    await fleet.submit(begins_after={"job": uuid_text(fleet.job), "outcome": "FAILED"})
    assert (await shown(fleet)).state == "SCHEDULED"
    assert await counted(fleet) == {"ABORTED": 2, "SCHEDULED": 1}


async def shown(fleet):
    return await fleet.store.read(partial(view_job, fleet.job, now_ms=WallMs(fleet.now)))


@pytest.mark.parametrize("ended", ["cancel", "rollback", "end", "time"])
async def test_who_waits_for_all_to_succeed_is_not_told_of_a_part(fleet, ended):
    rollout = {"stages": CANARY, "end": "2026-11-18T12:06:40Z"}
    await fleet.submit(
        rollout=rollout if ended == "end" else {"stages": CANARY},
        gate={**STRICT, "soak_minutes": 120},
        compensation=UNDO,
        expires_in_s=3_600,
    )
    first = fleet.job
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await shown(fleet)).counts == {"SUCCEEDED": 2}
    await fleet.submit(begins_after={"job": uuid_text(first)})
    fleet.job = first
    assert await fleet.store.read(partial(ready_chains, WallMs(fleet.now))) == []
    if ended in {"cancel", "rollback"}:
        await fleet.ask(ended)
    fleet.now += 3_600_000
    if ended == "time":
        await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    await fleet.settle()
    ((_, wished),) = await fleet.store.read(partial(ready_chains, WallMs(fleet.now)))
    assert (wished, (await shown(fleet)).succeeded_everywhere) == (False, False)
