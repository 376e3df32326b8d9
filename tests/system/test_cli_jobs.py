"""`outstation` about jobs, schedules, rules, alarms: a real coordinator, a gateway that answers."""

import asyncio
import json

import pytest

from shared.errors import Reason
from shared.model.job import ExecutionState, TaskState
from shared.wire.messages import DeviceWord
from tests.system.coordinator_world import NOW_MS, job_body, open_world

HOUR_MS = 3_600_000
ALARM = {"severity": "critical", "device": "pump-1", "level": 3.5}


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def pump(world):
    return await world.gateway("pump-1")


def rule_body(*agents):
    rule = {"condition": "device.level > 3", "alarm": {"text": "full", "severity": "critical"}}
    return {"name": "full", "targets": {"agents": list(agents)}, "rule": rule}


async def firing(pump, number, execution, first_ms, last_ms, count, state, **rest):
    receipt = pump.receipt(
        number,
        execution,
        state,
        firing_ms=first_ms,
        last_ms=last_ms,
        count=count,
        **rest,
    )
    return await pump.contact(receipts=[receipt])


# --- check and submit -----------------------------------------------------------------------------
async def test_a_job_file_is_checked_here_and_by_the_coordinator(run, pump, tmp_path):
    file = tmp_path / "job.toml"
    lines = ['name = "look"', 'targets.agents = ["pump-1"]', "[[steps]]", 'id = "look"']
    lines += ['action = "device.read"', 'params = { points = ["current"] }']
    file.write_text("\n".join([*lines, 'when = "battry > 4"']))
    status, _, err = await run("jobs", "check", file)
    assert status == 2
    assert "job.toml line 7: steps[0].when: there is no 'battry'" in " ".join(err.split())
    file.write_text("\n".join(lines).replace("pump-1", "pump-7"))
    status, _, err = await run("jobs", "check", file)
    assert status == 2
    assert "job.toml line 2: targets" in " ".join(err.split())
    assert (await run("jobs", "check", file, "--local"))[0] == 0
    file.write_text("\n".join(lines))
    status, out, _ = await run("jobs", "check", file)
    assert status == 0
    assert "it would go to 1 agent: pump-1" in out
    assert "no job" in (await run("jobs", "list"))[1]


async def test_what_the_coordinator_refuses_points_at_the_line_too(run, pump, tmp_path):
    file = tmp_path / "job.toml"
    body = job_body(pump.name)
    file.write_text(
        'name = "look"\nsteps = []\ntargets.agents = ["pump-1"]\njob_class = "nonsense"\n'
        'rule = { condition = "battery < 5", alarm = { text = "low" } }\n'
    )
    status, _, err = await run("jobs", "submit", file)
    assert status == 2
    assert "job.toml line 4: job_class" in " ".join(err.split())
    assert body["name"] == "look"


async def test_a_job_that_no_agent_could_read_is_refused_wherever_it_is_looked_at(
    run, world, pump, tmp_path
):
    file = tmp_path / "job.json"
    step = {"id": "s", "action": "device.write", "params": {"serial": 2**53}}
    file.write_text(json.dumps(job_body(pump.name, steps=[step])))
    for command in (("check", file, "--local"), ("check", file), ("submit", file)):
        status, _, err = await run("jobs", *command)
        assert status == 2
        assert "steps[0].params.serial: an integer has at most 53 bits" in " ".join(err.split())
    assert (await world.read("/v1/jobs"))["items"] == []


async def test_what_is_on_its_way_at_a_gateway_is_shown_with_the_work_it_is_for(world, run, pump):
    job = await world.submit(pump.name)
    execution = (await pump.ordered()).jobs[0].execution
    receipts = [pump.receipt(1, execution, ExecutionState.IN_PROGRESS)]
    await pump.contact(
        receipts=receipts,
        health=[0, 0, 0, 0, 512, 0, 0, 2, 430, 1, 70],
        devices=[DeviceWord("well", image_permille=70)],
    )
    way = "43 % of a file is there, 1 more is waited for; firmware goes into 1 device, 7 % of it "
    way += "is there (well 7 %)"
    for command in (("jobs", "show", job["id"]), ("agents", "show", pump.name)):
        status, out, _ = await run(*command)
        assert (status, way in " ".join(out.split())) == (0, True), out
    shown = json.loads((await run("jobs", "show", job["id"], "--json"))[1])
    assert shown["executions"][0]["moving"]["image_permille"] == 70
    status, out, _ = await run("devices", "show", pump.name, "well")
    assert (status, "7 % of an image" in out) == (0, True), out
    await pump.contact(receipts=[pump.receipt(2, execution, ExecutionState.SUCCEEDED)])
    assert "% of a file" not in (await run("jobs", "show", job["id"]))[1], "it is done with it"


# --- what a job waits for, and calling it off -----------------------------------------------------
@pytest.mark.parametrize(
    ("state", "reason", "detail", "said"),
    [
        (ExecutionState.DELIVERED, 0, "", "the agent has it and has not begun"),
        (ExecutionState.HELD, Reason.WINDOW_CLOSED, "", "waits for its window to open"),
        (
            ExecutionState.HELD,
            Reason.PRECONDITION_OPEN,
            "battery > 40",
            "precondition (battery > 4",
        ),
        (ExecutionState.HELD, Reason.SITE_LOCKED, "", "locked the site"),
        (ExecutionState.HELD, Reason.WAITING_FOR_JOB, "", "waits for another job to end"),
        (
            ExecutionState.HELD,
            Reason.DEVICE_SILENT,
            "",
            "tries again by itself after device_silent",
        ),
        (ExecutionState.VERIFYING, 0, "", "whether it holds is being watched"),
        (ExecutionState.ROLLED_BACK, Reason.UNDONE, "", "what it had done was undone"),
        (ExecutionState.FAILED, Reason.UNKNOWN_EFFECT, "", "may or may not have done it"),
    ],
)
async def test_show_says_in_words_where_a_job_stands(run, world, pump, state, reason, detail, said):
    job = await world.submit(pump.name)
    (work,) = (await pump.ordered()).jobs
    receipt = pump.receipt(1, work.execution, state, reason=int(reason), detail=detail)
    await pump.contact(receipts=[receipt])
    status, out, _ = await run("jobs", "show", job["id"])
    assert status == 0
    assert said in " ".join(out.split())
    view = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert view["detail"] == detail
    assert view["since"] is not None


async def test_a_cancel_wakes_the_held_contact_and_shows_what_it_stopped(run, world, pump):
    job = await world.submit(pump.name)
    (work,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, work.execution, ExecutionState.IN_PROGRESS)])
    held = asyncio.create_task(pump.ordered(wait=20))
    while not (await world.read("/v1/agents/pump-1"))["link"]["waiting"]:
        assert not held.done(), held
    status, out, _ = await run("jobs", "cancel", job["id"])
    assert status == 0
    assert "is called off" in out
    admitted = await held
    assert (admitted.jobs, admitted.cancels) == ((), (work.execution,))
    shown = (await run("jobs", "show", job["id"]))[1]
    assert "CANCELING" in shown
    assert "the agent has yet to say what that stopped" in " ".join(shown.split())
    waiting = asyncio.create_task(run("jobs", "cancel", job["id"], "--wait"))
    stopped = pump.receipt(2, work.execution, ExecutionState.CANCELED, result={"cancel": "stopped"})
    await pump.contact(receipts=[stopped])
    status, out, _ = await waiting
    assert status == 0
    assert "it was stopped at a safe point" in " ".join(out.split())
    assert (await world.read(f"/v1/jobs/{job['id']}"))["state"] == "CANCELED"
    (entry,) = (await world.read("/v1/audit?action=job.cancel"))["items"]
    assert entry["object"] == f"job:{job['id']}"
    assert entry["detail"] == {"never_signed": 0, "to_be_told": 1}


async def test_what_is_over_cannot_be_called_off(run, world, pump):
    job = await world.submit(pump.name)
    (work,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, work.execution, ExecutionState.SUCCEEDED)])
    status, _, err = await run("jobs", "cancel", job["id"])
    assert status == 6
    assert "over on every agent" in err


async def test_a_schedule_that_is_handed_in_says_how_long_it_stands(run, world, pump, tmp_path):
    file = tmp_path / "job.json"
    body = job_body(pump.name, schedule={"interval_s": 3600}, expires_in_s=90_000)
    file.write_text(json.dumps(body))
    status, _, err = await run("jobs", "submit", file, "--wait")
    assert status == 2
    assert "no end to wait for" in err
    status, out, _ = await run("jobs", "submit", file)
    assert status == 0
    (job,) = (await world.read("/v1/jobs?standing=schedule"))["items"]
    assert f"it fires until {job['not_after'][:16].replace('T', ' ')} UTC" in out
    assert (job["standing"], job["spec"]["schedule"]["interval_s"]) == ("schedule", 3600)
    assert (await world.read("/v1/jobs?standing=rule"))["items"] == []
    (entry,) = (await world.read("/v1/audit?action=job.submit"))["items"]
    assert entry["detail"]["standing"] == "schedule"


# --- standing jobs --------------------------------------------------------------------------------
async def test_a_schedule_is_listed_with_its_last_and_next_time(run, world, pump):
    job = await world.submit(pump.name, schedule={"interval_s": 3600}, name="hourly")
    (work,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, work.execution, ExecutionState.HELD)])
    await firing(pump, 2, work.execution, NOW_MS, NOW_MS + HOUR_MS, 2, ExecutionState.SUCCEEDED)
    assert "every 3600 s" in (await run("schedules", "list"))[1]
    (view,) = (await world.read(f"/v1/standing?job={job['id']}"))["items"]
    assert (view["armed"], view["firings"], view["last_state"]) == (True, 2, "SUCCEEDED")
    assert view["next_at"] is not None
    assert view["next_at"].endswith(":00:00Z")
    shown = " ".join((await run("schedules", "show", job["id"]))[1].split())
    assert "1 of 1 agent " in shown
    agent = json.loads((await run("agents", "show", "pump-1", "--json"))[1])
    assert [one["job"] for one in agent["standing"]] == [job["id"]]
    assert "hourly" in (await run("agents", "show", "pump-1"))[1]
    assert "in force; waits for its next time" in (await run("jobs", "show", job["id"]))[1]
    assert (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]["state"] == "HELD"


async def test_history_is_complete_whatever_is_told_twice_and_moves_nothing(run, world, pump):
    answered = await world.post("/v1/jobs", rule_body(pump.name))
    assert answered.status == 202
    job = answered.json["id"]
    (work,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, work.execution, ExecutionState.HELD)])
    told = (pump, 2, work.execution, NOW_MS, NOW_MS, 1, ExecutionState.SUCCEEDED)
    await firing(*told, detail="full", result=ALARM)
    await firing(*told, detail="full", result=ALARM)
    missed = (NOW_MS - HOUR_MS, NOW_MS - 1, 7, ExecutionState.CANCELED)
    reason = int(Reason.CANCELED)
    reply, _ = await firing(pump, 3, work.execution, *missed, reason=reason)
    assert reply.receipts_to == 3
    found = (await world.read(f"/v1/jobs/{job}/firings"))["items"]
    assert [(one["count"], one["state"], one["device"]) for one in found] == [
        (1, "SUCCEEDED", "pump-1"),
        (7, "CANCELED", ""),
    ]
    first = await world.read(f"/v1/jobs/{job}/firings?page_size=1")
    second = await world.read(
        f"/v1/jobs/{job}/firings?page_size=1&page_token={first['next_page_token']}"
    )
    assert [*first["items"], *second["items"]] == found
    assert second["next_page_token"] is None
    assert "pump-1" in (await run("jobs", "history", job))[1]
    view = (await world.read(f"/v1/executions?job={job}"))["items"][0]
    assert (view["state"], view["tasks"]) == ("HELD", [])
    assert "device.level > 3" in (await run("rules", "list"))[1]


async def test_alarms_are_listed_newest_first_and_by_severity(run, world, pump):
    await world.post("/v1/jobs", rule_body(pump.name))
    (work,) = (await pump.ordered()).jobs
    for number, at_ms, severity in ((1, NOW_MS, "critical"), (2, NOW_MS - 5, "info")):
        result = {**ALARM, "severity": severity}
        told = (number, work.execution, at_ms, at_ms, 1, ExecutionState.SUCCEEDED)
        await firing(pump, *told, detail="full", result=result)
    found = (await world.read("/v1/alarms"))["items"]
    assert [one["severity"] for one in found] == ["critical", "info"]
    assert found[0]["values"] == {"level": 3.5}
    assert (found[0]["device"], found[0]["text"], found[0]["name"]) == ("pump-1", "full", "full")
    assert "full" in (await run("alarms", "list", "--severity", "critical"))[1]
    assert (await run("alarms", "list", "--severity", "warning"))[1].strip() == "no alarm"
    assert (await world.get("/v1/alarms?severity=bad")).status == 422


async def test_an_alarm_of_a_job_that_a_restore_forgot_is_still_an_alarm(world, pump):
    told = (1, b"?" * 16, NOW_MS, NOW_MS, 1, ExecutionState.SUCCEEDED)
    await firing(pump, *told, detail="full", result=ALARM)
    (alarm,) = (await world.read("/v1/alarms"))["items"]
    assert (alarm["job"], alarm["name"], alarm["text"]) == (None, "", "full")


async def test_a_task_of_a_job_that_stands_needs_no_history(world, pump):
    """A receipt without a count is about the execution, whatever its job is."""
    await world.post("/v1/jobs", rule_body(pump.name))
    (work,) = (await pump.ordered()).jobs
    receipt = pump.receipt(1, work.execution, TaskState.DONE, device="pump-1")
    await pump.contact(receipts=[receipt])
    view = (await world.read("/v1/executions"))["items"][0]
    assert [one["state"] for one in view["tasks"]] == ["DONE"]
