"""Enrolment at a real coordinator: a claim lets a key in, once, and lost answers cost nothing."""

import json

import pytest

from coordinator.contract.fleet import ClaimFile
from shared import limits
from shared.trust.envelope import KeySigner
from tests.stores import ENGINES
from tests.system.coordinator_world import Gateway, open_world, rows


@pytest.fixture(params=ENGINES)
async def world(request, tmp_path):
    async with open_world(tmp_path, engine=request.param) as made:
        yield made


def box(world, claim, key=b"a"):
    return Gateway(world, KeySigner(key * 32), claim)


async def test_a_gateway_with_a_claim_becomes_an_agent_of_its_site(world):
    gateway = box(world, await world.claim(site="north"))
    await gateway.enroll("pump-house", {"role": "pump", "site": "elsewhere"})
    view = await world.read("/v1/agents/pump-house")
    assert view["state"] == "ENROLLED"
    assert view["labels"] == {"role": "pump", "site": "north"}, "the claim names the site"
    assert (await world.read("/v1/agents?selector=role=pump"))["items"][0]["id"] == "pump-house"


async def test_a_lost_answer_is_given_again(world):
    gateway = box(world, await world.claim())
    first, again = await gateway.enroll("pump"), await gateway.enroll("pump")
    assert first.body == again.body
    assert len((await world.read("/v1/agents"))["items"]) == 1


async def test_a_claim_lets_in_as_many_keys_as_it_says(world):
    claim = await world.claim(count=2)
    for key in (b"a", b"b"):
        assert (await box(world, claim, key).enroll()).status == 200
    third = await box(world, claim, b"c").enroll()
    assert (third.status, third.problem) == (403, "claim-invalid")
    assert (await box(world, claim, b"a").enroll()).status == 200, "it is in already"


async def test_a_name_that_is_taken_or_none_becomes_the_sites(world):
    claim = await world.claim(site="north", count=3)
    names = []
    for key, name in ((b"a", "pump"), (b"b", "pump"), (b"c", "No Name!")):
        gateway = box(world, claim, key)
        await gateway.enroll(name)
        names.append(gateway.name)
    assert names[0] == "pump"
    assert all(name.startswith("north-") for name in names[1:])
    assert len(set(names)) == 3


async def test_a_claim_that_nobody_made_lets_nobody_in(world):
    claim = await world.claim()
    forged = ClaimFile(
        **{name: getattr(claim, name) for name in claim.__struct_fields__ if name != "secret"},
        secret="00" * 32,
    )
    answered = await box(world, forged).enroll()
    assert (answered.status, answered.problem) == (403, "claim-invalid")


async def test_a_claim_that_is_over_lets_nobody_in(world):
    gateway = box(world, await world.claim())
    # The product makes no claim of the past; this one is set back instead.
    await rows(world.place, "UPDATE claim SET expires_ms = 1")
    refused = await gateway.enroll()
    assert (refused.status, refused.problem) == (403, "claim-invalid")


async def test_any_altered_byte_of_an_enrolment_lets_nobody_in(world):
    gateway = box(world, await world.claim())
    good = gateway.enrolment("pump", {"role": "pump"})
    for position in range(len(good)):
        altered = bytearray(good)
        altered[position] ^= 0x01
        answered = await world.send("/v1/enroll", bytes(altered))
        assert answered.status in {400, 403}, (position, answered)
    assert (await world.read("/v1/agents"))["items"] == []
    assert (await world.send("/v1/enroll", good)).status == 200


async def test_labels_that_no_selector_can_name_are_refused(world):
    gateway = box(world, await world.claim())
    for labels in ({"big pump": "x"}, {"role": "a b"}, {f"l{n}": "x" for n in range(40)}):
        answered = await gateway.enroll("pump", labels)
        assert (answered.status, answered.problem) == (400, "malformed")


async def test_a_revoked_key_stays_out_and_its_name_is_never_given_again(world):
    claim = await world.claim(count=3)
    gateway = box(world, claim)
    await gateway.enroll("pump")
    await world.post("/v1/agents/pump/revoke", {})
    answered = await gateway.enroll("pump")
    assert (answered.status, answered.problem) == (403, "agent-revoked")
    other = box(world, claim, b"b")
    await other.enroll("pump")
    assert other.name != "pump"


async def test_an_oversized_enrolment_is_refused(world):
    answered = await world.send("/v1/enroll", bytes(limits.REPORT_BYTES + 1))
    assert (answered.status, answered.problem) == (413, "too-large")


async def test_a_claim_over_rest_is_what_the_gateway_needs(world):
    answered = await world.post(
        "/v1/claims", {"site": "east", "count": 2, "url": "https://10.0.0.1:8443"}
    )
    claim = ClaimFile(**json.loads(answered.body))
    assert claim.url == "https://10.0.0.1:8443"
    assert claim.ca_pem == world.place.directory.authority.read_text()
    assert (await box(world, claim).enroll()).status == 200


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"site": "Not A Name"}, "site"),
        ({"site": "x" * 34}, "site"),
        ({"site": "north", "count": 0}, "count"),
        ({"site": "north", "expires_in_s": 1}, "expires_in_s"),
        ({"site": "north", "colour": "red"}, "colour"),
        ({"count": 1}, ""),
    ],
)
async def test_a_claim_that_cannot_be_meant_is_pointed_at(world, body, at):
    answered = await world.post("/v1/claims", body)
    assert (answered.status, answered.problem) == (422, "invalid")
    assert answered.json.get("at", "") == at


async def test_every_enrolment_is_in_the_audit_log(world):
    gateway = box(world, await world.claim())
    await gateway.enroll("pump")
    await world.post("/v1/agents/pump/revoke", {})
    entries = await rows(world.place, "SELECT action, object FROM audit ORDER BY number")
    actions = [action for action, _ in entries]
    assert actions == ["token.create", "claim.create", "agent.enroll", "agent.revoke"]
    assert entries[-1][1] == "agent:pump"
