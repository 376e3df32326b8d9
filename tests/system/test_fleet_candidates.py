"""A device that nobody attached is found, adopted with a published profile, polled, and let go."""

import json
import re
from pathlib import Path
from typing import Any

import firmware_sim.demo
from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_METER, TCP_PUMP, until

PROFILE = Path(firmware_sim.demo.__file__).parent / "profiles" / "meter.toml"


def look(site: str, **more: object) -> dict[str, object]:
    params = {"ways": ["modbus"], "first": 1, "last": 4, "for_s": 20, **more}
    return {
        "name": "look",
        "targets": {"selector": f"site={site}"},
        "steps": [{"id": "look", "action": "agent.discover", "params": params, "timeout_s": 60}],
    }


async def listed(fleet: Fleet, *options: str) -> list[dict[str, Any]]:
    shown = await fleet.outstation("devices", "candidates", "list", "--json", *options)
    assert shown.status == 0, shown.err
    found: list[dict[str, Any]] = json.loads(shown.out)
    return found


async def selected(fleet: Fleet) -> None:
    """Check that devices are listed, also by the labels that jobs choose them by."""
    assert "meter-7" in (await fleet.outstation("devices", "list")).out
    wanted = ("devices", "list", "--selector", "site=site", "--device-selector")
    assert "meter-7" in (await fleet.outstation(*wanted, "profile=meter,id=meter-7")).out
    assert "meter-7" not in (await fleet.outstation(*wanted, "model=nothing")).out
    unknown = await fleet.outstation(*wanted, "room=3")
    assert unknown.status == 2
    assert "'room' of devices is known to their gateways alone" in unknown.err


async def test_a_device_is_found_adopted_polled_and_let_go(fleet: Fleet, tmp_path: Path) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, TCP_METER, start=False)
    # Whoever wrote the file forgot the meter; its port is there.
    section = re.compile(r'\[\[device\]\]\nid = "meter-1".*?(?=\n\[\[|\Z)', re.DOTALL)
    local = section.sub("", site.config.read_text())
    assert 'id = "meter-1"' not in local
    site.config.write_text(local)
    await site.start()
    agent = str(json.loads((site.data / "enrolment.json").read_text())["agent"])

    await fleet.admin.finished(await fleet.submit(look("site")))
    (found,) = await listed(fleet)
    one = found["candidate"]
    assert (one["agent"], one["model"], found["profiles"]) == (agent, "meter", [])
    place = str(one["place"])

    text = PROFILE.read_text().replace("[[point]]", '[match]\nmodel = "met*"\n\n[[point]]', 1)
    text = text.replace('"demo-meter"', '"meter"')
    mine = tmp_path / "meter.toml"
    mine.write_text(text)
    pushed = await fleet.outstation("profiles", "push", str(mine))
    assert pushed.status == 0, pushed.err
    assert "sha256:" in pushed.out
    assert (await fleet.outstation("profiles", "diff", str(mine), "meter")).status == 0
    assert (await fleet.outstation("profiles", "diff", str(PROFILE), "meter")).status == 1
    (found,) = await listed(fleet)
    assert found["profiles"] == ["meter"]

    hidden = await fleet.outstation("devices", "candidates", "ignore", agent, place)
    assert hidden.status == 0, hidden.err
    assert await listed(fleet) == []
    assert len(await listed(fleet, "--ignored")) == 1

    adopt = ("devices", "candidates", "adopt", agent, place, "--name", "meter-7", "--poll", "1")
    adopted = await fleet.outstation(*adopt, "--wait", "120")
    assert adopted.status == 0, adopted.err
    assert "meter-7 is attached" in adopted.out
    assert site.config.read_text() == local, "the local file is its owner's"
    assert await listed(fleet, "--ignored") == []

    async def polled() -> bool | None:
        query = await fleet.outstation("readings", "list", agent, "meter-7", "--csv")
        return True if "meter-7" in query.out else None

    await until("readings of the meter", polled)
    sync: dict[str, object] = {
        "name": "sync",
        "targets": {"selector": "site=site", "device_selector": "id=meter-7"},
        "steps": [{"id": "sync", "action": "device.sync"}],
    }
    await fleet.admin.finished(await fleet.submit(sync))
    await selected(fleet)
    let_go = await fleet.outstation("devices", "release", agent, "meter-7", "--wait", "120")
    assert let_go.status == 0, let_go.err
    assert "is let go; its readings stay" in let_go.out
    assert "meter-7" not in (await fleet.outstation("devices", "list")).out
    assert await polled(), "what it told stays"
    events = await fleet.outstation("events", "list", "--type", "device.released")
    assert "meter-7" in events.out, events.err
    kept = json.loads((site.data / "remote.json").read_text())
    assert kept["settings"]["device.meter-7"] == ""
    assert kept["trial"] is None
