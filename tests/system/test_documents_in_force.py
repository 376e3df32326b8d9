"""A coordinator that runs takes newer documents, and every agent follows at its next contact."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.services.enroll import _accept, _request, load_claim
from agent.services.identity import Enrolment
from coordinator.__main__ import main
from coordinator.keys.file_keys import FileSigner
from coordinator.services.bell import Bell, ring
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.sync.body import PartKind, decode_body
from shared.trust.admission import admit_bundle, admit_reply
from shared.trust.documents import BUNDLE_TYP, open_bundle
from shared.trust.envelope import seal
from shared.wire.codec import pack
from tests.system.coordinator_world import World, body, found_in, open_world, parts_of, serving


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


async def typed(world: World, *words: object) -> None:
    """Type a command at the coordinator's own terminal, while it runs."""
    arguments = [*map(str, words), "--data", str(world.place.directory.path)]
    assert await asyncio.to_thread(main, arguments) == 0


async def published(world: World, kind: str, text: str) -> None:
    file = world.place.directory.path.parent / "text.toml"
    file.write_text(text)
    await typed(world, kind, "publish", file)


def directors(world: World) -> list[Path]:
    return world.place.directory.director_keys()


CAREFUL = '[action."device.read"]\nparameters.points = { names = 3 }\n'


async def test_agents_follow_a_new_catalog_and_a_new_policy(world, capsys):
    gateway = await world.gateway()
    await gateway.contact()
    assert gateway.trust.catalog_version == 1
    await published(world, "catalog", CAREFUL)
    await published(world, "policy", '[class.observe]\nactions."device.read" = []\n')
    await gateway.contact()
    assert (gateway.trust.catalog_version, gateway.trust.policy_version) == (2, 2)
    assert not gateway.trust.catalog.document.any_profile
    view = await world.read("/v1/status")
    assert not any("any device may be written" in warning for warning in view["warnings"])


async def test_a_held_contact_brings_news_at_once(world, capsys):
    gateway = await world.gateway()
    await gateway.contact()
    held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
    while not (await world.read(f"/v1/agents/{gateway.name}"))["link"]["waiting"]:
        await asyncio.sleep(0)
    await published(world, "catalog", CAREFUL)
    reply, _ = await held
    assert gateway.trust.catalog_version == 2
    assert reply.held_ms < limits.WAIT_S * 1000


async def test_an_agent_is_led_through_all_roots_that_it_missed(world, capsys):
    behind, claim = await world.gateway(), await world.claim()
    await behind.contact()
    for _ in range(2):
        await typed(world, "rotate", "director")
        await typed(world, "rotate", "root")
        await typed(world, "rotate", "release")
    await typed(world, "root", "renew")
    await behind.contact()
    assert behind.trust.root.version == 8
    assert (behind.trust.catalog_version, behind.trust.policy_version) == (3, 3)
    job = await world.submit(behind.name)
    admitted = await behind.ordered()
    assert [one.spec.name for one in admitted.jobs] == [job["name"]]
    assert claim.root_bytes() != (await world.claim()).root_bytes()


async def test_a_claim_survives_any_number_of_new_roots(world, capsys):
    gateway = await world.gateway()
    file = world.place.directory.path.parent / "claim.json"
    place = ["claim", "create", "--site", "north", file]
    await typed(world, *place)
    for _ in range(3):
        await typed(world, "rotate", "director")
    claim = load_claim(file, now_ms=WallMs(0))
    answered = await world.send("/v1/enroll", _request(claim, "box", {}, gateway.signer))
    enrolment = _accept(answered.body, claim, world.url, {})
    assert isinstance(enrolment, Enrolment)
    assert enrolment.root.version == 4


async def test_a_stolen_director_orders_nothing_after_its_revocation(world, capsys):
    gateway = await world.gateway()
    await gateway.contact()
    (path,) = directors(world)
    thief = FileSigner(path)
    await world.submit(gateway.name)
    frozen = gateway.report()
    answered = await world.sync(body(frozen))
    parts = decode_body(answered.body, bound=1 << 20)
    ((_, envelope),) = parts_of(parts, PartKind.BUNDLE)
    bundle = open_bundle(envelope, gateway.root)
    stolen = seal(BUNDLE_TYP, pack(bundle), [thief])
    admit_bundle(stolen, gateway.held)

    (key,) = gateway.root.roles["director"].keys
    await typed(world, "revoke", key.hex())
    assert thief.path not in directors(world), "and it is gone from this machine"
    await gateway.contact()
    assert (gateway.root.version, gateway.root.epoch) == (2, 2)
    with pytest.raises(RefusedError) as refusal:
        admit_bundle(stolen, gateway.held)
    assert refusal.value.reason is Reason.THRESHOLD_NOT_MET
    ((_, sealed_reply),) = parts_of(parts, PartKind.REPLY)
    with pytest.raises(RefusedError):
        admit_reply(sealed_reply, gateway.held, report_hash=frozen.digest)
    await world.submit(gateway.name)
    assert (await gateway.ordered()).jobs, "the real one goes on ordering"


async def test_a_coordinator_starts_with_the_key_its_newest_root_names(tmp_path, capsys):
    place = await found_in(tmp_path)
    data = str(place.directory.path)
    assert await asyncio.to_thread(main, ["rotate", "director", "--data", data]) == 0
    async with serving(place):
        pass
    for path in place.directory.director_keys():
        path.unlink()
    with pytest.raises(MistakeError, match="holds no director's key"):
        async with serving(place):
            pass


async def test_documents_that_do_not_verify_never_reach_an_agent(world, caplog):
    gateway = await world.gateway()
    await gateway.contact()
    with closing(sqlite3.connect(world.place.database)) as connection, connection:
        connection.execute(
            "INSERT INTO document (kind, epoch, version, envelope, saved_ms) "
            "SELECT kind, epoch, 2, x'00', saved_ms FROM document WHERE kind = 'catalog'"
        )
    caplog.set_level("ERROR")
    assert ring(world.place.directory.bell)
    while "documents_unusable" not in caplog.text:
        await asyncio.sleep(0)
    await gateway.contact()
    assert gateway.trust.catalog_version == 1
    assert (await world.get("/readyz")).status == 200


async def test_nobody_hears_a_bell_where_nothing_runs(tmp_path):
    assert not ring(tmp_path / "bell")
    bell = Bell()
    with bell.hung_at(tmp_path / "bell"):
        for _ in range(70_000):
            assert ring(tmp_path / "bell"), "a full pipe has been rung enough"
        await bell.wait(60)
    assert not ring(tmp_path / "bell")
    (tmp_path / "file").write_text("x")
    with pytest.raises(MistakeError, match="is not the pipe"), bell.hung_at(tmp_path / "file"):
        pass
