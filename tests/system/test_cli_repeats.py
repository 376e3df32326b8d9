"""A job once more, and the story of one: the command line against a real coordinator."""

import json
import sqlite3
from contextlib import closing

from shared.errors import Reason
from shared.ids import parse_uuid
from shared.model.job import ExecutionState
from shared.trust.starter import OPERATE
from tests.system.coordinator_world import job_body
from tests.system.test_cli_jobs import pump, world

__all__ = ["pump", "world"]


async def failed(world, pump):
    """Let a job fail on one of two gateways."""
    other = await world.gateway("pump-2")
    job = await world.submit("pump-1", "pump-2")
    for gateway, state in ((pump, ExecutionState.FAILED), (other, ExecutionState.SUCCEEDED)):
        (granted,) = (await gateway.ordered()).jobs
        reason = 0 if state is ExecutionState.SUCCEEDED else int(Reason.STEP_FAILED)
        receipt = gateway.receipt(1, granted.execution, state, reason=reason)
        await gateway.contact(receipts=[receipt])
    return job


async def test_a_retry_is_a_new_job_for_the_agents_that_failed(run, world, pump):
    job = await failed(world, pump)
    status, out, _ = await run("jobs", "retry", job["id"], "--json")
    assert status == 0
    again = json.loads(out)
    assert (again["targets"], again["origin"]) == (1, f"retry:{job['id']}")
    assert again["digest"] == job["digest"]
    (granted,) = (await pump.ordered()).jobs
    receipt = pump.receipt(2, granted.execution, ExecutionState.SUCCEEDED)
    await pump.contact(receipts=[receipt])
    assert (await run("jobs", "wait", again["id"], "--timeout", "9"))[0] == 0
    status, _, said = await run("jobs", "retry", again["id"])
    assert (status, "failed on no agent" in said) == (6, True)


async def test_a_clone_is_a_new_job_for_whom_one_likes(run, world, pump):
    job = await failed(world, pump)
    status, out, _ = await run("jobs", "clone", job["id"], "--agent", "pump-2", "--json")
    made = json.loads(out)
    assert (status, made["targets"], made["origin"]) == (0, 1, f"clone:{job['id']}")
    status, out, _ = await run("jobs", "clone", job["id"], "--json")
    assert json.loads(out)["targets"] == 2


async def test_a_clone_is_of_the_same_class_and_waits_for_the_same_job(run, world, pump):
    first = await world.submit("pump-1")
    after = {"job": first["id"], "outcome": "ANY"}
    job = await world.submit("pump-1", begins_after=after, job_class=OPERATE)
    assert (job["state"], job["job_class"]) == ("SCHEDULED", OPERATE)
    _, out, _ = await run("jobs", "clone", job["id"], "--json")
    clone = json.loads(out)
    assert [clone[of] for of in ("state", "waits_for", "job_class")] == [
        "SCHEDULED",
        after,
        OPERATE,
    ]
    with closing(sqlite3.connect(world.place.database)) as database, database:
        before = parse_uuid(first["id"], what="job")
        assert database.execute("DELETE FROM job WHERE job_id = ?", (before,)).rowcount == 1
    _, out, _ = await run("jobs", "clone", job["id"], "--json")
    assert json.loads(out)["waits_for"] is None, "the other one was cleaned up"


async def test_the_story_of_a_job_and_of_each_execution_is_told(run, world, pump):
    job = await failed(world, pump)
    status, out, _ = await run("jobs", "log", job["id"])
    assert (status, "job.submit" in out) == (0, True)
    found = await world.read(f"/v1/executions?job={job['id']}&agent=pump-1")
    status, out, _ = await run("jobs", "execution", found["items"][0]["id"])
    assert (status, "step_failed" in out) == (0, True)


async def test_the_trace_of_a_request_goes_to_the_gateway_and_is_shown(run, world, pump):
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    made = (await world.post("/v1/jobs", job_body("pump-1"), headers=headers)).json
    (granted,) = (await pump.ordered()).jobs
    assert granted.trace.hex() == made["trace"] == trace
    (execution,) = (await world.read(f"/v1/executions?job={made['id']}"))["items"]
    listed = [execution, *(await world.read("/v1/executions?agent=pump-1"))["items"]]
    listed += (await world.read("/v1/executions"))["items"]
    listed += (await world.read("/v1/jobs"))["items"]
    assert {one["trace"] for one in listed} == {trace}
    for command in (("show", made["id"]), ("log", made["id"]), ("execution", execution["id"])):
        assert trace in (await run("jobs", *command))[1]


async def test_without_a_trace_nothing_is_said_of_one(run, world, pump):
    made = await world.submit("pump-1")
    (granted,) = (await pump.ordered()).jobs
    assert (granted.trace, made["trace"]) == (b"", "")
    assert "trace" not in (await run("jobs", "show", made["id"]))[1]


async def test_a_waiting_job_is_shown_and_begins_by_itself(run, world, pump):
    first = await world.submit("pump-1")
    after = {"job": first["id"], "outcome": "SUCCEEDED"}
    second = await world.submit("pump-1", name="second", begins_after=after)
    assert second["state"] == "SCHEDULED"
    assert "begins after" in (await run("jobs", "show", second["id"]))[1]
    (granted,) = (await pump.ordered()).jobs
    receipt = pump.receipt(1, granted.execution, ExecutionState.SUCCEEDED)
    await pump.contact(receipts=[receipt])
    admitted = await pump.ordered(wait=20)
    assert [one.spec.name for one in admitted.jobs] == ["second"]
