"""Parcels at a coordinator that serves: beside the chain, and evidence against a copied machine."""

from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.contract.sticks import STICK_TYPE
from shared.ids import KeyId, key_id
from shared.sync.body import Part, PartKind
from shared.sync.stick import Direction, StickHeader, seal_parcel
from shared.trust.carried import CARRIED_TYP, Carried
from shared.trust.documents import Report, open_report
from shared.trust.envelope import seal
from shared.wire.codec import pack
from tests.stores import ENGINES
from tests.system.coordinator_world import Gateway, World, open_world
from tests.system.rest_client import Answered


@pytest.fixture(params=ENGINES)
async def world(request, tmp_path):
    async with open_world(tmp_path, engine=request.param) as made:
        yield made


@pytest.fixture
async def gateway(world):
    return await world.gateway("pump-station")


def beside(gateway: Gateway, blocks: dict[int, bytes] | None = None, **changes: Any) -> Report:
    """What the gateway would say on a stick now: it names its newest report."""
    frozen = gateway.report(blocks=blocks, **changes)
    report = open_report(frozen.envelope, gateway.signer.public_key)
    return replace(report, counter=gateway.counter, previous=gateway.previous)


async def carry(
    world: World, gateway: Gateway, report: Report, *blocks: bytes, number: int = 1, **other: Any
) -> Answered:
    root = gateway.root
    envelope = seal(CARRIED_TYP, pack(Carried(number, report)), [gateway.signer])
    parts = [Part(PartKind.CARRIED, envelope), *(Part(PartKind.BLOCK, data) for data in blocks)]
    to: dict[str, Any] = {
        "direction": Direction.UP,
        "fleet": root.fleet,
        "receiver": KeyId(key_id(root.carrier)),
    }
    header = StickHeader(**(to | other))
    body = header.encode() + seal_parcel(header, parts, root.carrier)
    return await world.request(
        "POST", "/v1/parcels", data=body, headers={"Content-Type": STICK_TYPE}
    )


async def test_a_stick_stands_beside_the_chain_and_counts_once(world, gateway):
    await gateway.contact()
    data = gateway.block(1.0, 2.0)
    first = beside(gateway, {1: data})
    assert (await carry(world, gateway, first, data)).json["readings"] == 2
    await gateway.contact()
    assert (await carry(world, gateway, first, data)).json["duplicates"] == 1
    reply, _ = await gateway.contact(blocks={1: data})
    assert reply.acked == [(1, 1)]
    view = await world.read("/v1/agents/pump-station")
    assert (view["state"], view["refused_here"]) == ("ONLINE", {})


async def test_a_copied_machine_gives_itself_away_by_its_sticks(world, gateway):
    await gateway.contact()
    honest, copy = beside(gateway), replace(beside(gateway), previous=b"c" * 32)
    assert (await carry(world, gateway, honest)).status == 200
    assert (await world.read("/v1/agents/pump-station"))["state"] == "ONLINE"
    data = gateway.block(1.0)
    evil = replace(copy, blocks=beside(gateway, {1: data}).blocks)
    assert (await carry(world, gateway, evil, data)).json["readings"] == 1, "it is heard"
    view = await world.read("/v1/agents/pump-station")
    assert (view["state"], view["refused_here"]) == ("QUARANTINED", {"chain_forked": 1})
    job = await world.submit("pump-station")
    answered = await world.request(
        "POST", "/v1/agents/pump-station/stick", data=b"", headers={"Content-Type": STICK_TYPE}
    )
    assert answered.headers["Outstation-Executions"] == "0", job


async def test_an_older_stick_replaces_no_newer_account(world, gateway):
    await gateway.contact()
    assert (await carry(world, gateway, beside(gateway, boot_id=b"n" * 16), number=2)).status == 200
    assert (await carry(world, gateway, beside(gateway, boot_id=b"o" * 16), number=1)).status == 200
    assert (await world.read("/v1/agents/pump-station"))["clock"]["boot"] == (b"n" * 16).hex()
    before = beside(gateway, boot_id=b"b" * 16)
    await gateway.contact()
    assert (await carry(world, gateway, before, number=3)).status == 200
    view = await world.read("/v1/agents/pump-station")
    assert view["clock"]["boot"] != (b"b" * 16).hex(), "the link was heard since"


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"direction": Direction.DOWN}, "malformed"),
        ({"fleet": b"x" * 16}, "wrong-fleet"),
        ({"receiver": KeyId(b"x" * 8)}, "malformed"),
    ],
)
async def test_a_stick_for_somebody_else_is_refused(world, gateway, other, problem):
    refused = await carry(world, gateway, beside(gateway), **other)
    assert refused.problem == problem
    assert (await world.read("/v1/agents/pump-station"))["last_contact_at"] is None


async def test_gaps_are_asked_for_until_they_are_closed_or_given_up(world, gateway):
    """Each contact closes one at least, oldest first: it ends."""
    made = {seq: gateway.block(float(seq)) for seq in range(1, 301)}
    held = {seq: data for seq, data in made.items() if seq % 3}
    reply, _ = await gateway.contact()
    contacts, gone = 0, []
    while True:
        contacts += 1
        assert contacts < 60, "it goes on and on"
        asked = [seq for first, last in reply.wanted for seq in range(first, last + 1)]
        again = {seq: held[seq] for seq in asked if seq in held}
        gone = [(seq, seq) for seq in asked if seq not in held][:16]
        if contacts > 1 and not asked:
            break
        blocks = dict(list(again.items())[:100])
        reply, _ = await gateway.contact(blocks=blocks, gone=gone)
    view = await world.read("/v1/agents/pump-station")
    assert view["blocks_received"] == len(held)
    assert view["missing_blocks"] == []
    assert view["gone_blocks"] == [[seq, seq] for seq in range(3, 301, 3)]
