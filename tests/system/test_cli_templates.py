"""Templates over REST and at the command line: a real coordinator and a gateway it knows."""

import json

import pytest

from shared.model.job import ExecutionState
from tests.system.approvals_world import token_of
from tests.system.test_cli_jobs import pump, world

__all__ = ["pump", "world"]
RAISE = """
about = "Raises the setpoint"
[parameters.value]
kind = "number"
minimum = 0
maximum = 10
[job]
targets = { agents = ["pump-1"] }
steps = [{ id = "set", action = "device.write", params = { setpoint = "${value}" } }]
"""


async def test_maintenance_templates_are_there_out_of_the_box(run):
    status, out, _ = await run("templates", "list")
    assert status == 0
    assert "clean-up" in out
    assert "with the program" in out
    status, out, _ = await run("templates", "show", "clean-up")
    assert status == 0
    assert "older_than_s" in out
    status, out, _ = await run("templates", "list", "--json")
    assert {"sync-devices", "validate-devices"} <= {one["name"] for one in json.loads(out)}


async def test_a_job_is_made_from_a_template_and_says_so(run, world, pump):
    status, out, _ = await run(
        *("jobs", "submit", "--template", "clean-up", "--set", "keep=200"),
        *("--set", "dry_run=false", "--agent", pump.name, "--json"),
    )
    assert status == 0
    job = json.loads(out)
    assert job["origin"] == "template:clean-up@0"
    assert job["spec"]["steps"][0]["params"]["keep"] == 200
    assert job["spec"]["dry_run"] is False
    status, out, _ = await run("jobs", "show", job["id"])
    assert "template:clean-up@0" in out


async def test_a_template_of_ones_own_is_saved_used_and_deleted(run, pump, tmp_path):
    file = tmp_path / "raise.toml"
    file.write_text(RAISE)
    assert (await run("templates", "save", file))[0] == 0
    status, out, _ = await run(
        "jobs", "submit", "--template", "raise", "--set", "value=4", "--dry-run"
    )
    assert (status, "1 agent: pump-1" in out) == (0, True)
    status, _, said = await run("jobs", "submit", "--template", "raise", "--set", "value=11")
    assert "11.0 is not in 0 to 10" in said
    assert status == 2
    assert (await run("templates", "delete", "raise", "--yes"))[0] == 0
    assert (await run("templates", "show", "raise"))[0] == 3
    assert (await run("templates", "show", "raise", "--version", "1"))[0] == 0
    assert (await run("templates", "delete", "clean-up", "--yes"))[0] == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a file, or a template"),
        (("--template", "clean-up", "--set", "keep"), "no name=value"),
        (("--template", "clean-up", "--set", "keep=1", "--set", "keep=2"), "given twice"),
        (("/nowhere.toml", "--set", "a=1"), "a file says this itself"),
        (("/nowhere.toml", "--template", "clean-up"), "name a file, or a template"),
    ],
)
async def test_a_slip_at_the_command_line_is_one_sentence(run, arguments, said):
    status, _, complaint = await run("jobs", "submit", *arguments)
    assert status == 2
    assert said in complaint


async def test_waiting_ends_with_the_status_of_the_job(run, world, pump):
    submitted = await world.post(
        "/v1/templates/check-health/submit", {"targets": {"agents": [pump.name]}}
    )
    assert submitted.status == 202
    (grant,) = (await pump.ordered()).jobs
    await pump.contact(receipts=[pump.receipt(1, grant.execution, ExecutionState.SUCCEEDED)])
    job = submitted.json["id"]
    assert (await run("jobs", "wait", job, "--timeout", "5"))[0] == 0
    again = await world.post(
        "/v1/templates/check-health/submit", {"targets": {"agents": [pump.name]}}
    )
    assert (await run("jobs", "wait", again.json["id"], "--timeout", "1"))[0] == 7


async def test_only_who_reaches_the_whole_fleet_changes_templates(world, pump):
    token = await token_of(world.place, "anna", "operator", selector="site=north")
    body = {"name": "mine", "job": {"steps": []}}
    assert (await world.post("/v1/templates", body, token=token)).status == 403
    assert (await world.get("/v1/templates", token=token)).status == 200
    used = {"targets": {"agents": [pump.name]}}
    path = "/v1/templates/check-health/submit"
    assert (await world.post(path, used, token=token)).status == 202
