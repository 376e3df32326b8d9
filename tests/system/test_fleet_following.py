"""An adopted device whose cable is plugged in elsewhere: the fleet follows it and says so."""

import json
import re
from pathlib import Path

import firmware_sim.demo
from firmware_sim.demo import processes
from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_METER, TCP_PUMP, free_port, until
from tests.system.test_fleet_candidates import look

PROFILE = Path(firmware_sim.demo.__file__).parent / "profiles" / "meter.toml"
SPARE = '\n[[bus]]\nname = "spare"\nurl = "tcp://127.0.0.1:{port}"\n'


async def test_a_device_in_another_port_is_followed_and_its_history_goes_on(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, TCP_METER, start=False)
    section = re.compile(r'\[\[device\]\]\nid = "meter-1".*?(?=\n\[\[|\Z)', re.DOTALL)
    port = free_port()
    site.config.write_text(section.sub("", site.config.read_text()) + SPARE.format(port=port))
    await site.start()
    agent = str(json.loads((site.data / "enrolment.json").read_text())["agent"])
    await fleet.admin.finished(await fleet.submit(look("site")))
    shown = await fleet.outstation("devices", "candidates", "list", "--json")
    place = str(json.loads(shown.out)[0]["candidate"]["place"])
    assert (await fleet.outstation("profiles", "push", str(PROFILE))).status == 0
    adopt = ("devices", "candidates", "adopt", agent, place, "--name", "meter-7", "--poll", "1")
    adopted = await fleet.outstation(*adopt, "--profile", "demo-meter", "--wait", "120")
    assert adopted.status == 0, adopted.err

    await site.devices["meter-1"].stop()
    command = processes.command("firmware_sim", "device", "meter", "--tcp", f"127.0.0.1:{port}")
    elsewhere = await warm.start("device-elsewhere", command, fleet.folder)
    fleet.stack.push_async_callback(elsewhere.stop)
    await fleet.admin.finished(await fleet.submit(look("site", follow=True)))
    kept = json.loads((site.data / "remote.json").read_text())
    assert '"bus":"spare"' in kept["settings"]["device.meter-7"]
    assert kept["trial"] is None

    async def told() -> bool | None:
        events = await fleet.outstation("events", "list", "--type", "device.moved", "--json")
        return True if '"meter-7"' in events.out and "spare/" in events.out else None

    await until("the event that it moved", told)
    listed = await fleet.outstation("devices", "candidates", "list", "--ignored", "--json")
    assert json.loads(listed.out) == [], "it is a candidate at neither place"
    audit = await fleet.outstation("audit", "list", "--json")
    assert "device.follow" in audit.out, audit.err
