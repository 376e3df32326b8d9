"""Reports that nobody may believe: altered, of others, of nobody, malformed, too large."""

import io

import pytest

from shared import limits
from shared.sync.body import Part, PartKind, encode_body
from shared.trust.envelope import KeySigner
from shared.wire.messages import LossRow, Tally
from tests.system.coordinator_world import body


async def test_lost_reports_in_between_are_no_offence(world, gateway):
    await gateway.contact()
    gateway.counter += 3
    reply, _ = await gateway.contact(previous=b"y" * 32)
    assert reply.agent == "pump-station"


async def test_any_altered_byte_of_a_report_is_refused_and_uses_nothing(world, gateway):
    block = gateway.block(1.0)
    frozen = gateway.report(blocks={1: block})
    for position in range(len(frozen.envelope)):
        altered = bytearray(frozen.envelope)
        altered[position] ^= 0x01
        answered = await world.sync(body(bytes(altered), block))
        assert answered.status in {400, 403}, (position, answered)
        assert answered.problem in {"malformed", "signature-invalid", "agent-unknown"}
    view = await world.read("/v1/agents/pump-station")
    assert view["last_contact_at"] is None
    assert view["blocks_received"] == 0


async def test_another_agents_key_cannot_speak_for_this_one(world, gateway):
    other = await world.gateway("other", site="south")
    forged = await world.sync(body(gateway.report(signer=other.signer)))
    assert (forged.status, forged.problem) == (403, "signature-invalid")


async def test_a_report_for_another_fleet_is_refused(world, gateway):
    answered = await world.sync(body(gateway.report(fleet=b"F" * 16)))
    assert (answered.status, answered.problem) == (403, "wrong-fleet")


async def test_an_agent_nobody_enrolled_is_refused(world, gateway):
    stranger = gateway.report(agent="stranger", signer=KeySigner(b"s" * 32))
    answered = await world.sync(body(stranger))
    assert (answered.status, answered.problem) == (403, "agent-unknown")


async def test_a_revoked_agent_is_refused_from_its_next_contact_on(world, gateway):
    await gateway.contact()
    assert (await world.post("/v1/agents/pump-station/revoke", {})).status == 200
    answered = await world.sync(body(gateway.report()))
    assert (answered.status, answered.problem) == (403, "agent-revoked")
    assert (await world.read("/v1/agents/pump-station"))["state"] == "REVOKED"


@pytest.mark.parametrize(
    "changes",
    [
        {"telemetry_epoch": b"short"},
        {"jobs_epoch": b""},
        {"boot_id": b"b" * 17},
        {"tally": Tally(1, 2, -3, 4, 5)},
        {"counter": -1},
        {"next_block": 0},
        {"ledger": [LossRow(1, 601, 0, 9, -7)]},
        {"ledger": [LossRow(0, 601, 0, 9, 7)]},
    ],
)
async def test_values_that_no_agent_can_mean_are_refused(world, gateway, changes):
    answered = await world.sync(body(gateway.report(**changes)))
    assert (answered.status, answered.problem) == (400, "malformed")
    assert answered.json["reason"] == "bad_schema"


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        [PartKind.BLOCK],
        [PartKind.BLOCK, PartKind.REPORT],
        [PartKind.REPORT, PartKind.REPORT],
        [PartKind.REPORT, PartKind.REPLY],
        [PartKind.REPORT, PartKind.BUNDLE],
    ],
)
async def test_a_contact_is_one_report_then_blocks_and_schemas(world, gateway, kinds):
    frozen = gateway.report()
    sent = encode_body([Part(kind, frozen.envelope) for kind in kinds])
    answered = await world.sync(sent)
    assert (answered.status, answered.problem) == (400, "malformed")


@pytest.mark.parametrize("sent", [b"", b"OS", b"OS\x01\x01", b"GET / HTTP/1.1", b"OS\x01\x63\x00"])
async def test_what_is_no_contact_is_malformed(world, sent):
    answered = await world.sync(sent)
    assert (answered.status, answered.problem) == (400, "malformed")


async def test_a_body_over_its_bound_is_refused_before_it_is_read(world):
    whole = io.BytesIO(b"OS\x01" + bytes(limits.BODY_BYTES_UP))
    announced = await world.send("/v1/sync", whole)
    assert (announced.status, announced.problem) == (413, "too-large")

    async def endless():
        yield b"OS\x01"
        for _ in range(limits.BODY_BYTES_UP // 65_536 + 2):
            yield b"\x02\x80\x80\x7f" + bytes(65_536)

    chunked = await world.send("/v1/sync", endless())
    assert (chunked.status, chunked.problem) == (413, "too-large")


async def test_a_contact_has_a_type_of_its_own(world, gateway):
    answered = await world.send("/v1/sync", body(gateway.report()), content_type="application/json")
    assert (answered.status, answered.problem) == (415, "wrong-media-type")
