"""The maintenance work that comes with the program, on real gateways and devices."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from coordinator.contract.shipped import shipped_templates
from shared import limits
from tests.system.fleet import Fleet
from tests.system.fleet_parts import ASK_S, Gateway, until
from tests.system.maintained import (
    RINSED,
    add_site,
    history,
    made,
    reported,
    results,
    saved_as,
    told_of,
    turn,
)

BATCH = 25
ALL = {"pump-1", "pump-2", "pump-3"}
"""Devices of both sites."""
DID_NOT_RUN = {"overlapped", "missed"}
"""Why a time of a schedule may pass on a machine that has no time for it."""


@pytest.mark.slow
async def test_each_template_does_what_its_page_says(fleet: Fleet, tmp_path: Path) -> None:
    await fleet.start_coordinator()
    north = await add_site(fleet, "north", "pump-1", "pump-2")
    south = await add_site(fleet, "south", "pump-3")
    listed = json.loads((await fleet.outstation("templates", "list", "--json")).out)
    assert {one["name"] for one in listed} == set(shipped_templates())
    await _looks(fleet, north, south)
    await _drifts_and_is_put_back(fleet, north, south)
    nightly = [_stands(fleet, name, tmp_path) for name in ("sync-nightly", "validate-nightly")]
    await asyncio.gather(*nightly, _acts(fleet, north, south), _works_much(fleet))
    await _cleans_up(fleet)


async def _looks(fleet: Fleet, *gateways: Gateway) -> None:
    """What reads only: how gateways are, what devices say, a bundle, a kept configuration."""
    health, bundle, look, sync, rules = await asyncio.gather(
        made(fleet, "check-health"),
        made(fleet, "diagnose"),
        made(fleet, "check-devices", "points=pressure,flow"),
        made(fleet, "sync-devices"),
        made(fleet, "validate-rules", "rules=device.setpoint < 5000,device.setpoint > 4900"),
    )
    assert all(one["health.disk.free_mb"] > 0 for one in results(health).values())
    files = [one["bundle.file"] for one in results(bundle).values()]
    for gateway, execution in zip(gateways, bundle["executions"], strict=True):
        assert execution["state"] == "SUCCEEDED"
        assert [file for file in files if (gateway.data / file).exists()]
    assert {name: one.keys() for name, one in results(look).items()} == {
        name: {"look.pressure", "look.flow"} for name in ALL
    }
    assert {one["inventory._kind"] for one in results(sync).values()} == {"pump"}
    devices = json.loads((await fleet.outstation("devices", "list", "--json")).out)
    assert {one["device"] for one in devices} == ALL
    said = results(rules).values()
    assert {(one["check._rule.1"], one["check._rule.2"]) for one in said} == {(True, False)}


async def _drifts_and_is_put_back(fleet: Fleet, north: Gateway, south: Gateway) -> None:
    """Comparing with wishes and with what was kept, and making it so again."""
    before, wrong = await asyncio.gather(
        made(fleet, "validate-config"), made(fleet, "validate-devices", "desired=setpoint=4321")
    )
    assert {name: one["check._drifted"] for name, one in results(before).items()} == dict.fromkeys(
        ALL, 0
    )
    assert {one["check.setpoint.desired"] for one in results(wrong).values()} == {4321}
    await turn(north, "pump-2", 1234)
    found = results(await made(fleet, "validate-config"))
    assert {name for name, one in found.items() if one["check._drifted"]} == {"pump-2"}
    status, lines = await reported(fleet, "drift")
    kept = [one for one in lines if one["wish"] == "validate-config/check"]
    assert (status, [(one["device"], one["missed"]) for one in kept]) == (
        1,
        [("pump-2", ["setpoint=1234"])],
    )
    writes = north.writes() + south.writes()
    dry = results(await made(fleet, "restore-config"))["pump-2"]
    assert (dry["restore.setpoint"], dry["restore._dry_run"]) == (1234, True)
    assert dry["restore.setpoint.new"] == found["pump-2"]["check.setpoint.desired"]
    assert north.writes() + south.writes() == writes, "a dry run writes nothing"
    restored = await made(fleet, "restore-config", "dry_run=false")
    assert {one["check._drifted"] for one in results(restored).values()} == {0}
    assert north.writes() + south.writes() == writes + 1, "only what differed"
    await made(fleet, "validate-config")
    _, lines = await reported(fleet, "drift", "--every")
    (mended,) = (one for one in lines if one["wish"] == kept[0]["wish"] and one["mended_by"])
    assert (mended["since"], mended["mended_by"]) == (None, restored["job"]["id"])
    log = await fleet.outstation("jobs", "show", restored["job"]["id"])
    assert "template:restore-config@0" in log.out


async def _stands(fleet: Fleet, template: str, folder: Path) -> None:
    """What stands on the gateways: at its own times, and at a faster pace of the fleet's own."""
    job = (await made(fleet, template, "spread_s=0", wait=False))["id"]

    async def held() -> bool | None:
        found = (await fleet.admin.get("/v1/standing", job=job))["items"]
        return True if [bool(one["next_at"]) for one in found] == [True, True] else None

    await until(f"{template} to be in force on both", held, look_s=ASK_S)
    name = template.replace("nightly", "often")
    await saved_as(fleet, template, name, folder / f"{name}.json", every_s=2)
    often = (await made(fleet, name, wait=False))["id"]
    await told_of(fleet, often, {"", *ALL})
    lines = [one for one in await history(fleet, often) if one["reason"] not in DID_NOT_RUN]
    assert {one["state"] for one in lines} == {"SUCCEEDED"}
    ended = await fleet.outstation("jobs", "cancel", often, "--wait")
    assert ended.status == 0, ended


async def _acts(fleet: Fleet, *gateways: Gateway) -> None:
    """What happens while nobody looks: an alarm, and a call of the profile."""
    holds = ("condition=device.poll_count > 0", "for_s=0")
    alarm = (await made(fleet, "alarm-when", *holds, "text=it runs", wait=False))["id"]
    maintain = (await made(fleet, "maintain-when", *holds, "call=rinse", wait=False))["id"]
    await until("every pump to be rinsed", _fired(fleet, maintain, len(ALL)), look_s=ASK_S)
    assert {one["state"] for one in await history(fleet, maintain)} == {"SUCCEEDED"}
    await told_of(fleet, alarm, ALL)
    shown = json.loads((await fleet.outstation("alarms", "list", "--json")).out)
    assert {(one["device"], one["text"], one["severity"]) for one in shown} == {
        (name, "it runs", "warning") for name in ALL
    }
    for gateway in gateways:
        for place in gateway.site.devices:
            rinsed = gateway.record(place.id).setpoints().count(RINSED)
            assert rinsed == 1, "once a day"


def _fired(fleet: Fleet, job: str, times: int) -> Callable[[], Awaitable[bool | None]]:
    """Tell whether a standing job has told so many firings: several in a row are one line."""

    async def told() -> bool | None:
        page = await fleet.admin.get(f"/v1/jobs/{job}/firings", page_size=500)
        return sum(one["count"] for one in page["items"]) >= times or None

    return told


async def _works_much(fleet: Fleet) -> None:
    """Let the south have more that is over than a gateway always keeps."""
    job: dict[str, object] = {
        "name": "look",
        "targets": {"selector": "site=south"},
        "steps": [{"id": "look", "action": "agent.health"}],
    }
    jobs: list[str] = []
    while len(jobs) < limits.EXECUTIONS_KEPT_LEAST:
        jobs += await asyncio.gather(*(fleet.admin.submit(job) for _ in range(BATCH)))
    for one in jobs:  # handed in side by side: the last one here need not be the last one there
        await fleet.admin.finished(one)


async def _cleans_up(fleet: Fleet) -> None:
    """Old records of gateways: counted, then forgotten, then gone."""
    agents = await fleet.admin.agents()

    async def told(*values: str) -> dict[str, int]:
        done = await made(fleet, "clean-up", "keep=100", *values)
        counts = {}
        for execution in done["executions"]:
            (task,) = execution["tasks"]
            assert task["result"].get("tidy._dry_run", False) is not bool(values)
            counts[execution["agent"]] = task["result"]["tidy.executions"]
        return {site: counts[agents[site]["id"]] for site in ("north", "south")}

    counted = await told()
    assert (counted["north"], counted["south"] > 0) == (0, True), "the newest hundred stay"
    forgotten = await told("dry_run=false")
    assert forgotten == {"north": 0, "south": counted["south"] + 1}, "one more: who counted"
    assert await told() == {"north": 0, "south": 1}
    _, lines = await reported(fleet, "health")
    complaints = {word for line in lines for word in line["complaints"]}
    assert complaints <= {"clock unsynced"}, "nobody tells a test's machine the time"
