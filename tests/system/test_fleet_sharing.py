"""A file is pulled once for a site: three real agents on the loopback interface, lossy links."""

import json
import random
from hashlib import sha256
from typing import Any

import pytest

from shared.model.artifact import artifact_text
from tests.system.fleet import Fleet
from tests.system.fleet_parts import Gateway, until
from tests.system.sharing_site import SITE, add_neighbour, come, whole

SIZE = 600_000
IMAGE = random.Random(11).randbytes(SIZE)
DIGEST = sha256(IMAGE).digest()
NAME = artifact_text(DIGEST)
CONTACT_BYTES = 500
"""An answer without news; a slow machine takes more time, and with it more of them."""


def fetch_job(selector: str = f"site={SITE}") -> dict[str, object]:
    params = {"artifact": NAME, "size": SIZE}
    step = {"id": "get", "action": "agent.fetch", "params": params, "timeout_s": 120}
    return {"name": "ahead", "targets": {"selector": selector}, "steps": [step]}


@pytest.fixture
async def pushed(fleet: Fleet) -> Fleet:
    await fleet.start_coordinator()
    image = fleet.folder / "node.bin"
    image.write_bytes(IMAGE)
    told = await fleet.outstation("artifacts", "push", str(image), "--version", "1.2.3")
    assert told.status == 0, told
    return fleet


async def test_a_site_of_three_pulls_once_though_the_puller_is_killed(pushed: Fleet) -> None:
    fleet = pushed
    gateways = [await add_neighbour(fleet, name) for name in ("a", "b", "c")]
    job = await fleet.submit(fetch_job())
    before = sum(one.link.stats.bytes_down for one in gateways)
    for gateway in gateways:
        gateway.link.rate_bps = 1_500_000
        gateway.link.reset_after_bytes = 150_000
        await gateway.start()

    async def under_way() -> Gateway | None:
        ahead = max(gateways, key=lambda one: one.link.stats.bytes_down)
        others = [one for one in gateways if one is not ahead]
        for one in gateways:
            one.check()
        if ahead.link.stats.bytes_down >= SIZE // 2:
            ahead.link.black_hole(True)  # else it has all of it while others that are slow begin
        return ahead if all(come(one, DIGEST) >= SIZE // 4 for one in others) else None

    puller = await until("the others to follow", under_way)
    await puller.kill()
    held = come(puller, DIGEST)
    for one in gateways:
        one.link.black_hole(False)
    assert not whole(puller, DIGEST).exists()
    others = [one for one in gateways if one is not puller]

    async def there() -> bool | None:
        return True if all(whole(one, DIGEST).exists() for one in others) else None

    await until("the others to have it", there)
    await puller.start()
    for execution in await fleet.admin.finished(job):
        assert execution["state"] == "SUCCEEDED", execution
    assert [whole(one, DIGEST).read_bytes() for one in gateways] == [IMAGE] * 3
    pulled = held + sum([await from_coordinator(one) for one in gateways])
    assert pulled < SIZE * 1.1, f"{pulled} bytes were pulled for {SIZE}, {held} at the kill"
    agents = (await fleet.admin.get("/v1/agents"))["items"]
    spoken = CONTACT_BYTES * sum(one["link"]["contacts"] for one in agents)
    carried = sum(one.link.stats.bytes_down for one in gateways) - before - spoken
    assert carried < SIZE * 1.2, f"{carried} bytes over the links for {SIZE}, {held} at the kill"
    assert sum(one.link.stats.bytes_down for one in others) - spoken < SIZE


async def from_coordinator(gateway: Gateway) -> int:
    return int((await gateway.status())["files"]["from_coordinator"])


async def test_altered_bytes_of_a_neighbour_are_caught_and_the_receipt_says_whose_they_were(
    pushed: Fleet,
) -> None:
    fleet = pushed
    liar, last = await add_neighbour(fleet, "a"), await add_neighbour(fleet, "b")
    told = []
    for gateway in (liar, last):
        if gateway is last:
            # The card of the first one forgets: whoever asks is given what is not the file.
            whole(liar, DIGEST).write_bytes(IMAGE[:-1] + bytes([IMAGE[-1] ^ 1]))
        await gateway.start()
        job = await fleet.submit(fetch_job(f"role={gateway.site.name}"))
        (execution,) = await fleet.admin.finished(job)
        assert execution["state"] == "SUCCEEDED", execution
        told.append(from_neighbours(execution))
    assert whole(last, DIGEST).read_bytes() == IMAGE
    assert told == [0, 0], "what was altered is not in the file"
    files = (await last.status())["files"]
    assert (files["from_coordinator"], files["from_neighbours"]) == (SIZE, SIZE)
    log = (fleet.folder / f"agent-{last.site.name}.log").read_text()
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events.count("neighbour_altered") == 1
    # What is true again is taken again, and the receipt says from where.
    third = await add_neighbour(fleet, "c")
    await liar.stop()
    await third.start()
    (execution,) = await fleet.admin.finished(await fleet.submit(fetch_job("role=c")))
    assert from_neighbours(execution) == SIZE


def from_neighbours(execution: dict[str, Any]) -> int:
    (task,) = execution["tasks"]
    return int(task["result"]["get.from_neighbours"])
