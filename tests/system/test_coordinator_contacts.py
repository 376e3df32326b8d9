"""Contacts with a real coordinator: what is committed is acknowledged, and nothing else is."""

from shared.errors import Reason
from shared.ids import StoreEpoch
from shared.sync.body import PartKind, decode_body
from shared.wire.messages import LossRow, Tally
from tests.system.coordinator_world import NOW_MS, SCHEMA, body


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


# --- health ---------------------------------------------------------------------------------------
async def test_how_a_box_says_it_is_is_shown_until_it_says_something_else(world, gateway):
    await gateway.contact()
    assert (await world.read("/v1/agents/pump-station"))["health"] is None
    await gateway.contact(health=[1, 0, 40, 7_200, 512, 12, 501, 2, 430, 1, 70, 99])
    await gateway.contact()
    health = (await world.read("/v1/agents/pump-station"))["health"]
    assert health["waiting"] == {"0": 1, "1": 0, "2": 40}
    assert (health["oldest_s"], health["free_mb"]) == (7_200, 512)
    assert (health["today_kb"], health["budget_permille"]) == (12, 501)
    moving = health["moving"]
    assert moving.pop("at") == health["at"]
    share = {"files": 2, "file_permille": 430, "images": 1, "image_permille": 70}
    assert moving == {**share, "into": []}, "an agent of before names none"
    await gateway.contact(health=[1, 0, 40, 7_200, 512, 12, 501])
    assert (await world.read("/v1/agents/pump-station"))["health"]["moving"] is None


async def test_health_that_is_no_health_is_refused(world, gateway):
    for health in ([-1], [0] * 33):
        frozen = gateway.report(health=health)
        assert (await world.sync(body(frozen))).status == 400
