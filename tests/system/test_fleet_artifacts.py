"""A file from the admin's disk to a gateway's, over links that cut, vanish and crawl, and kills."""

import json
import random
from hashlib import sha256
from pathlib import Path

import pytest

from firmware_sim.address import Address
from firmware_sim.link import LinkProxy
from shared.model.artifact import artifact_text
from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_METER, Gateway, until

SIZE = 700_000
CUT_BYTES = 65_536
IMAGE = random.Random(7).randbytes(SIZE)
DIGEST = sha256(IMAGE).digest()
NAME = artifact_text(DIGEST)


def fetch_job(*, timeout_s: int = 60, **more: object) -> dict[str, object]:
    step = {
        "id": "get",
        "action": "agent.fetch",
        "params": {"artifact": NAME, "size": SIZE},
        "timeout_s": timeout_s,
    }
    return {"name": "ahead", "targets": {"selector": "site=west"}, "steps": [step], **more}


@pytest.fixture
async def west(fleet: Fleet) -> Gateway:
    await fleet.start_coordinator()
    image = fleet.folder / "node.bin"
    image.write_bytes(IMAGE)
    pushed = await fleet.outstation("artifacts", "push", str(image), "--version", "1.2.3")
    assert pushed.status == 0, pushed
    assert NAME in pushed.out
    return await fleet.add_gateway("west", TCP_METER)


def whole(gateway: Gateway) -> Path:
    return gateway.data / "artifacts" / DIGEST.hex()


def come(gateway: Gateway) -> int:
    """How many bytes of the file are here."""
    if whole(gateway).exists():
        return SIZE
    parts = (gateway.data / "artifacts").glob("*.part")
    return max((part.stat().st_size for part in parts), default=0)


async def came(gateway: Gateway, at_least: int) -> None:
    async def there() -> bool | None:
        gateway.check()
        return True if come(gateway) >= at_least else None

    await until(f"{at_least} bytes to come", there)


async def done(fleet: Fleet, job: str) -> None:
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "SUCCEEDED", execution


async def test_a_file_comes_over_a_link_that_cuts_every_64_kb_and_costs_little_more(
    fleet: Fleet, west: Gateway
) -> None:
    west.link.reset_after_bytes = CUT_BYTES
    before = west.link.stats.total_bytes
    job = await fleet.submit(fetch_job())
    await done(fleet, job)
    assert whole(west).read_bytes() == IMAGE
    assert west.link.stats.resets >= SIZE // CUT_BYTES
    carried = west.link.stats.total_bytes - before
    assert carried < SIZE * 1.2, f"{carried} bytes for {SIZE}"


async def test_kill_9_in_mid_download_costs_no_byte_twice(fleet: Fleet, west: Gateway) -> None:
    west.link.rate_bps = 1_000_000
    job = await fleet.submit(fetch_job())
    for share in (SIZE // 4, SIZE // 2):
        await came(west, share)
        held = come(west)
        await west.kill()
        assert come(west) >= held
        assert not whole(west).exists()
        await west.start()
    west.link.rate_bps = None
    await done(fleet, job)
    assert whole(west).read_bytes() == IMAGE


async def test_a_black_hole_in_mid_download_is_waited_out(fleet: Fleet, west: Gateway) -> None:
    west.link.rate_bps = 2_000_000
    job = await fleet.submit(fetch_job())
    await came(west, SIZE // 5)
    west.link.black_hole(True)
    await west.polled(5)
    west.link.black_hole(False)
    west.link.rate_bps = None
    await done(fleet, job)
    assert whole(west).read_bytes() == IMAGE


async def test_contacts_go_on_while_a_file_crawls(fleet: Fleet, west: Gateway) -> None:
    west.link.rate_bps = 160_000
    job = await fleet.submit(fetch_job())
    await came(west, 1)
    began = (await fleet.agent_view(west))["tally"]["delivered"]
    await fleet.delivered(west, at_least=began + 1)
    assert come(west) < SIZE, "readings came while the file was on its way"

    async def told_so() -> bool | None:
        moving = (await fleet.agent_view(west))["health"]["moving"]
        return True if moving and moving["files"] == 1 else None

    await until("the coordinator to hear that it is on its way", told_so)
    west.link.rate_bps = None
    await done(fleet, job)


async def test_a_file_that_was_altered_at_the_coordinator_is_one_clear_sentence(
    fleet: Fleet, west: Gateway
) -> None:
    stored = fleet.coordinator.data / "artifacts" / DIGEST.hex()[:2] / DIGEST.hex()[2:]
    stored.write_bytes(IMAGE[:-1] + b"!")
    job = await fleet.submit(fetch_job())
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "FAILED"
    (task,) = execution["tasks"]
    assert task["reason"] == "artifact_altered"
    assert "nothing of it was kept" in task["detail"]
    assert not whole(west).exists()


async def test_the_same_file_is_fetched_once_for_all_jobs(fleet: Fleet, west: Gateway) -> None:
    await done(fleet, await fleet.submit(fetch_job()))
    inode, before = whole(west).stat().st_ino, west.link.stats.bytes_down
    await done(fleet, await fleet.submit(fetch_job() | {"name": "again"}))
    assert whole(west).stat().st_ino == inode
    assert west.link.stats.bytes_down - before < SIZE // 4


async def test_an_admin_gets_a_file_back_and_sees_what_needs_it(
    fleet: Fleet, west: Gateway
) -> None:
    copy = fleet.folder / "copy.bin"
    got = await fleet.outstation("artifacts", "fetch", NAME[:20], str(copy))
    assert got.status == 0, got
    assert copy.read_bytes() == IMAGE
    await west.stop()
    await fleet.submit(fetch_job())
    refused = await fleet.outstation("artifacts", "delete", NAME)
    assert refused.status == 6, refused
    assert "jobs need it" in refused.err


async def test_a_push_goes_on_by_itself_over_a_link_that_cuts(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    image = fleet.folder / "node.bin"
    image.write_bytes(IMAGE)
    target = Address("127.0.0.1", fleet.coordinator.port)
    async with LinkProxy(target=target, reset_after_bytes=3 * CUT_BYTES) as link:
        environment = {"OUTSTATION_URL": f"https://127.0.0.1:{link.port}"}
        pushed = await fleet.outstation("artifacts", "push", str(image), environment=environment)
        assert pushed.status == 0, pushed
        assert link.stats.resets >= 2
        assert link.stats.total_bytes < SIZE * 2
        copy = fleet.folder / "copy.bin"
        got = await fleet.outstation("artifacts", "fetch", NAME, str(copy), environment=environment)
        assert got.status == 0, got
    assert copy.read_bytes() == IMAGE
    shown = json.loads((await fleet.outstation("artifacts", "show", NAME, "--json")).out)
    assert (shown["complete"], shown["name"], shown["kind"]) == (True, "node.bin", "firmware")
