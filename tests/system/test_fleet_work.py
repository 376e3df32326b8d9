"""The main job from end to end: enrol, collect, order, prove; as an admin does it at a terminal."""

import asyncio
import json
import uuid

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, check_sentence, settle
from tests.system.fleet_parts import ASK_S, RTU_PUMP, TCP_METER, until

ORDERED = 4200
OK, FAILED, USAGE, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 7


async def test_readings_and_a_signed_order_travel_all_the_way(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP, TCP_METER, enrol=False, start=False)
    claim = await fleet.coordinator.claim(fleet.folder / "claim.json", site="north")
    await north.enrol(claim)
    await north.start()
    await fleet.delivered(north, at_least=50)
    job = set_pumps(ORDERED, selector="site in (north,south),role=pump")
    file = fleet.folder / "job.json"
    file.write_text(json.dumps(job))

    first = await fleet.outstation("jobs", "submit", str(file), "--wait", "--json")
    assert first.status == OK, first
    done = json.loads(first.out)
    (execution,) = done["executions"]
    (task,) = execution["tasks"]
    assert (execution["state"], task["device"], task["state"]) == ("SUCCEEDED", "pump-1", "DONE")
    assert task["result"]["apply.setpoint"] == ORDERED, "the value that was read back"
    assert task["result"]["apply._skipped"] is False

    again = await fleet.outstation("jobs", "submit", str(file), "--wait", "--json")
    (repeated,) = json.loads(again.out)["executions"]
    assert (again.status, repeated["state"]) == (OK, "SUCCEEDED")
    assert repeated["tasks"][0]["result"]["apply._skipped"] is True
    assert north.record("pump-1").setpoints() == [ORDERED], "written once, the second was equal"

    view = await fleet.admin.get(f"/v1/executions/{execution['id']}")
    numbers = [fact["number"] for fact in view["history"]]
    states = [fact["state"] for fact in view["history"] if not fact["device"]]
    assert numbers == sorted(set(numbers)), "receipts in the agent's order, each once"
    assert states[0] == "DELIVERED"
    assert states[-1] == "SUCCEEDED"
    await settle(fleet, north)
    await check_account(fleet, north)


async def test_the_command_line_shows_what_the_fleet_does(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP)
    await fleet.delivered(north, at_least=50)
    agent = (await fleet.agent_view(north))["id"]
    held = await fleet.submit(set_pumps(1000, selector="site=north", name="later", delay_s=3600))

    asked = {
        "status": ("status", "--json"),
        "list": ("agents", "list", "--selector", "site=north", "--json"),
        "agent": ("agents", "show", agent, "--json"),
        "jobs": ("jobs", "list", "--json"),
        "job": ("jobs", "show", held, "--json"),
        "wait": ("jobs", "wait", held, "--timeout", "1"),
        "get": ("readings", "get", agent, "pump-1", "poll_count", "--json"),
        "csv": ("readings", "get", agent, "pump-1", "pressure", "--csv"),
        "plot": ("readings", "plot", agent, "pump-1", "pressure"),
        "text": ("status",),
        "no agent": ("agents", "show", "nobody"),
        "no job": ("jobs", "show", str(uuid.UUID(int=1))),
        "no point": ("readings", "plot", agent, "pump-1", "nothing"),
    }

    async def plotted() -> bool | None:
        return True if (await fleet.outstation(*asked["plot"])).status == OK else None

    # What a plot is made of is made by another process, when it comes to it.
    await until("a plot", plotted, look_s=ASK_S)
    told = dict(
        zip(
            asked,
            await asyncio.gather(*(fleet.outstation(*words) for words in asked.values())),
            strict=True,
        )
    )
    wrong = {"wait": TIMED_OUT, "no agent": NOT_FOUND, "no job": NOT_FOUND, "no point": NOT_FOUND}
    assert {name: one.status for name, one in told.items()} == dict.fromkeys(asked, OK) | wrong
    for name, status in wrong.items():
        check_sentence(told[name], status)

    data = {
        name: json.loads(one.out) for name, one in told.items() if one.out.startswith(("{", "["))
    }
    assert data["status"]["agents"] == {"ONLINE": 1}
    assert data["status"]["readings"]["delivered"] >= 50
    assert [one["id"] for one in data["list"]] == [agent]
    assert data["agent"]["agent"]["site"] == "north"
    assert data["agent"]["agent"]["labels"]["role"] == "pump"
    assert [one["id"] for one in data["jobs"]] == [held]
    assert data["job"]["job"]["state"] == "IN_PROGRESS"
    (series,) = data["get"]["series"]
    assert series["values"] == list(range(1, len(series["values"]) + 1))
    assert set(series["qualities"]) == {"good"}
    assert told["csv"].out.count("\n") > 5
    assert any("\u2800" <= sign <= "\u28ff" for sign in told["plot"].out), "a plot of dots"
    assert "1 ONLINE" in told["text"].out
    assert north.record("pump-1").setpoints() == [], "the held job has not begun"
