"""A file goes through the fleet into a board that was chosen by what it runs, and comes back."""

import zlib
from pathlib import Path

from tests.system.firmware_fleet import add_site, pushed
from tests.system.fleet import Fleet

DATA = bytes(range(256)) * 12


async def test_a_file_goes_into_a_board_of_a_model_and_comes_back(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.start_coordinator()
    site = await add_site(fleet, "north", 2)
    ask = {"id": "ask", "action": "device.sync"}
    north = {"selector": "site=north"}
    asked = await fleet.submit({"name": "ask", "targets": north, "steps": [ask]})
    await fleet.admin.finished(asked)

    file = await pushed(fleet, "calibration", DATA)
    put = {"id": "put", "action": "device.put_file", "params": {**file, "path": "/lfs/cal"}}
    chosen = {"device_selector": "firmware<2,kind=soil,id=soil-2"}
    number = await fleet.submit({"name": "calibrate", "targets": chosen, "steps": [put]})
    (execution,) = await fleet.admin.finished(number)
    (task,) = execution["tasks"]
    assert (task["device"], task["state"]) == ("soil-2", "DONE")
    assert task["result"]["put.crc32"] == zlib.crc32(DATA)

    taken = tmp_path / "cal"
    agent = (await fleet.agent_view(site.gateway))["id"]
    get = ("devices", "get-file", agent, "soil-2", "/lfs/cal", "-o", str(taken))
    done = await fleet.outstation(*get, "--wait", "60")
    assert done.status == 0, done.err
    assert taken.read_bytes() == DATA
    gone = await fleet.outstation("devices", "get-file", agent, "soil-1", "/lfs/cal", *get[5:])
    assert gone.status == 1
    assert "it was not read" in gone.err
