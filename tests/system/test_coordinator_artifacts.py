"""Artifacts at a coordinator that serves: cut uploads, ranges, who may have what, what may go."""

import asyncio
import base64
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.core.artifacts import OvertakenError
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.artifacts import find
from firmware_sim.mcuboot import Version, make_image, read_image
from shared import limits
from shared.model.artifact import artifact_text
from shared.model.job import ExecutionState
from shared.trust.envelope import KeySigner
from shared.trust.fetch import Fetch, fetch_header
from tests.stores import tell
from tests.system.coordinator_world import (
    Gateway,
    World,
    client_of,
    found_in,
    open_world,
    serving,
)
from tests.system.fleet_parts import PATIENCE_S
from tests.system.rest_client import Answered

IMAGE = bytes(range(256)) * 1200
DIGEST = sha256(IMAGE).digest()
NAME = artifact_text(DIGEST)
PATH = f"/v1/artifacts/{NAME}"


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


def wish(data: bytes = IMAGE, **changes: object) -> dict[str, object]:
    name = artifact_text(sha256(data).digest())
    return {"artifact": name, "size": len(data), "kind": "firmware", "name": "node.bin", **changes}


async def send(
    world: World, data: Any, offset: int, *, path: str = PATH, **headers: str
) -> Answered:
    sent = {"Content-Type": "application/octet-stream", "Upload-Offset": str(offset)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return await world.request("PATCH", path, data=data, headers=sent)


async def push(world: World, data: bytes = IMAGE) -> str:
    answered = await world.post("/v1/artifacts", wish(data))
    assert answered.status in {200, 201}, answered
    name = str(answered.json["artifact"])
    sent = await send(world, data, 0, path=f"/v1/artifacts/{name}")
    assert sent.json["complete"], sent
    return name


def ahead(name: str = NAME, size: int = len(IMAGE)) -> dict[str, Any]:
    """A job that has a file fetched."""
    step = {"id": "get", "action": "agent.fetch", "params": {"artifact": name, "size": size}}
    return {"name": "ahead", "targets": {"agents": ["pump-1"]}, "steps": [step]}


async def fetch(gateway: Gateway, *, at_ms: int, path: str = "", **changes: Any) -> Answered:
    signer, asked = changes.pop("signer", gateway.signer), changes.pop("range", "")
    fields = {"fleet": gateway.root.fleet, "agent": gateway.name, "artifact": DIGEST, **changes}
    headers = {"Authorization": fetch_header(Fetch(at_ms=at_ms, **fields), signer)}
    if asked:
        headers["Range"] = asked
    return await gateway.client.request(
        "GET", path or f"/v1/fetch/{NAME}", token="", headers=headers
    )


async def test_an_upload_goes_on_where_it_was_cut_and_counts_only_when_whole(world):
    made = await world.post("/v1/artifacts", wish())
    assert (made.status, made.json["received"], made.json["complete"]) == (201, 0, False)
    assert (await send(world, IMAGE[:100_000], 0)).json["received"] == 100_000
    assert (await world.get(f"{PATH}/content")).status == 404
    again = await world.post("/v1/artifacts", wish())
    assert (again.status, again.headers["Upload-Offset"]) == (200, "100000")
    assert (await world.request("HEAD", PATH)).headers["Upload-Offset"] == "100000"
    done = await send(world, IMAGE[100_000:], 100_000)
    assert (done.status, done.json["complete"]) == (200, True)
    assert (await world.get(f"{PATH}/content")).body == IMAGE


async def test_a_piece_at_another_offset_is_a_conflict_that_tells_the_right_one(world):
    await world.post("/v1/artifacts", wish())
    await send(world, IMAGE[:10], 0)
    wrong = await send(world, IMAGE[20:30], 20)
    assert (wrong.problem, wrong.headers["Upload-Offset"]) == ("conflict", "10")


async def test_a_piece_that_is_not_what_its_digest_says_is_not_kept(world):
    await world.post("/v1/artifacts", wish())
    await send(world, IMAGE[:10], 0)
    digest = base64.b64encode(sha256(b"other").digest()).decode()
    refused = await send(world, IMAGE[10:20], 10, Content_Digest=f"sha-256=:{digest}:")
    assert refused.problem == "invalid"
    assert (await world.read(PATH))["received"] == 10


async def test_an_altered_file_is_refused_and_nothing_of_it_stays(world):
    await world.post("/v1/artifacts", wish())
    altered = IMAGE[:-1] + b"!"
    refused = await send(world, altered, 0)
    assert refused.json["reason"] == "artifact_altered"
    assert "nothing was kept" in refused.json["detail"]
    view = await world.read(PATH)
    assert (view["received"], view["complete"]) == (0, False)


async def test_bytes_beyond_the_announced_size_are_refused(world):
    await world.post("/v1/artifacts", wish())
    refused = await send(world, IMAGE + b"more", 0)
    assert refused.problem == "invalid"
    assert "beyond its size" in refused.json["detail"]
    assert not (await world.read(PATH))["complete"]


async def test_a_firmware_image_is_shown_as_what_it_says_of_itself(world):
    image = make_image(b"code" * 500, Version(1, 4, 2, 7), Ed25519PrivateKey.generate())
    name = await push(world, image)
    shown = (await world.read(f"/v1/artifacts/{name}"))["image"]
    assert (shown["version"], shown["image_size"], shown["signed"]) == ("1.4.2.7", 2000, True)
    assert shown["hash"] == read_image(image).digest.hex()
    other = await push(world, b"no image at all")
    assert (await world.read(f"/v1/artifacts/{other}"))["image"] is None


async def test_an_upload_is_forgotten_a_week_after_its_last_piece_and_not_before(world):
    await world.post("/v1/artifacts", wish())
    await send(world, IMAGE[:10], 0)
    await let_pass(world, limits.ARTIFACT_ABANDONED_MS + 60_000)
    assert (await send(world, IMAGE[10:20], 10)).json["received"] == 20
    await world.post("/v1/artifacts", wish(b"somebody else's"))
    assert (await world.read(PATH))["received"] == 20
    await let_pass(world, limits.ARTIFACT_ABANDONED_MS + 60_000)
    await world.post("/v1/artifacts", wish(b"one more"))
    assert (await world.get(PATH)).status == 404


async def let_pass(world: World, duration_ms: int) -> None:
    async with await SqliteStore.open(world.place.database) as store:
        await tell(store, f"UPDATE artifact SET created_ms = created_ms - {duration_ms}")


async def test_a_range_is_answered_as_http_says(world):
    await push(world)
    part = await world.get(f"{PATH}/content", headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, IMAGE[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(IMAGE)}"
    assert part.headers["ETag"] == f'"{DIGEST.hex()}"'
    beyond = await world.get(f"{PATH}/content", headers={"Range": f"bytes={len(IMAGE)}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(IMAGE)}")


async def test_more_than_there_is_room_for_is_refused_when_it_is_announced(world):
    refused = await world.post("/v1/artifacts", wish(size=1 << 40))
    assert (refused.problem, refused.json["at"]) == ("invalid", "size")


async def test_a_name_that_is_none_is_refused_with_the_form_it_should_have(world):
    refused = await world.post("/v1/artifacts", wish(artifact="firmware-1"))
    assert (refused.problem, refused.json["at"]) == ("invalid", "artifact")
    assert "64 hex digits" in refused.json["detail"]


async def test_a_job_that_names_what_is_not_here_is_refused(world):
    await world.gateway("pump-1")
    refused = await world.post("/v1/jobs", ahead())
    assert refused.status == 422
    assert "outstation artifacts push" in refused.json["detail"]
    await push(world)
    refused = await world.post("/v1/jobs", ahead(size=5))
    assert f"has {len(IMAGE)} bytes, not 5" in refused.json["detail"]


async def test_only_an_agent_that_was_given_work_with_a_file_may_fetch_it(tmp_path):
    place = await found_in(tmp_path)
    async with serving(place) as url, client_of(place, url) as world:
        await push(world)
        gateway, other = await world.gateway("pump-1"), await world.gateway("pump-2")
        now = await clock_of(gateway)
        assert (await fetch(gateway, at_ms=now)).problem == "not-found", "nobody named it yet"
        answered = await world.post("/v1/jobs", ahead())
        assert answered.status == 202, answered
        assert (await fetch(gateway, at_ms=now)).problem == "not-found", "it was not signed yet"
        admitted = await gateway.ordered()
        part = await fetch(gateway, at_ms=now, range="bytes=5-9")
        assert (part.status, part.body) == (206, IMAGE[5:10])
        assert (await fetch(other, at_ms=now)).problem == "not-found", "another agent's work"
        stranger = KeySigner(b"x" * 32)
        assert (await fetch(gateway, at_ms=now, signer=stranger)).problem == "signature-invalid"
        assert (await fetch(gateway, at_ms=now, fleet=bytes(16))).problem == "wrong-fleet"
        assert (await fetch(gateway, at_ms=now - 7_200_000)).json["reason"] == "expired"
        assert (await fetch(gateway, at_ms=now + 7_200_000)).json["reason"] == "not_yet_valid"
        assert (await fetch(gateway, at_ms=now, artifact=bytes(32))).json["reason"] == "wrong_nonce"
        assert (await world.request("DELETE", PATH)).problem == "conflict", "a job needs it"
        receipt = gateway.receipt(1, admitted.jobs[0].execution, ExecutionState.SUCCEEDED)
        await gateway.contact(receipts=[receipt])
        assert (await fetch(gateway, at_ms=now)).problem == "not-found", "its work is over"
        assert (await world.request("DELETE", PATH)).status == 200
        assert (await world.get(PATH)).status == 404


async def clock_of(gateway: Gateway) -> int:
    reply, _ = await gateway.contact()
    return reply.now_ms


async def test_a_file_that_vanished_may_be_sent_again_and_what_nobody_listed_goes(tmp_path):
    place = await found_in(tmp_path)
    async with serving(place) as url, client_of(place, url) as world:
        await push(world)
    folder = place.directory.artifacts
    whole = folder / DIGEST.hex()[:2] / DIGEST.hex()[2:]
    whole.unlink()
    stray = folder / "partial" / bytes(32).hex()
    stray.write_bytes(b"nobody announced this")
    async with serving(place) as url, client_of(place, url) as world:
        assert not stray.exists()
        assert not (await world.read(PATH))["complete"]
        await push(world)
        assert whole.read_bytes() == IMAGE
    async with await SqliteStore.open(place.database) as store:
        row = await store.read(partial(find, DIGEST))
        assert row is not None
        assert row.completed_ms is not None


@pytest.mark.parametrize("damaged", [IMAGE[:100_000], b"!" + IMAGE[1:]])
async def test_a_damaged_file_is_mended_by_handing_it_in_again(world, damaged):
    await push(world)
    again = await world.post("/v1/artifacts", wish())
    assert again.json["complete"], "what is sound stays"
    whole = world.place.directory.artifacts / DIGEST.hex()[:2] / DIGEST.hex()[2:]
    whole.write_bytes(damaged)
    again = await world.post("/v1/artifacts", wish())
    assert (again.json["complete"], again.headers["Upload-Offset"]) == (False, "0")
    assert (await send(world, IMAGE, 0)).json["complete"]
    assert (await world.get(f"{PATH}/content")).body == IMAGE


async def test_the_newest_request_goes_on_with_an_upload_and_the_older_one_ends(tmp_path):
    folder = ArtifactFolder(tmp_path)

    async def first():
        yield IMAGE[:1000]
        assert await folder.write(DIGEST, 1000, second(), None) == 2000
        yield IMAGE[1000:1500]

    async def second():
        yield IMAGE[1000:2000]

    with pytest.raises(Exception, match="another request goes on"):
        await folder.write(DIGEST, 0, first(), None)
    assert await folder.received(DIGEST) == 2000


async def test_an_older_request_ends_though_the_newer_one_has_not_brought_anything_yet(tmp_path):
    folder, begun, go_on = ArtifactFolder(tmp_path), asyncio.Event(), asyncio.Event()

    async def newer():
        begun.set()
        await go_on.wait()
        yield IMAGE[1000:]

    async def older():
        yield IMAGE[:1000]
        tasks.append(asyncio.create_task(folder.write(DIGEST, 1000, newer(), None)))
        await begun.wait()
        yield IMAGE[1000:1500]

    tasks: list[asyncio.Task[int]] = []
    with pytest.raises(OvertakenError, match="another request goes on"):
        await folder.write(DIGEST, 0, older(), None)
    go_on.set()
    assert await tasks[0] == len(IMAGE)
    assert await folder.settle(DIGEST)


async def test_coordinators_with_one_folder_never_write_into_each_others_uploads(tmp_path):
    one, other = ArtifactFolder(tmp_path), ArtifactFolder(tmp_path)

    async def first():
        yield IMAGE[:1000]
        assert await other.write(DIGEST, 1000, second(), None) == 2000
        # Its line was cut, and what it still had in hand comes after the newer request.
        yield IMAGE[1000:1500]

    async def second():
        yield IMAGE[1000:2000]

    async def rest():
        yield IMAGE[2000:]

    with pytest.raises(OvertakenError, match="another request goes on"):
        await one.write(DIGEST, 0, first(), None)
    await one.write(DIGEST, await one.received(DIGEST), rest(), None)
    assert await other.settle(DIGEST)


async def test_who_is_overtaken_through_another_coordinator_is_told_where_to_go_on(world):
    await world.post("/v1/artifacts", wish())
    other, begun = ArtifactFolder(world.place.directory.artifacts), limits.ARTIFACT_CHUNK_BYTES

    async def overtaken():
        yield IMAGE[:begun]
        async with asyncio.timeout(PATIENCE_S):
            while await other.received(DIGEST) < begun:
                await asyncio.sleep(0)
        await other.write(DIGEST, begun, piece(), None)
        yield IMAGE[begun : begun + 20]

    async def piece():
        yield IMAGE[begun : begun + 10]

    wrong = await send(world, overtaken(), 0)
    here = begun + 10
    assert (wrong.problem, wrong.headers["Upload-Offset"]) == ("conflict", str(here))
    assert (await send(world, IMAGE[here:], here)).json["complete"]
