"""The uplink on virtual time beside peers who forge, replay, refuse or never acknowledge."""

import asyncio
from pathlib import Path

import pytest

from agent.core.uplink import Fault
from shared import limits
from shared.errors import Reason
from shared.model.job import ExecutionState
from shared.sync.body import Part, PartKind, encode_body
from shared.trust.documents import REPLY_TYP
from shared.trust.envelope import seal
from shared.wire.codec import pack
from tests.agent_parts import uid, write_job
from tests.simulation.uplink_box import TABLE, Box, play
from tests.unit.trust_world import signer


def test_a_forged_bundle_is_refused_counted_and_reported_and_the_rest_of_the_answer_holds(
    tmp_path: Path,
):
    async def scenario(box: Box) -> None:
        await box.poll()
        forged = box.brain.world.seal_bundle(box.brain.world.bundle(seq=9), by="thief")
        box.line.alter = lambda answer: answer + encode_body([Part(PartKind.BUNDLE, forged)])[3:]
        await asyncio.sleep(130)
        standing = await box.store.standing()
        assert standing.bundle_seq == 0
        assert standing.refusals == {Reason.THRESHOLD_NOT_MET.text: 3}
        assert box.line.calls[-1][2].refusals == {Reason.THRESHOLD_NOT_MET.text: 2}
        assert (await box.telemetry.tally()).stored == 0, "what the reply acknowledged is freed"
        assert box.ordered == 0

    play(tmp_path, scenario)


def test_a_replayed_bundle_has_no_second_effect(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.brain.submit(uid(1), write_job(9))
        await asyncio.sleep(70)
        (signed,) = box.brain.signed
        box.line.alter = lambda answer: answer + encode_body([Part(PartKind.BUNDLE, signed)])[3:]
        await asyncio.sleep(60)
        assert (await box.store.standing()).refusals == {Reason.REPLAYED.text: 1}
        assert (await box.jobs.counts()).executions == {ExecutionState.DELIVERED: 1}

    play(tmp_path, scenario)


def test_a_forged_reply_leaves_the_report_waiting(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await box.poll()
        box.line.alter = forge_reply
        await asyncio.sleep(30)
        standing = await box.store.standing()
        assert standing.pending is not None
        assert set(standing.refusals) == {Reason.THRESHOLD_NOT_MET.text}
        assert (await box.telemetry.tally()).delivered == 0
        state = box.uplink.health.state
        assert state is not None
        assert state.fault is not None
        assert state.fault.fault is Fault.BAD_ANSWER
        box.line.alter = lambda answer: answer
        await asyncio.sleep(600)
        assert (await box.store.standing()).counter > standing.counter

    play(tmp_path, scenario)


def forge_reply(answer: bytes) -> bytes:
    """Replace every signature by a thief's."""
    forged = seal(REPLY_TYP, pack([]), [signer("thief")])
    return encode_body([Part(PartKind.REPLY, forged)])


def test_a_block_that_is_refused_for_good_holds_up_nothing(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.brain.nack = {1}
        await box.poll()
        await asyncio.sleep(10)
        await box.poll()
        await asyncio.sleep(180)
        tally = await box.telemetry.tally()
        size = len(TABLE.schema.channels)
        assert (tally.delivered, tally.stored, tally.lost) == (size, 0, size)
        assert await box.telemetry.ledger() == [], "the loss was delivered like data"
        assert len(box.line.calls) < 8

    play(tmp_path, scenario)


def test_receipts_that_nobody_acknowledges_cause_no_endless_contacts(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.brain.deaf_to_receipts = True
        box.brain.submit(uid(1), write_job(9))
        await asyncio.sleep(605)
        assert len(box.line.calls) <= 12, "ten at their interval, one for the receipt"
        assert (await box.jobs.counts()).receipts == 1

    play(tmp_path, scenario)


def test_a_queue_that_is_full_puts_a_bundle_off(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "QUEUE_TASKS", 0)

    async def scenario(box: Box) -> None:
        box.brain.submit(uid(1), write_job(9))
        await asyncio.sleep(70)
        standing = await box.store.standing()
        assert (standing.bundle_seq, standing.refusals) == (0, {})
        monkeypatch.setattr(limits, "QUEUE_TASKS", 10)
        await asyncio.sleep(60)
        assert (await box.store.standing()).bundle_seq > 0
        assert box.ordered == 1

    play(tmp_path, scenario)


def test_a_queue_that_is_full_hears_what_is_called_off(tmp_path: Path, monkeypatch):
    async def scenario(box: Box) -> None:
        box.brain.submit(uid(1), write_job(9))
        await asyncio.sleep(70)
        seq = (await box.store.standing()).bundle_seq
        monkeypatch.setattr(limits, "QUEUE_TASKS", 0)
        box.brain.submit(uid(2), write_job(9))
        box.brain.cancels.append(uid(1))
        await asyncio.sleep(130)
        assert box.brain.state_of(uid(1)) is ExecutionState.CANCELED
        assert box.brain.state_of(uid(2)) is None
        assert (await box.store.standing()).bundle_seq == seq
        assert box.ordered == 2, "who works on it has to stop"
        monkeypatch.setattr(limits, "QUEUE_TASKS", 10)
        await asyncio.sleep(130)
        assert box.brain.state_of(uid(2)) is ExecutionState.DELIVERED

    play(tmp_path, scenario)


def test_signed_time_moves_the_floor_and_nothing_moves_it_back(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.world.clock.reboot(keeps_time=False)
        assert box.calendar.now().today_ms < 10**9
        box.world.clock.step(10**12)
        await asyncio.sleep(10)
        known = box.calendar.now().today_ms
        assert known == pytest.approx(box.world.clock.wall_ms(), abs=1_000)
        box.world.clock.step(-(10**12))
        assert box.calendar.now().today_ms == pytest.approx(known, abs=1_000)
        assert box.guard.kept.floor_ms > 10**12 - 60_000

    play(tmp_path, scenario)
