"""Rollouts against a real store: taken back at once, and where what was done is told too late."""

import asyncio
from functools import partial

import msgspec
import pytest

from coordinator.transactions.artifacts import (
    Artifact,
    NeededError,
    announce,
    complete,
    find,
    forget,
    may_fetch,
)
from coordinator.transactions.cancel import cancel
from coordinator.transactions.deadlines import expire
from coordinator.transactions.jobs import view_job
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import parse_uuid
from shared.model.artifact import artifact_text
from shared.model.job import ExecutionState
from shared.model.selector import parse_selector
from tests.rollout_fleet import NOW, POLICY, STRICT, UNDO, _executions, enrolled
from tests.stores import ENGINES, open_store

FILE = {"artifact": artifact_text(b"?" * 32), "size": 9}
BACK = {"steps": [{"id": "back", "action": "agent.fetch", "params": FILE}]}
AGENTS = [f"a{number:02}" for number in range(20)]


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        yield await enrolled(store)


async def test_a_rollback_undoes_where_it_succeeded_and_calls_off_elsewhere(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    await fleet.submit(gate=gate, compensation=UNDO)
    agents = sorted(await fleet.states())
    await fleet.sign(agents[9])
    await fleet.tell_all(ExecutionState.SUCCEEDED, agents[:4])
    await fleet.tell_all(ExecutionState.FAILED, agents[4:8])
    view = await fleet.view()
    assert (view.state, view.undo is not None) == ("ROLLED_BACK", True)
    undo = bytes.fromhex(view.undo.replace("-", ""))
    undone = await fleet.store.read(partial(_executions, undo))
    assert sorted(row[1] for row in undone) == agents[:4]
    assert (await fleet.sign(agents[9])).cancels
    await fleet.tell(agents[9], ExecutionState.SUCCEEDED)
    undone = await fleet.store.read(partial(_executions, undo))
    assert sorted(row[1] for row in undone) == [*agents[:4], agents[9]]


async def test_a_rollback_undoes_what_was_stopped_half_way_and_not_what_had_not_begun(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    await fleet.submit(gate=gate, compensation=UNDO)
    agents = sorted(await fleet.states())
    for agent in agents[8:10]:
        await fleet.sign(agent)
    await fleet.tell_all(ExecutionState.FAILED, agents[4:8])
    undo = bytes.fromhex((await fleet.view()).undo.replace("-", ""))
    assert not await fleet.store.read(partial(_executions, undo))
    await fleet.tell(agents[8], ExecutionState.CANCELED, cancel="not_started")
    await fleet.tell(agents[9], ExecutionState.CANCELED, cancel="stopped")
    undone = await fleet.store.read(partial(_executions, undo))
    assert [row[1] for row in undone] == [agents[9]]


async def test_what_no_class_may_undo_any_more_is_called_off_and_says_so(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    await fleet.submit(gate=gate, compensation=UNDO)
    fleet.policy = msgspec.structs.replace(POLICY, classes={})
    await fleet.tell_all(ExecutionState.FAILED, sorted(await fleet.states())[:3])
    view = await fleet.view()
    assert (view.state, view.undo) == ("STOPPED", None)
    assert "it cannot be undone" in " ".join(view.why)
    assert ExecutionState.QUEUED not in (await fleet.states()).values()


async def test_a_person_may_take_back_what_has_finished(fleet):
    await fleet.submit(rollout={}, compensation=UNDO)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"
    await fleet.ask("rollback")
    view = await fleet.view()
    assert view.state == "ROLLED_BACK"
    undo = bytes.fromhex(view.undo.replace("-", ""))
    assert len(await fleet.store.read(partial(_executions, undo))) == 20
    await fleet.ask("rollback")
    assert (await fleet.view()).undo == view.undo


async def test_what_has_no_compensation_is_not_taken_back(fleet):
    await fleet.submit(rollout={})
    with pytest.raises(MistakeError, match="does not say how it is taken back"):
        await fleet.ask("rollback")


async def undoing(fleet) -> bytes:
    """Let the gate take a rollout back that two did, while the last agent is at work."""
    await fleet.submit(gate={**STRICT, "error_action": "rollback"}, compensation=UNDO)
    await fleet.sign(AGENTS[-1])
    await fleet.tell(AGENTS[-1], ExecutionState.IN_PROGRESS)
    await fleet.tell_all(ExecutionState.SUCCEEDED, AGENTS[:2])
    await fleet.tell_all(ExecutionState.FAILED, AGENTS[2:6])
    return parse_uuid((await fleet.view()).undo, what="the job that undoes it")


async def test_what_takes_a_rollout_back_and_was_called_off_begins_nowhere_later(fleet):
    undo = await undoing(fleet)
    await fleet.store.run(partial(cancel, undo, actor="anna", now_ms=fleet.now), durable=False)
    await fleet.tell(AGENTS[-1], ExecutionState.SUCCEEDED)
    job = await fleet.store.read(partial(view_job, undo, now_ms=fleet.now))
    assert (job.state, job.counts) == ("CANCELED", {"CANCELED": 2})


async def test_what_is_told_after_the_undoing_was_over_is_undone_all_the_same(fleet):
    undo = await undoing(fleet)
    fleet.now += (limits.JOB_EXPIRES_S + 60) * 1000
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=True)
    await fleet.tell(AGENTS[-1], ExecutionState.CANCELED, cancel="stopped")
    job = await fleet.store.read(partial(view_job, undo, now_ms=fleet.now))
    assert (job.state, job.targets, job.counts["QUEUED"]) == ("IN_PROGRESS", 3, 1)
    (grant,) = (await fleet.sign(AGENTS[-1])).grants
    assert grant.job == undo
    fleet.now += (limits.JOB_EXPIRES_S + 60) * 1000
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=True)
    job = await fleet.store.read(partial(view_job, undo, now_ms=fleet.now))
    assert (job.state, job.counts) == ("COMPLETED", {"EXPIRED": 2, "OVERDUE": 1})


async def test_a_late_success_among_more_than_one_step_counts_is_undone(fleet, monkeypatch):
    undo = await undoing(fleet)
    monkeypatch.setattr(limits, "ROLLOUT_EVENTS", 1)
    settle, fleet.settle = fleet.settle, partial(asyncio.sleep, 0)
    await fleet.tell(AGENTS[-1], ExecutionState.SUCCEEDED)
    await fleet.tell(AGENTS[0], ExecutionState.FAILED)
    await settle()
    undone = await fleet.store.read(partial(_executions, undo))
    assert sorted(row[1] for row in undone) == [*AGENTS[:2], AGENTS[-1]]


async def test_what_undoes_is_seen_by_who_sees_what_it_undoes(fleet):
    await fleet.submit(compensation=UNDO, rollout={})

    async def sees(job, limit):
        view = partial(view_job, job, now_ms=WallMs(NOW), limit=parse_selector(limit))
        return await fleet.store.read(view) is not None

    await fleet.ask("rollback")
    undo = bytes.fromhex((await fleet.view()).undo.replace("-", ""))
    assert not await fleet.store.read(partial(_executions, undo)), "nobody had done it"
    for job in (fleet.job, undo):
        assert [await sees(job, limit) for limit in ("site", "site=s0")] == [True, False]
    assert not await sees(b"?" * 16, "site"), "there is no such job"


async def handed_in(fleet) -> bytes:
    digest = b"?" * 32
    file = Artifact(
        digest=digest,
        size=9,
        kind="file",
        name="",
        version="",
        labels={},
        created_ms=fleet.now,
        created_by="",
    )
    told = {"actor": "me", "now_ms": fleet.now}
    await fleet.store.run(partial(announce, file, **told), durable=False)
    await fleet.store.run(partial(complete, digest, image="", **told), durable=False)
    return digest


async def test_what_undoes_may_fetch_its_files_and_they_stay(fleet):
    digest = await handed_in(fleet)
    await fleet.submit(compensation=BACK, rollout={})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"
    await fleet.ask("rollback")
    assert await fleet.sign("a00")
    assert await fleet.store.read(partial(may_fetch, "a00", digest)) == 9
    assert (await fleet.store.read(partial(find, digest))).jobs == [(await fleet.view()).undo]


async def test_files_of_a_rollout_stay_while_it_may_be_joined_or_taken_back(fleet):
    digest = await handed_in(fleet)
    gone = partial(forget, digest, actor="me", now_ms=WallMs(fleet.now))
    await fleet.submit(compensation=BACK, rollout={"target_selection": "continuous"})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    with pytest.raises(NeededError):
        await fleet.store.run(gone, durable=False)
    await fleet.ask("cancel")
    assert await fleet.store.run(gone, durable=False)
    with pytest.raises(MistakeError, match="hand it in first"):
        await fleet.ask("rollback")
    assert (await fleet.view()).state == "STOPPED"
