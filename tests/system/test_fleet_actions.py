"""What a job does to devices and to the agent itself, with processes that are killed in between."""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_PUMP, seeded

KILLS = 4


def job(action: str, *, site: str, **params: Any) -> dict[str, object]:
    """Return a job of one step."""
    return {
        "name": "act",
        "targets": {"selector": f"site={site}"},
        "steps": [{"id": "act", "action": action, "params": params, "timeout_s": 60}],
    }


async def drifted(fleet: Fleet) -> list[tuple[str, str]]:
    """Return devices that are not as wished, and which wish it is."""
    lines = (await fleet.admin.get("/v1/drift"))["items"]
    return [(one["device"], one["wish"]) for one in lines]


async def publish_endpoints(fleet: Fleet, *urls: str) -> None:
    """Let agents be pointed at these coordinators, as an admin does with the release key."""
    where = ("--data", str(fleet.coordinator.data))
    shown = await warm.outcome(fleet.coordinator.command("catalog", "show", *where))
    text = shown.out.replace("endpoints = []", f"endpoints = {json.dumps(urls)}")
    assert text != shown.out
    file = fleet.coordinator.data / "catalog.toml"
    file.write_text(text)
    await warm.run(fleet.coordinator.command("catalog", "publish", *where, str(file)))


async def test_a_hazardous_call_is_done_once_or_said_to_be_unknown(fleet: Fleet) -> None:
    chance = seeded("when the agent is killed")
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, poll_interval_s=1, fault="slow=150")
    await fleet.delivered(site)
    jobs: dict[int, str] = {}
    for number in range(KILLS):
        value = 1000 + number
        order = job("device.command", site="site", call="set-once", value=value)
        jobs[value] = await fleet.submit(order)
        await asyncio.sleep(chance.uniform(0.1, 0.7))
        await site.kill()
        await site.start()
    for value, name in jobs.items():
        (execution,) = await fleet.admin.finished(name)
        (task,) = execution["tasks"]
        effects = site.record("pump-2").setpoints().count(value)
        if task["state"] == "DONE":
            assert effects == 1, "a receipt that says done is one effect"
        else:
            assert (task["state"], task["reason"]) == ("FAILED", "unknown_effect"), task
            assert effects <= 1, "nobody repeats what may have happened"


async def test_an_agent_that_is_pointed_where_nobody_answers_comes_back(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    url = str(json.loads((site.data / "enrolment.json").read_text())["url"])
    away = url.rpartition(":")[0] + ":1"
    await publish_endpoints(fleet, url, away)
    results = {}
    for place in ("https://evil.example", away, url):
        change = {"uplink.endpoint": place, "confirm_within_s": 8}
        number = await fleet.submit(job("agent.configure", site="site", **change))
        (execution,) = await fleet.admin.finished(number)
        results[place] = (execution["state"], execution["reason"])
    assert results["https://evil.example"][0] != "SUCCEEDED"
    assert results[away] == ("FAILED", "not_confirmed")
    assert results[url][0] == "SUCCEEDED"
    assert json.loads((site.data / "remote.json").read_text())["settings"] == {
        "uplink.endpoint": url
    }


async def test_an_agent_restarts_tells_of_itself_and_proves_it(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    told: dict[str, dict[str, Any]] = {}
    for action in ("agent.restart", "agent.health", "agent.diagnose", "device.sync"):
        number = await fleet.submit(job(action, site="site"))
        (execution,) = await fleet.admin.finished(number)
        (task,) = execution["tasks"]
        assert (execution["state"], task["state"]) == ("SUCCEEDED", "DONE"), execution
        assert task["device"] == ("pump-2" if action == "device.sync" else "@agent")
        told[action] = task["result"]
    change = {"uplink.sync_interval_s": 2, "confirm_within_s": 60}
    number = await fleet.submit(job("agent.configure", site="site", **change))
    (execution,) = await fleet.admin.finished(number)
    assert execution["state"] == "SUCCEEDED", execution
    assert execution["tasks"][0]["result"]["act._skipped"] is False
    assert (site.data / "remote.json").exists()
    assert await drifted(fleet) == [], "it is as it was given"
    await site.stop()
    (site.data / "remote.json").unlink()
    await site.start()
    await fleet.admin.finished(await fleet.submit(job("agent.health", site="site")))
    assert await drifted(fleet) == [("@agent", "settings")], "somebody took them back on the spot"
    restart = told["agent.restart"]
    assert restart["act.process_before"] != restart["act.process"]
    assert told["agent.health"]["act.disk.free_mb"] > 0
    assert (site.data / told["agent.diagnose"]["act.file"]).stat().st_size > 1000
    assert told["device.sync"]["act._kind"] == "pump"


async def test_a_bundle_is_brought_and_devices_say_what_they_are(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP)
    await fleet.delivered(site)
    agent = str(json.loads((site.data / "enrolment.json").read_text())["agent"])
    file = tmp_path / "bundle.txt"
    done = await fleet.outstation("agents", "diagnose", agent, "-o", str(file), "--wait", "60")
    assert done.status == 0, done.err
    (kept,) = (site.data / "support").glob("*.txt")
    assert file.read_bytes() == kept.read_bytes()
    assert '"event": "bundle_admitted"' in file.read_text()
    assert "enrolled" in file.read_text(), "what the doctor found"
    assert "tcp" in file.read_text()
    assert (await fleet.outstation("agents", "diagnose", agent, "--no-fresh")).status == 0
    number = await fleet.submit(job("device.sync", site="site"))
    await fleet.admin.finished(number)
    shown = await fleet.outstation("devices", "list", "--json")
    (device,) = json.loads(shown.out)
    assert (device["agent"], device["device"], device["vendor"]) == (agent, "pump-2", "Outstation")
    assert device["facts"]["_told.x80"] == "SIM-001"
    assert json.loads((await fleet.outstation("devices", "list", "--drifted", "--json")).out) == []
    one = await fleet.outstation("devices", "show", agent, "pump-2")
    assert "SIM-001" in one.out
    assert (await fleet.outstation("devices", "show", agent, "pump-9")).status == 3
