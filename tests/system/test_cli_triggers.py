"""Triggers over REST and at the command line: a real coordinator fires, a gateway gets the job."""

import asyncio
import json
import re

from tests.system.approvals_world import token_of
from tests.system.test_cli_jobs import pump, world

__all__ = ["pump", "world"]
ONLINE = """
about = "asks a new gateway how it is"
template = "check-health"
here = "agent"
[event]
kind = "agent.enrolled"
"""
NIGHTLY = """
template = "validate-config"
targets = { selector = "site=north" }
[schedule]
cron = "0 4 * * *"
zone = "Europe/Berlin"
"""


async def until_fired(world, name):
    """Wait for the first firing that was dealt with; the loop is rung by whoever asks for a job."""
    while True:
        page = await world.read(f"/v1/triggers/{name}/firings")
        if page["items"] and page["items"][0]["outcome"] != "waiting":
            return page["items"]
        await asyncio.sleep(0)


async def test_an_agent_that_enrols_gets_its_job_at_once(run, world, tmp_path):
    file = tmp_path / "greet.toml"
    file.write_text(ONLINE)
    status, out, _ = await run("triggers", "save", file)
    assert (status, "armed: agent.enrolled" in out) == (0, True)
    first = await world.gateway("pump-2")
    # What concerns a job rings the loop; else it looks each half minute.
    await world.post("/v1/triggers/greet/resume", {})
    (found,) = await until_fired(world, "greet")
    assert (found["outcome"], found["agent"]) == ("submitted", "pump-2")
    (granted,) = (await first.ordered()).jobs
    assert granted.spec.name == "check-health"
    status, out, _ = await run("jobs", "show", found["job"])
    assert "trigger:greet" in out
    status, out, _ = await run("triggers", "history", "greet")
    assert "submitted" in out


async def test_a_trigger_is_listed_paused_and_deleted(run, tmp_path):
    file = tmp_path / "nightly.toml"
    file.write_text(NIGHTLY)
    assert (await run("triggers", "list"))[1].startswith("there is no trigger yet")
    assert (await run("triggers", "save", file))[0] == 0
    status, out, _ = await run("triggers", "list")
    assert "0 4 * * * (Europe/Berlin)" in out
    assert "validate-config@0" in out
    assert (await run("triggers", "pause", "nightly"))[1].strip() == "trigger nightly is paused"
    status, out, _ = await run("triggers", "show", "nightly", "--json")
    assert json.loads(out)["paused"] is True
    assert "nightly is still paused" in (await run("triggers", "save", file))[1]
    assert (await run("triggers", "resume", "nightly"))[0] == 0
    shown = (await run("triggers", "show", "nightly"))[1]
    assert "it has not fired yet" in shown
    assert len(re.findall(r" 04:00:00 CES?T", shown)) == 3, "of the zone that it is written for"
    assert (await run("triggers", "delete", "nightly", "--yes"))[0] == 0
    assert (await run("triggers", "show", "nightly"))[0] == 3
    file.write_text(NIGHTLY.replace("cron", "corn"))
    status, _, said = await run("triggers", "save", file)
    assert (status, "did you mean cron?" in said) == (2, True)
    file.write_text("")
    assert (await run("triggers", "save", file))[2].endswith("nightly.toml: it is empty\n")
    file.write_text('template = "validate-config"')
    status, _, said = await run("triggers", "save", file)
    assert (status, "nightly.toml: schedule: a trigger has either" in said) == (2, True)


async def test_a_limited_token_neither_sees_nor_makes_triggers(world):
    token = await token_of(world.place, "anna", "operator", selector="site=north")
    assert (await world.get("/v1/triggers", token=token)).status == 403
    body = {"name": "t", "template": "check-health", "schedule": {"interval_s": 60}}
    assert (await world.post("/v1/triggers", body, token=token)).status == 403
    token = await token_of(world.place, "vera", "viewer")
    assert (await world.get("/v1/triggers", token=token)).status == 200
    assert (await world.post("/v1/triggers", body, token=token)).status == 403
