"""The simulated fleet: blocks like the codec's, contacts like an agent's, outages, its roster."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.fleet.gateway import Fleet, Gateway
from firmware_sim.fleet.line import Address
from firmware_sim.fleet.readings import BlockPool, Shape, Stamp
from firmware_sim.fleet.roster import Heading, Roster, new_seat
from firmware_sim.fleet.tally import Tally
from firmware_sim.fleet.weather import Outage
from shared import limits
from shared.block.codec import decode, encode
from shared.clock import WallMs
from shared.errors import MistakeError, RefusedError
from shared.ids import key_id
from shared.model.job import ExecutionState
from shared.model.reading import BootRef, EpochRef
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.trust.documents import (
    BUNDLE_TYP,
    REPLY_TYP,
    Bundle,
    Reply,
    document_hash,
    open_report,
)
from shared.trust.envelope import KeySigner, seal
from shared.trust.root import DIRECTOR, RELEASE, ROOT, Role, Root
from shared.wire.codec import pack
from shared.wire.messages import Grant

NOW = WallMs(1_795_000_000_000)
DIRECTOR_KEY = KeySigner(b"d" * 32)
POOL = BlockPool(Shape(channels=2, rows=3), seed=1, templates=2)


def make_root():
    key = DIRECTOR_KEY.public_key
    return Root(
        version=1,
        fleet=b"f" * 16,
        epoch=1,
        issued_ms=0,
        expires_ms=1 << 50,
        keys=[key],
        roles={name: Role(1, [key_id(key)]) for name in (ROOT, RELEASE, DIRECTOR)},
    )


def fleet(**changes):
    fields = {"fleet": b"f" * 16, "root": make_root(), "seed": "s", "pool": POOL}
    return Fleet(**(fields | changes))


@pytest.fixture
def gateway():
    return Gateway(fleet(work=True), new_seat(7, "sim-7", NOW))


def report_of(gateway, body):
    parts = decode_body(body, bound=limits.BODY_BYTES_UP)
    return parts, open_report(parts[0].data, gateway.public_key)


def answer(gateway, body, *more, signer=DIRECTOR_KEY, **changes):
    parts, _ = report_of(gateway, body)
    fields = {
        "agent": gateway.seat.name,
        "report": document_hash(parts[0].data),
        "now_ms": NOW,
        "held_ms": 0,
    }
    reply = Reply(**(fields | changes))
    return encode_body([Part(PartKind.REPLY, seal(REPLY_TYP, pack(reply), [signer])), *more])


@given(
    number=st.integers(0, 10),
    seq=st.integers(1, limits.INT_MAX),
    mono_ms=st.integers(0, limits.INT_MAX),
    wall_ms=st.integers(0, 1 << 50),
    refs=st.binary(min_size=6, max_size=6),
    channels=st.integers(1, 12),
    rows=st.integers(1, 40),
)
def test_a_stamped_block_is_what_the_codec_makes_of_the_same_readings(
    number, seq, mono_ms, wall_ms, refs, channels, rows
):
    pool = BlockPool(Shape(channels=channels, rows=rows), seed=number, templates=1)
    stamp = Stamp(EpochRef(refs[:2]), BootRef(refs[2:]), seq, mono_ms, wall_ms)
    data = pool.take(number, stamp)
    block = decode(data)
    assert encode(block) == data
    assert (block.seq, block.mono_ms, block.wall_ms) == (seq, mono_ms, wall_ms)
    assert (block.epoch, block.boot, block.count) == (refs[:2], refs[2:], channels * rows)
    assert min(block.groups[0].times_ms) == wall_ms


def test_a_report_is_sent_again_byte_for_byte_until_it_is_answered(gateway):
    gateway.sample(NOW)
    body = gateway.write(NOW)
    gateway.sample(NOW)
    assert gateway.write(NOW + 5) == body
    gateway.read(answer(gateway, body, acked=[(1, 1)]), NOW)
    assert gateway.write(NOW + 5) != body


def test_reports_are_chained_and_only_acknowledged_blocks_are_freed(gateway):
    gateway.sample(NOW)
    gateway.sample(NOW)
    first = gateway.write(NOW)
    parts, report = report_of(gateway, first)
    assert [one.seq for one in report.blocks] == [1, 2]
    assert [part.kind for part in parts] == [
        PartKind.REPORT,
        PartKind.BLOCK,
        PartKind.BLOCK,
        PartKind.SCHEMA,
    ]
    assert gateway.read(answer(gateway, first, acked=[(1, 1)]), NOW).readings == 6
    assert gateway.waiting == 1
    parts, after = report_of(gateway, gateway.write(NOW))
    assert after.previous == document_hash(decode_body(first, bound=1 << 20)[0].data)
    assert after.counter == report.counter + 1
    assert [one.seq for one in after.blocks] == [2]
    assert (after.tally.sampled, after.tally.delivered, after.tally.stored) == (12, 6, 6)


@pytest.mark.parametrize("forged", ["signature", "report"])
def test_what_the_director_did_not_sign_for_this_report_changes_nothing(gateway, forged):
    gateway.sample(NOW)
    body = gateway.write(NOW)
    if forged == "signature":
        data = answer(gateway, body, acked=[(1, 1)], signer=KeySigner(b"x" * 32))
    else:
        data = answer(gateway, body, acked=[(1, 1)], report=bytes(32))
    with pytest.raises(RefusedError):
        gateway.read(data, NOW)
    assert gateway.waiting == 1
    assert gateway.write(NOW) == body


def bundle(gateway, report, seq, *, signer=DIRECTOR_KEY):
    made = Bundle(
        fleet=b"f" * 16,
        agent=gateway.seat.name,
        agent_key=key_id(gateway.public_key),
        jobs_epoch=report.jobs_epoch,
        epoch=1,
        root_version=1,
        catalog_version=1,
        policy_version=1,
        restore_epoch=0,
        seq=seq,
        issued_ms=NOW,
        not_before_ms=NOW,
        expires_ms=NOW + 1000,
        stale_s=0,
        grants=[Grant(b"e" * 16, b"", NOW, "observe")],
    )
    return Part(PartKind.BUNDLE, seal(BUNDLE_TYP, pack(made), [signer]))


def test_an_order_is_told_to_be_done_once_and_until_that_is_acknowledged(gateway):
    body = gateway.write(NOW)
    _, report = report_of(gateway, body)
    heard = gateway.read(answer(gateway, body, bundle(gateway, report, 1)), NOW)
    assert (heard.executions, heard.hurry) == (1, True)
    body = gateway.write(NOW)
    _, report = report_of(gateway, body)
    assert [one.state for one in report.receipts] == [
        ExecutionState.DELIVERED,
        ExecutionState.SUCCEEDED,
    ]
    assert report.bundle_seq == 1
    again = bundle(gateway, report, 2)
    heard = gateway.read(answer(gateway, body, again, receipts_to=1), NOW)
    assert heard.executions == 0
    _, report = report_of(gateway, gateway.write(NOW))
    assert [one.number for one in report.receipts] == [2]


def test_an_order_that_the_director_did_not_sign_is_refused(gateway):
    body = gateway.write(NOW)
    _, report = report_of(gateway, body)
    forged = bundle(gateway, report, 1, signer=KeySigner(b"x" * 32))
    with pytest.raises(RefusedError):
        gateway.read(answer(gateway, body, forged), NOW)
    assert gateway.seat.receipts == []


def test_a_gateway_holds_back_no_more_blocks_than_its_bound(gateway):
    assert all(gateway.sample(NOW) for _ in range(limits.FLEET_BLOCKS))
    assert not gateway.sample(NOW)
    assert gateway.waiting == limits.FLEET_BLOCKS


def test_blocks_follow_each_other_and_never_lie_in_the_future(gateway):
    gateway.seat.row_ms = NOW - POOL.shape.span_ms * 2
    for _ in range(3):
        gateway.sample(NOW)
    parts, _ = report_of(gateway, gateway.write(NOW))
    starts = [decode(part.data).wall_ms for part in parts if part.kind is PartKind.BLOCK]
    span = POOL.shape.span_ms
    assert starts == [NOW - 2 * span, NOW - span, NOW - span]


def test_a_roster_comes_back_as_it_was_saved(tmp_path, gateway):
    gateway.sample(NOW)
    body = gateway.write(NOW)
    gateway.read(answer(gateway, body, acked=[(1, 1)]), NOW)
    heading = Heading(
        url="http://x:1", fleet="", ca_pem="", root="", seed="s", channels=2, rows=3, step_ms=1
    )
    Roster(heading, [gateway.seat]).save(tmp_path / "fleet")
    back = Roster.load(tmp_path / "fleet")
    assert back.heading == heading
    assert back.seats == [gateway.seat]


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff"])
def test_what_is_no_roster_is_said_in_a_sentence(tmp_path, text):
    path = tmp_path / "fleet"
    path.write_bytes(text)
    with pytest.raises(MistakeError, match="no roster"):
        Roster.load(path)


def test_an_outage_cuts_its_part_of_a_fleet_for_its_time():
    outage = Outage.parse("30:10:40")
    cut = {number for number in range(1, 10_001) if outage.cuts(number, 35.0)}
    assert 3_500 < len(cut) < 4_500
    assert not any(outage.cuts(number, at) for number in cut for at in (29.9, 40.0))
    assert all(outage.concerns(number) for number in cut)


@pytest.mark.parametrize("text", ["", "1:2", "a:1:1", "1:0:1", "1:1:0", "1:1:101", "-1:1:1"])
def test_a_wrong_outage_is_said_in_a_sentence(text):
    with pytest.raises(MistakeError):
        Outage.parse(text)


@pytest.mark.parametrize("text", ["", "ftp://x:1", "http://", "http://x:99999", "x:1"])
def test_a_wrong_address_is_said_in_a_sentence(text):
    with pytest.raises(MistakeError):
        Address.parse(text, ca_pem="")


def test_percentiles_are_of_all_times():
    tally, dice = Tally(), random.Random(1)
    times = list(range(1, 1001))
    dice.shuffle(times)
    for time in times:
        tally.note_time(time)
    result = tally.result(1.0)
    assert (result["p50_ms"], result["p99_ms"], result["max_ms"]) == (501, 991, 1000)
