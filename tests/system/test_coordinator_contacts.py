"""Contacts with a real coordinator: what is committed is acknowledged, and nothing else is."""

import asyncio
import io

import pytest

from shared import limits
from shared.errors import Reason
from shared.ids import StoreEpoch, parse_uuid
from shared.model.job import ExecutionState, TaskState
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.trust.envelope import KeySigner
from shared.wire.messages import LossRow, Tally
from tests.stores import ENGINES
from tests.system.coordinator_world import NOW_MS, SCHEMA, body, open_world

_X = ExecutionState


@pytest.fixture(params=ENGINES)
async def world(request, tmp_path):
    async with open_world(tmp_path, engine=request.param) as made:
        yield made


@pytest.fixture
async def gateway(world):
    return await world.gateway("pump-station")


async def test_a_committed_block_is_acknowledged_and_can_be_read(world, gateway):
    block = gateway.block(1.5, 2.5)
    reply, _ = await gateway.contact(blocks={1: block}, schemas=[SCHEMA.encode()])
    assert reply.acked == [(1, 1)]
    assert reply.nacked == []
    assert reply.schemas_wanted == []
    view = await world.read("/v1/readings?agent=pump-station")
    assert view["series"][0]["values"] == [1.5, 2.5]
    assert view["series"][0]["point"] == "current"


async def test_a_block_whose_schema_is_unknown_is_kept_and_the_schema_asked_for(world, gateway):
    reply, _ = await gateway.contact(blocks={1: gateway.block(1.0)})
    assert reply.acked == [(1, 1)]
    assert reply.schemas_wanted == [SCHEMA.hash[:4]]
    assert (await world.read("/v1/readings"))["undecoded_blocks"] == 1
    reply, _ = await gateway.contact(schemas=[SCHEMA.encode()])
    assert reply.schemas_wanted == []
    assert (await world.read("/v1/readings"))["readings"] == 1


async def test_a_schema_that_no_block_waits_for_is_not_kept(world, gateway):
    await gateway.contact(schemas=[SCHEMA.encode()])
    reply, _ = await gateway.contact(blocks={1: gateway.block(1.0)})
    assert reply.schemas_wanted == [SCHEMA.hash[:4]]


async def test_a_schema_that_no_report_vouches_for_is_ignored_and_counted(world, gateway):
    """Whoever carries a contact must not be able to rename what a site measures."""
    forged = [SCHEMA.encode()]
    block = gateway.block(1.0)
    reply, _ = await gateway.contact(blocks={1: block}, schemas=forged, vouched=[])
    assert reply.acked == [(1, 1)], "the block is vouched for"
    assert reply.schemas_wanted == [SCHEMA.hash[:4]], "its schema is still asked for"
    view = await world.read("/v1/agents/pump-station")
    assert view["refused_here"] == {"schema_not_announced": 1}
    reply, _ = await gateway.contact(schemas=forged)
    assert reply.schemas_wanted == []


async def test_a_malformed_schema_is_asked_for_again(world, gateway):
    reply, _ = await gateway.contact(blocks={1: gateway.block(1.0)}, schemas=[b"\x91\x00"])
    assert reply.acked == [(1, 1)]
    assert reply.schemas_wanted == [SCHEMA.hash[:4]]


async def test_the_same_block_twice_counts_once(world, gateway):
    block = gateway.block(1.0, 2.0)
    await gateway.contact(blocks={1: block})
    reply, _ = await gateway.contact(blocks={1: block})
    assert reply.acked == [(1, 1)]
    view = await world.read("/v1/agents/pump-station")
    assert view["tally"]["delivered"] == 2
    assert view["blocks_received"] == 1


async def test_the_same_number_with_other_bytes_is_refused_and_kept_aside(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1.0, seq=1)}, schemas=[SCHEMA.encode()])
    reply, _ = await gateway.contact(blocks={1: gateway.block(9.0, seq=1)})
    assert reply.nacked == [(1, Reason.BLOCK_CONFLICT)]
    assert (await world.read("/v1/readings"))["series"][0]["values"] == [1.0]
    status = await world.read("/v1/status")
    assert status["readings"]["conflicts"] == 1
    assert status["refused"] == {"block_conflict": 1}


async def test_bytes_that_no_report_vouches_for_are_ignored_and_counted(world, gateway):
    good = gateway.block(1.0)
    frozen = gateway.report(blocks={1: good})
    altered = bytearray(good)
    altered[-1] ^= 1
    answered = await world.sync(body(frozen, bytes(altered)))
    reply, _ = gateway.answered_by(frozen, answered)
    assert reply.acked == []
    assert reply.nacked == []
    view = await world.read("/v1/agents/pump-station")
    assert view["refused_here"] == {"block_not_announced": 1}
    reply, _ = await gateway.contact(blocks={1: good})
    assert reply.acked == [(1, 1)]


async def test_a_broken_block_that_its_agent_vouches_for_is_refused_for_good(world, gateway):
    broken = gateway.block(1.0)[:-1]
    reply, _ = await gateway.contact(blocks={1: broken})
    assert reply.acked == []
    assert [seq for seq, _ in reply.nacked] == [1]
    assert (await world.read("/v1/readings"))["undecoded_blocks"] == 0


async def test_a_block_of_another_store_is_refused(world, gateway):
    stranger = gateway.block(1.0)
    gateway.telemetry_epoch = StoreEpoch(b"U" * 16)
    reply, _ = await gateway.contact(blocks={1: stranger})
    assert reply.nacked == [(1, Reason.BLOCK_EPOCH)]


async def test_a_new_store_begins_its_numbers_again(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1.0)})
    gateway.telemetry_epoch, gateway.next_block = StoreEpoch(b"U" * 16), 1
    reply, _ = await gateway.contact(blocks={1: gateway.block(2.0)})
    assert reply.acked == [(1, 1)]
    view = await world.read("/v1/agents/pump-station")
    assert view["blocks_received"] == 2
    assert view["store_epochs"] == 2
    assert view["tally"]["delivered"] == 1


async def test_blocks_in_any_order_leave_no_gap_unseen(world, gateway):
    blocks = {seq: gateway.block(float(seq)) for seq in (1, 2, 3, 4, 5)}
    reply, _ = await gateway.contact(blocks={5: blocks[5], 2: blocks[2]})
    assert reply.acked == [(2, 2), (5, 5)]
    view = await world.read("/v1/agents/pump-station")
    assert view["missing_blocks"] == [[1, 1], [3, 4]]
    reply, _ = await gateway.contact(blocks={4: blocks[4], 1: blocks[1], 3: blocks[3]})
    assert reply.acked == [(1, 1), (3, 4)]
    assert (await world.read("/v1/agents/pump-station"))["missing_blocks"] == []


async def test_a_lost_answer_is_given_again_and_nothing_is_stored_twice(world, gateway):
    blocks = {1: gateway.block(1.0)}
    frozen = gateway.report(blocks=blocks, ledger=[LossRow(1, 601, 0, 9, 7)])
    sent = body(frozen, blocks[1])
    first = await world.sync(sent)
    again, _ = gateway.answered_by(frozen, await world.sync(sent))
    lost, _ = gateway.answered_by(frozen, first)
    assert again.acked == lost.acked == [(1, 1)]
    assert again.ledger_to == lost.ledger_to == 1
    status = await world.read("/v1/status")
    assert status["readings"]["delivered"] == 1
    assert status["readings"]["lost"] == 7


async def test_a_repeated_report_may_bring_other_blocks_of_those_it_announced(world, gateway):
    blocks = {1: gateway.block(1.0), 2: gateway.block(2.0)}
    frozen = gateway.report(blocks=blocks)
    await world.sync(body(frozen, blocks[1]))
    reply, _ = gateway.answered_by(frozen, await world.sync(body(frozen, blocks[2])))
    assert reply.acked == [(1, 2)]


async def test_an_older_report_moves_nothing_on_and_its_readings_are_taken_in(world, gateway):
    blocks = {1: gateway.block(1.0)}
    gateway.tally = Tally(9, 0, 0, 9, 0)
    old = gateway.report(blocks=blocks)
    gateway.answered_by(old, await world.sync(body(old)))
    gateway.tally = Tally(10, 0, 0, 10, 0)
    await gateway.contact()
    await world.submit("pump-station")
    replayed = await world.sync(body(old, blocks[1]))
    kinds = [part.kind for part in decode_body(replayed.body, bound=1 << 20)]
    assert PartKind.BUNDLE not in kinds, "whoever replays gets no work"
    view = await world.read("/v1/agents/pump-station")
    assert view["blocks_received"] == 1
    assert view["agent_says"]["sampled"] == 10
    assert view["refused_here"] == {"report_stale": 1}
    assert view["state"] == "ONLINE"
    assert len((await gateway.ordered()).jobs) == 1


async def test_a_clone_is_quarantined_and_both_branches_are_taken_in(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1.0, seq=1)}, schemas=[SCHEMA.encode()])
    clone = gateway.report(wall_ms=NOW_MS + 1)
    await gateway.contact()
    await world.submit("pump-station")
    answered = await world.sync(body(clone))
    assert answered.status == 200
    view = await world.read("/v1/agents/pump-station")
    assert view["state"] == "QUARANTINED"
    assert view["refused_here"] == {"chain_forked": 1}
    assert (await world.read("/v1/status"))["agents"] == {"QUARANTINED": 1}
    _, none = await gateway.contact()
    assert none is None, "neither of the two is given work"
    mine, theirs = gateway.block(2.0, seq=2), gateway.block(3.0, seq=2)
    reply, _ = await gateway.contact(blocks={2: mine})
    assert reply.acked == [(2, 2)]
    reply, _ = await gateway.contact(blocks={2: theirs})
    assert (reply.acked, reply.nacked) == ([(2, 2)], [])
    assert (await world.read("/v1/status"))["readings"]["conflicts"] == 1


async def test_an_admin_ends_a_quarantine_and_a_clone_gives_itself_away_again(world, gateway):
    await gateway.contact()
    clone = gateway.report(wall_ms=NOW_MS + 1)
    await gateway.contact()
    await world.sync(body(clone))
    await world.submit("pump-station")
    assert (await world.post("/v1/agents/nobody/release", {})).status == 404
    released = await world.post("/v1/agents/pump-station/release", {})
    assert (released.status, released.json["state"]) == (200, "ONLINE")
    assert len((await gateway.ordered()).jobs) == 1
    twin = gateway.report(wall_ms=NOW_MS + 2)
    await gateway.contact()
    await world.sync(body(twin))
    assert (await world.read("/v1/agents/pump-station"))["state"] == "QUARANTINED"


async def test_an_agent_that_lost_its_store_gets_work_once_it_answered_an_answer(world, gateway):
    await gateway.contact()
    await world.submit("pump-station")
    gateway.jobs_epoch, gateway.counter, gateway.previous = b"K" * 16, 40, b""
    gateway.answered = b""
    _, none = await gateway.contact()
    assert none is None, "it may be a replay from before memory"
    assert len((await gateway.ordered()).jobs) == 1
    assert (await world.read("/v1/agents/pump-station"))["state"] == "ONLINE"


async def test_an_agent_without_counters_is_told_where_to_go_on(world, gateway):
    await gateway.contact()
    await world.submit("pump-station")
    assert (await gateway.ordered()).seq == 1
    reply, none = await gateway.contact(attested=False)
    assert none is None
    assert reply.floor is not None
    assert (reply.floor.bundle_seq, reply.floor.counter) == (1, 3)
    assert (reply.floor.catalog_version, reply.floor.policy_version) == (1, 1)
    reply, _ = await gateway.contact()
    assert reply.floor is None


async def test_documents_come_until_the_agent_says_it_has_them(world, gateway):
    lacking = gateway.report()
    first = decode_body((await world.sync(body(lacking))).body, bound=1 << 20)
    assert [part.kind for part in first] == [PartKind.REPLY, PartKind.CATALOG, PartKind.POLICY]
    await gateway.contact()
    frozen = gateway.report()
    later = decode_body((await world.sync(body(frozen))).body, bound=1 << 20)
    assert [part.kind for part in later] == [PartKind.REPLY]


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


async def test_the_account_of_readings_closes(world, gateway):
    blocks = {1: gateway.block(1.0, 2.0), 2: gateway.block(3.0)}
    gateway.tally = Tally(sampled=20, suppressed=10, delivered=0, stored=8, lost=2)
    await gateway.contact(blocks={1: blocks[1]}, ledger=[LossRow(1, 601, 0, 9, 2)])
    view = await world.read("/v1/agents/pump-station")
    assert view["tally"] == {
        "sampled": 20, "suppressed": 10, "delivered": 2, "stored": 6, "lost": 2,
    }  # fmt: skip
    assert view["agent_says"]["stored"] == 8
    assert view["balanced"] is True
    # The agent claims more to be delivered than was ever committed here: that must show.
    gateway.tally = Tally(sampled=20, suppressed=10, delivered=8, stored=0, lost=2)
    await gateway.contact()
    assert (await world.read("/v1/agents/pump-station"))["balanced"] is False


# --- work ---------------------------------------------------------------------------------------
async def test_a_job_reaches_its_agent_and_its_receipts_come_back(world, gateway):
    job = await world.submit("pump-station")
    admitted = await gateway.ordered()
    execution = admitted.jobs[0].execution
    assert admitted.jobs[0].spec.name == "look"
    receipts = [
        gateway.receipt(1, execution, _X.DELIVERED),
        gateway.receipt(2, execution, TaskState.RUNNING, device="pump-1"),
        gateway.receipt(3, execution, _X.IN_PROGRESS),
        gateway.receipt(4, execution, TaskState.DONE, device="pump-1", result={"look.i": 4.5}),
        gateway.receipt(5, execution, _X.SUCCEEDED),
    ]
    reply, _ = await gateway.contact(receipts=receipts)
    assert reply.receipts_to == 5
    page = await world.read(f"/v1/executions?job={job['id']}")
    shown = page["items"][0]
    assert shown["state"] == "SUCCEEDED"
    assert shown["tasks"][0]["result"] == {"look.i": 4.5}
    history = (await world.read(f"/v1/executions/{shown['id']}"))["history"]
    assert [fact["number"] for fact in history] == [1, 2, 3, 4, 5]
    done = await world.read(f"/v1/jobs/{job['id']}")
    assert (done["state"], done["counts"]) == ("COMPLETED", {"SUCCEEDED": 1})


async def test_receipts_out_of_order_and_twice_end_the_same(world, gateway):
    job = await world.submit("pump-station")
    admitted = await gateway.ordered()
    execution = admitted.jobs[0].execution
    facts = {
        number: gateway.receipt(number, execution, state)
        for number, state in enumerate((_X.DELIVERED, _X.IN_PROGRESS, _X.HELD, _X.FAILED), 1)
    }
    reply, _ = await gateway.contact(receipts=[facts[4], facts[2]])
    assert reply.receipts_to == 0
    reply, _ = await gateway.contact(receipts=[facts[2], facts[1]])
    assert reply.receipts_to == 2
    reply, _ = await gateway.contact(receipts=[facts[3], facts[4]])
    assert reply.receipts_to == 4
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert shown["state"] == "FAILED"


async def test_a_receipt_about_somebody_elses_execution_changes_nothing(world, gateway):
    other = await world.gateway("other", site="south")
    job = await world.submit("other")
    admitted = await other.ordered()
    execution = admitted.jobs[0].execution
    reply, _ = await gateway.contact(receipts=[gateway.receipt(1, execution, _X.SUCCEEDED)])
    assert reply.receipts_to == 1, "what cannot be used must not stand before what can"
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert shown["state"] == "QUEUED"


async def test_a_signed_job_whose_answer_was_lost_is_signed_again_under_a_higher_number(
    world, gateway
):
    await world.submit("pump-station")
    frozen = gateway.report()
    lost = await world.sync(body(frozen))
    _, again = gateway.answered_by(frozen, await world.sync(body(frozen)))
    gateway.bundle_seq = 0
    _, first = gateway.answered_by(frozen, lost)
    assert first
    assert again
    assert (first.seq, again.seq) == (1, 2)
    assert first.jobs[0].execution == again.jobs[0].execution


async def test_an_unconfirmed_job_is_not_signed_again_at_every_contact(world, gateway):
    await world.submit("pump-station")
    await gateway.ordered()
    _, more = await gateway.contact()
    assert more is None, "a gateway whose queue is full would be answered for ever"


async def test_jobs_that_do_not_fit_into_one_bundle_come_with_the_next(world, gateway):
    points = ["p" * 39] * 380
    step = {"id": "look", "action": "device.read", "params": {"points": points}}
    for _ in range(20):
        await world.submit("pump-station", steps=[step])
    first, second = await gateway.ordered(), await gateway.ordered()
    assert 0 < len(first.jobs) < 20
    executions = {job.execution for job in (*first.jobs, *second.jobs)}
    assert len(executions) == 20


async def test_a_confirmed_job_is_not_signed_again(world, gateway):
    await world.submit("pump-station")
    admitted = await gateway.ordered()
    receipt = gateway.receipt(1, admitted.jobs[0].execution, _X.DELIVERED)
    _, more = await gateway.contact(receipts=[receipt])
    assert more is None


async def test_another_agents_job_is_never_in_the_bundle(world, gateway):
    other = await world.gateway("other", site="south")
    await world.submit("other", name="theirs")
    _, none = await gateway.contact()
    assert none is None
    await world.submit("pump-station", name="ours")
    assert [job.spec.name for job in (await gateway.ordered()).jobs] == ["ours"]
    assert [job.spec.name for job in (await other.ordered()).jobs] == ["theirs"]


async def test_a_held_contact_is_answered_when_a_job_is_submitted(world, gateway):
    await gateway.contact()
    held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    await world.submit("pump-station")
    reply, admitted = await held
    assert admitted
    assert len(admitted.jobs) == 1
    assert reply.held_ms < limits.WAIT_S * 1000


async def test_a_held_contact_of_an_agent_that_is_revoked_gets_no_work(world, gateway):
    await gateway.contact()
    frozen = gateway.report()
    held = asyncio.create_task(world.sync(body(frozen), wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    await world.post("/v1/agents/pump-station/revoke", {})
    answered = await held
    assert (answered.status, answered.problem) == (403, "agent-revoked")


async def test_a_contact_that_says_something_is_answered_at_once(world, gateway):
    reply, _ = await gateway.contact(blocks={1: gateway.block(1.0)}, wait=limits.WAIT_S)
    assert reply.held_ms == 0
    await gateway.contact(schemas=[SCHEMA.encode()], wait=limits.WAIT_S)


async def test_a_wait_beyond_the_bound_is_refused(world, gateway):
    answered = await world.sync(body(gateway.report()), wait=limits.WAIT_S + 1)
    assert (answered.status, answered.problem) == (422, "invalid")
    assert answered.json["at"] == "query.wait"


async def test_a_gateway_that_hangs_up_leaves_no_wait_behind(world, gateway):
    # The first contact brings documents, so it is never held.
    await gateway.contact()
    held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    held.cancel()
    await asyncio.wait((held,))
    # Half of the wait that was asked for: only a wait that outlives its gateway takes longer.
    async with asyncio.timeout(limits.WAIT_S / 2):
        while (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
            await asyncio.sleep(0)
    # The answer it never got is given again.
    frozen = gateway.report()
    gateway.answered_by(frozen, await world.sync(body(frozen)))


async def test_a_job_past_its_time_is_never_signed(world, gateway):
    job = await world.submit("pump-station", expires_in_s=1)
    done = await world.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=30"})
    assert done.json["counts"] == {"EXPIRED": 1}
    assert done.json["state"] == "COMPLETED"
    _, none = await gateway.contact()
    assert none is None


async def test_a_late_receipt_wins_over_what_was_supposed(world, gateway):
    job = await world.submit("pump-station", expires_in_s=1)
    admitted = await gateway.ordered()
    supposed = await world.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=30"})
    assert supposed.json["counts"] == {"OVERDUE": 1}
    receipt = gateway.receipt(1, admitted.jobs[0].execution, _X.SUCCEEDED)
    await gateway.contact(receipts=[receipt])
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert (shown["state"], shown["late"]) == ("SUCCEEDED", True)
    assert parse_uuid(shown["id"], what="an execution") == admitted.jobs[0].execution


# --- health ---------------------------------------------------------------------------------------
async def test_how_a_box_says_it_is_is_shown_until_it_says_something_else(world, gateway):
    await gateway.contact()
    assert (await world.read("/v1/agents/pump-station"))["health"] is None
    await gateway.contact(health=[1, 0, 40, 7_200, 512, 12, 501, 99])
    await gateway.contact()
    health = (await world.read("/v1/agents/pump-station"))["health"]
    assert health["waiting"] == {"0": 1, "1": 0, "2": 40}
    assert (health["oldest_s"], health["free_mb"]) == (7_200, 512)
    assert (health["today_kb"], health["budget_permille"]) == (12, 501)


async def test_health_that_is_no_health_is_refused(world, gateway):
    for health in ([-1], [0] * 33):
        frozen = gateway.report(health=health)
        assert (await world.sync(body(frozen))).status == 400
