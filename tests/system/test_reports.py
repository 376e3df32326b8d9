"""Reports over the fleet on the command line: what somebody should look at, as table and CSV."""

import asyncio
import csv
import io
import json

from coordinator.__main__ import main as office
from tests.system.coordinator_world import rows
from tests.system.test_cli_jobs import pump, world

__all__ = ["pump", "world"]


async def test_a_fleet_without_complaints_has_nothing_to_look_at(run, world, pump):
    status, out, _ = await run("reports", "health")
    assert (status, "nothing to look at" in out) == (0, True)
    status, out, _ = await run("reports", "health", "--all", "--json")
    (line,) = json.loads(out)
    assert (line["agent"], line["complaints"]) == (pump.name, [])


async def test_a_gateway_that_should_be_looked_at_is_listed_with_the_reason(run, world, pump):
    await world.gateway("valve-1", site="south")
    assert (await world.post("/v1/agents/pump-1/decommission", {})).status == 200
    status, out, _ = await run("reports", "health", "--csv")
    (line,) = csv.DictReader(io.StringIO(out))
    assert status == 1
    assert (line["agent"], line["complaints"]) == ("pump-1", "leaving")
    assert (await run("reports", "health", "--selector", "site=south"))[0] == 0


async def drifted(world, pump):
    """Submit a job that asks a device what it is; let it tell that its firmware is another."""
    await world.submit("pump-1", steps=[{"id": "look", "action": "device.sync"}])
    (granted,) = (await pump.ordered()).jobs
    facts = {
        "look._profile_hash": "0011",
        "look._profile": "inverter",
        "look._identity": True,
        "look._firmware": "=1.2",
        "look._drifted": 1,
        "look._drift": "firmware",
    }
    told = pump.receipt(1, granted.execution, 2, device="inv-1", result=facts)
    await pump.contact(receipts=[told])


async def test_devices_that_drifted_are_listed(run, world, pump):
    assert (await run("reports", "drift"))[0] == 0
    await drifted(world, pump)
    status, out, _ = await run("reports", "drift", "--csv")
    (line,) = csv.DictReader(io.StringIO(out))
    assert status == 1
    assert (line["device"], line["wish"]) == ("inv-1", "identity")
    assert (line["missed"], bool(line["since"])) == ("firmware==1.2", True)
    assert (await run("reports", "drift", "--agent", "valve-1"))[0] == 0
    status, out, _ = await run("events", "list", "--type", "drift", "--json")
    assert [one["type"] for one in json.loads(out)] == ["drift.began"]


async def test_what_is_as_wished_is_counted_by_group(run, world, pump):
    assert (await run("reports", "compliance"))[0] == 0
    await drifted(world, pump)
    status, out, _ = await run("reports", "compliance", "--json")
    (line,) = json.loads(out)
    assert status == 1
    assert (line["wish"], line["devices"], line["missing"]) == ("identity", 1, 1)
    assert line["missing_devices"] == [{"agent": "pump-1", "device": "inv-1"}]
    status, out, _ = await run("reports", "compliance")
    assert (status, "inv-1" in out, "firmware==1.2" in out) == (1, True, True)
    assert (await run("reports", "compliance", "--selector", "site=south"))[0] == 0


async def test_what_a_clean_up_took_away_is_listed(run, world, pump, capsys):
    status, out, _ = await run("reports", "cleanup", "--json")
    assert (status, json.loads(out)) == (0, [])
    (told,) = (await rows(world.place, "SELECT count(*) FROM event"))[0]
    await rows(world.place, "UPDATE event SET at_ms = 5")
    command = ["retention", "--data", str(world.place.directory.path), "--now", "--json"]
    assert await asyncio.to_thread(office, command) == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == {"events": told}
    # A dry run tells what settings would do, and leaves those in force as they are.
    tried = [*command[:3], "--set", "events=1d", "--dry-run", "--json"]
    assert await asyncio.to_thread(office, tried) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["events"] == "1d"
    assert await asyncio.to_thread(office, command[:3]) == 0
    assert "90d" in capsys.readouterr().out.partition("events")[2].splitlines()[0]
    status, out, _ = await run("reports", "cleanup", "--json")
    (line,) = json.loads(out)
    assert (line["actor"], line["rows"], line["taken"]) == (
        "command line",
        told,
        [f"events {told}"],
    )
    status, out, _ = await run("events", "list", "--type", "maintenance.done", "--json")
    assert json.loads(out)[0]["data"]["detail"] == {"events": told}
