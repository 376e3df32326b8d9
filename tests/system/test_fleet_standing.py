"""A schedule and a rule work through an outage, a job at work is called off: real processes."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.system.fleet import Fleet
from tests.system.fleet_parts import ASK_S, TCP_PUMP, Gateway, free_port, until

EVERY_S = 2
TARGETS: dict[str, object] = {"selector": "role=pump", "device_selector": "kind=pump"}
LOOK = {"id": "look", "action": "device.read", "params": {"points": ["pressure"]}}


def schedule_job() -> dict[str, object]:
    schedule = {"interval_s": EVERY_S, "misfire": "all", "max_catchup": 5}
    return {"name": "look-often", "targets": TARGETS, "steps": [LOOK], "schedule": schedule}


def rule_job() -> dict[str, object]:
    rule = {
        "condition": "not link.up and device.poll_count > 0",
        "alarm": {"text": "the link is gone", "severity": "critical"},
    }
    return {"name": "alone", "targets": TARGETS, "rule": rule}


async def armed(fleet: Fleet, job: str) -> None:
    """Wait until an agent said that a standing job is in force."""

    async def there() -> bool | None:
        found = (await fleet.admin.get("/v1/standing", job=job))["items"]
        return True if [one["state"] for one in found] == ["HELD"] else None

    await until(f"{job} to be armed", there, look_s=ASK_S)


async def firings(fleet: Fleet, job: str) -> list[dict[str, Any]]:
    page = await fleet.admin.get(f"/v1/jobs/{job}/firings", page_size=500)
    return list(page["items"])


def cut(gateway: Gateway) -> None:
    """Let nobody answer: what is open is reset, what follows is refused."""
    gateway.link.set_target(("127.0.0.1", free_port()))
    gateway.link.reset_all()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.slow
async def test_what_fires_in_an_outage_is_told_afterwards_without_a_gap(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", TCP_PUMP)
    await fleet.delivered(north, at_least=10)
    schedule = await fleet.submit(schedule_job())
    rule = await fleet.submit(rule_job())
    await armed(fleet, schedule)
    await armed(fleet, rule)

    async def fired() -> bool | None:
        return True if await firings(fleet, schedule) else None

    await until("the schedule to fire", fired, look_s=ASK_S)
    before = max(moment(one["last_at"]) for one in await firings(fleet, schedule))
    cut(north)
    # Offline for three periods, as the agent's own polls tell.
    await north.polled(int(4 * EVERY_S / 0.1))
    assert (await fleet.admin.get("/v1/alarms"))["items"] == []
    north.link.set_target(("127.0.0.1", fleet.coordinator.port))
    offline = before + timedelta(seconds=3 * EVERY_S)

    async def told() -> bool | None:
        north.check()
        found = await firings(fleet, schedule)
        return True if found and max(moment(one["last_at"]) for one in found) > offline else None

    await until("what fired in the outage", told, look_s=ASK_S)
    found = await firings(fleet, schedule)
    assert {one["state"] for one in found} <= {"SUCCEEDED", "CANCELED"}
    first = min(moment(one["first_at"]) for one in found)
    last = max(moment(one["last_at"]) for one in found)
    nominal = (last - first) // timedelta(seconds=EVERY_S) + 1
    assert sum(one["count"] for one in found) == nominal, "each nominal time once, none missing"
    (alarm,) = (await fleet.admin.get("/v1/alarms", severity="critical"))["items"]
    assert (alarm["text"], alarm["device"], alarm["name"]) == (
        "the link is gone",
        "pump-2",
        "alone",
    )
    assert before < moment(alarm["first_at"]) < last

    shown = await fleet.outstation("alarms", "list")
    assert "the link is gone" in shown.out
    history = await fleet.outstation("jobs", "history", schedule, "--json")
    assert len(json.loads(history.out)) >= len(found)
    stands = await fleet.outstation("agents", "show", alarm["agent"])
    assert "look-often" in stands.out
    assert "alone" in stands.out

    ended = await fleet.outstation("jobs", "cancel", schedule, "--wait", "--json")
    (execution,) = json.loads(ended.out)["executions"]
    assert (execution["state"], execution["cancel"]["outcome"]) == ("CANCELED", "stopped")


@pytest.mark.slow
async def test_a_job_at_work_is_called_off_and_stops_at_a_safe_point(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", TCP_PUMP, fault="slow=500", poll_interval_s=5)
    await fleet.delivered(north)
    steps = [{**LOOK, "id": f"look-{number}"} for number in range(32)]
    job = await fleet.submit({"name": "long", "targets": TARGETS, "steps": steps})

    async def at_work() -> bool | None:
        found = (await fleet.admin.get("/v1/executions", job=job))["items"]
        return True if [one["state"] for one in found] == ["IN_PROGRESS"] else None

    await until("the job to be at work", at_work, look_s=ASK_S)
    done, again = await asyncio.gather(
        fleet.outstation("jobs", "cancel", job, "--wait", "--json"),
        fleet.outstation("jobs", "cancel", job),
    )
    assert (done.status, again.status) == (0, 0)
    told = json.loads(done.out)
    (execution,) = told["executions"]
    assert told["job"]["state"] == "CANCELED"
    assert (execution["state"], execution["cancel"]["outcome"]) == ("CANCELED", "stopped")
    (task,) = execution["tasks"]
    assert task["state"] == "CANCELED"
    assert "look-31.pressure" not in task["result"], "it did not go on to its end"
    shown = await fleet.outstation("jobs", "show", job)
    assert "stopped at a safe point" in " ".join(shown.out.split())
