"""Rollouts over a real coordinator: gateways call, stages open by themselves, people steer."""

import asyncio
import json

import pytest

from shared.model.job import ExecutionState
from tests.system.coordinator_world import job_body, open_world

STAGES = [
    {"name": "canary", "percentage": 20, "min_targets": 1},
    {"name": "fleet", "percentage": 100},
]
GATE = {"min_executed": 1}
UNDO = {"steps": [{"id": "undo", "action": "device.read", "params": {"points": ["current"]}}]}


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def pumps(world):
    return {f"pump-{number}": await world.gateway(f"pump-{number}") for number in range(4)}


async def submit(world, pumps, **members):
    body = job_body(*pumps, rollout={"stages": STAGES}, gate=GATE, **members)
    answered = await world.post("/v1/jobs", body)
    assert answered.status == 202, answered
    return answered.json["id"]


async def until(world, job, holds):
    """Read the rollout until something holds; the test's own time limit ends it."""
    while not holds(view := await world.read(f"/v1/rollouts/{job}")):
        await asyncio.sleep(0)
    return view


async def released(world, job):
    page = await world.read(f"/v1/executions?job={job}")
    return {one["agent"] for one in page["items"]}


async def do(pump, state):
    (work,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, work.execution, state)])


async def test_the_fleet_follows_a_canary_that_succeeded(world, pumps, run):
    job = await submit(world, pumps)
    await until(world, job, lambda view: view["released"] == 1)
    (canary,) = await released(world, job)
    other = next(name for name in pumps if name != canary)
    assert (await pumps[other].contact())[1] is None
    await do(pumps[canary], ExecutionState.SUCCEEDED)
    await until(world, job, lambda view: view["released"] == 4)
    watching = asyncio.create_task(run("rollouts", "watch", job, "--json"))
    for name in pumps.keys() - {canary}:
        await do(pumps[name], ExecutionState.SUCCEEDED)
    status, out, _ = await watching
    assert status == 0
    assert json.loads(out.splitlines()[-1])["state"] == "FINISHED"
    assert (await world.read(f"/v1/jobs/{job}"))["state"] == "COMPLETED"


async def test_a_canary_that_fails_stops_the_others_and_a_person_calls_it_off(world, pumps, run):
    job = await submit(world, pumps)
    await until(world, job, lambda view: view["released"] == 1)
    (canary,) = await released(world, job)
    await do(pumps[canary], ExecutionState.FAILED)
    view = await until(world, job, lambda view: view["state"] == "PAUSED")
    assert "1 of 1 failed" in view["why"][0]
    assert (await world.read(f"/v1/jobs/{job}"))["state"] == "PAUSED"
    assert "PAUSED" in (await run("rollouts", "list", "--state", "paused"))[1]
    shown = " ".join((await run("rollouts", "show", job))[1].split())
    assert "1 of 1 failed" in shown
    told = json.loads((await run("rollouts", "report", job, "--json"))[1])
    row, *others = told["gateways"]
    assert (row["agent"], row["stage"], row["did"]) == (canary, "canary", "failed")
    assert (row["known"], row["told_at"] is None, row["owed"]) == ("told", False, "")
    assert {one["agent"] for one in others} == pumps.keys() - {canary}
    assert {(one["state"], one["stage"], one["owed"]) for one in others} == {
        (None, "fleet", "its turn")
    }
    assert told["counts"] == {"nothing: its turn has not come": 3, "failed": 1}
    out = (await run("rollouts", "report", job))[1]
    assert all(name in out for name in pumps)
    assert "still owed: 3 its turn" in out
    status, out, _ = await run("rollouts", "cancel", job)
    assert (status, "STOPPED" in out) == (0, True)
    assert ("canary LEFT" in " ".join(out.split()), "RUNNING" in out) == (True, False)
    assert await released(world, job) == {canary}
    status, _, err = await run("rollouts", "resume", job)
    assert (status, "STOPPED" in err) == (6, True)
    (entry,) = (await world.read("/v1/audit?action=rollout.paused"))["items"]
    assert entry["object"] == f"job:{job}"


async def test_who_steers_is_named_and_not_where_from(world, pumps, run):
    job = await submit(world, pumps)
    await until(world, job, lambda view: view["released"] == 1)
    assert (await run("rollouts", "pause", job))[0] == 0
    (why,) = (await world.read(f"/v1/rollouts/{job}"))["why"]
    (entry,) = (await world.read("/v1/audit?action=rollout.pause"))["items"]
    assert (why, bool(entry["source"])) == (f"paused by {entry['actor']}", True)


async def test_a_person_takes_back_what_succeeded(world, pumps, run):
    job = await submit(world, pumps, compensation=UNDO)
    await until(world, job, lambda view: view["released"] == 1)
    (canary,) = await released(world, job)
    await do(pumps[canary], ExecutionState.SUCCEEDED)
    status, _, err = await run("rollouts", "rollback", job)
    assert (status, "nobody is there to be asked" in err) == (2, True)
    status, out, _ = await run("rollouts", "rollback", job, "--yes")
    assert (status, "ROLLED_BACK" in out) == (0, True)
    view = await world.read(f"/v1/rollouts/{job}")
    assert await released(world, view["undo"]) == {canary}
    (work,) = (await pumps[canary].ordered()).jobs
    assert [step.id for step in work.spec.steps] == ["undo"]


async def test_who_takes_a_rollout_back_may_wait_until_it_is_undone_everywhere(world, pumps, run):
    job = await submit(world, pumps, compensation=UNDO)
    await until(world, job, lambda view: view["released"] == 1)
    (canary,) = await released(world, job)
    await do(pumps[canary], ExecutionState.SUCCEEDED)
    waiting = asyncio.create_task(run("rollouts", "rollback", job, "--yes", "--wait"))
    undo = (await until(world, job, lambda view: view["undo"] is not None))["undo"]
    (work,) = (await pumps[canary].ordered()).jobs
    assert not waiting.done(), "the undoing was not told"
    await pumps[canary].contact(
        receipts=[pumps[canary].receipt(2, work.execution, ExecutionState.SUCCEEDED)]
    )
    status, out, _ = await waiting
    assert (status, "ROLLED_BACK" in out) == (0, True)
    assert (await world.read(f"/v1/jobs/{undo}"))["counts"] == {"SUCCEEDED": 1}


async def test_an_undoing_that_fails_is_no_good_end_of_waiting_for_it(world, pumps, run):
    job = await submit(world, pumps, compensation=UNDO)
    await until(world, job, lambda view: view["released"] == 1)
    (canary,) = await released(world, job)
    await do(pumps[canary], ExecutionState.SUCCEEDED)
    waiting = asyncio.create_task(run("rollouts", "rollback", job, "--yes", "--wait"))
    await until(world, job, lambda view: view["undo"] is not None)
    (work,) = (await pumps[canary].ordered()).jobs
    failed = pumps[canary].receipt(2, work.execution, ExecutionState.FAILED)
    await pumps[canary].contact(receipts=[failed])
    assert (await waiting)[0] == 1


async def test_a_preview_names_the_very_agents_that_begin(world, pumps, run, tmp_path):
    file = tmp_path / "job.json"
    body = job_body(*pumps, rollout={"stages": STAGES}, gate=GATE, conflict_key="setpoint")
    file.write_text(json.dumps(body))
    status, out, _ = await run("rollouts", "preview", file, "--json")
    assert status == 0
    preview = json.loads(out)
    assert [stage["members"] for stage in preview["stages"]] == [1, 3]
    assert (await world.read("/v1/jobs"))["items"] == []
    job = (await world.post("/v1/jobs", body)).json["id"]
    await until(world, job, lambda view: view["released"] == 1)
    assert await released(world, job) == set(preview["stages"][0]["sample"])
    status, out, _ = await run("rollouts", "preview", file)
    assert "takes the place of" in out
    assert f"begins with {preview['stages'][0]['sample'][0]} " in " ".join(out.split())
    status, out, _ = await run("jobs", "submit", file)
    assert "follow it with: outstation rollouts watch" in out


async def test_a_mistake_points_at_its_line(run, tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(
        'name = "x"\n[targets]\nagents = ["pump-0"]\n'
        '[[steps]]\nid = "look"\naction = "device.read"\nparams = { points = ["p"] }\n'
        '[gate]\nstragglers = "drop"\n'
    )
    status, _, err = await run("rollouts", "preview", file)
    assert status == 2
    assert "line 9: gate.stragglers: nobody is a straggler without a reach_deadline" in " ".join(
        err.split()
    )
