"""A device that falls silent and is back: the fleet is told which, and since when."""

import json
from typing import Any

from firmware_sim.demo import processes
from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_METER, TCP_PUMP, until


async def test_who_does_not_answer_is_seen_from_afar_until_it_is_back(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, TCP_METER)
    agent = str(json.loads((site.data / "enrolment.json").read_text())["agent"])

    async def health(silent: int) -> dict[str, Any] | None:
        shown = await fleet.outstation("agents", "show", agent, "--json")
        found = json.loads(shown.out)["agent"]["health"]
        return found if found is not None and found["silent_devices"] == silent else None

    well = await until("a first word of how it is", lambda: health(0))
    assert well["silent_s"] == 0
    nobody = await fleet.outstation("devices", "list", "--silent")
    assert "no device that is known is so" in nobody.out
    port = site.devices["meter-1"].ready.split()[-1].rpartition(":")[2]
    await site.devices["meter-1"].stop()
    gone = await until("the meter to be told silent", lambda: health(1))
    assert gone["silent_s"] >= 0
    shown = await fleet.outstation("agents", "show", agent)
    assert "1 device does NOT ANSWER, one for " in " ".join(shown.out.split())
    listed = json.loads((await fleet.outstation("devices", "list", "--silent", "--json")).out)
    (meter,) = listed
    assert (meter["agent"], meter["device"], meter["observed_at"]) == (agent, "meter-1", None)
    assert meter["silent_since"] is not None
    text = (await fleet.outstation("devices", "list")).out
    assert "SILENT" in text
    assert "since" in text
    command = processes.command("firmware_sim", "device", "meter", "--tcp", f"127.0.0.1:{port}")
    back = await warm.start("device-back", command, fleet.folder)
    fleet.stack.push_async_callback(back.stop)
    await until("the meter to be back", lambda: health(0))
    assert json.loads((await fleet.outstation("devices", "list", "--silent", "--json")).out) == []
