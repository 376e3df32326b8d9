"""A file for work on a stick travels on that stick: the gateway never had a link."""

import json
import random
from hashlib import sha256
from pathlib import Path

from shared.model.artifact import artifact_text
from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.test_fleet_sticks import back, bring, command, export, succeeds

SIZE = 2_300_000
IMAGE = random.Random(13).randbytes(SIZE)
DIGEST = sha256(IMAGE).digest()
NAME = artifact_text(DIGEST)


async def test_a_stick_carries_the_files_that_its_work_names(fleet: Fleet, tmp_path: Path) -> None:
    await fleet.start_coordinator()
    image = tmp_path / "node.bin"
    image.write_bytes(IMAGE)
    assert (await fleet.outstation("artifacts", "push", str(image))).status == 0
    north = await fleet.add_gateway("north", start=False)
    north.link.black_hole(True)
    await north.start()
    await north.says("it to run", lambda status: status["running"] or None)
    await export(north, tmp_path / "1.stick")
    await bring(fleet, tmp_path / "1.stick")
    params = {"artifact": NAME, "size": SIZE}
    step = {"id": "get", "action": "agent.fetch", "params": params, "timeout_s": 600}
    target = {"selector": "site=north"}
    number = await fleet.submit({"name": "ahead", "targets": target, "steps": [step]})
    told = await back(fleet, north, tmp_path / "2.stick")
    assert "1 file for this work" in told.out, told

    # Half of the stick first: it was pulled out too early. Then all of it, then once more.
    data = (tmp_path / "2.stick").read_bytes()
    (tmp_path / "half.stick").write_bytes(data[: len(data) - SIZE // 2])
    ended = await warm.outcome(command(north, "import", tmp_path / "half.stick"))
    assert ended.status == 1, ended
    whole = north.data / "artifacts" / DIGEST.hex()
    assert not whole.exists()
    for files in (1, 0):
        ended = await warm.outcome(command(north, "import", tmp_path / "2.stick", "--json"))
        assert ended.status == 0, ended
        assert json.loads(ended.out)["files"] == files
    assert whole.read_bytes() == IMAGE
    await succeeds(north)
    await export(north, tmp_path / "3.stick")
    await bring(fleet, tmp_path / "3.stick")
    (execution,) = await fleet.admin.finished(number)
    assert execution["state"] == "SUCCEEDED", execution
