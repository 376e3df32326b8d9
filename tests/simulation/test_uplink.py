"""The uplink on virtual time: regular, prompt, patient, and awake for contacts only."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core.uplink import Fault, LinkFailed
from shared import limits
from shared.model.job import ExecutionState
from tests.agent_parts import uid, write_job
from tests.simulation.uplink_box import MINUTE, POLLING, TABLE, Box, play


def test_contacts_come_at_their_interval_and_nothing_wakes_up_in_between(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        turns = box.world.loop.turns
        await asyncio.sleep(45)
        assert box.world.loop.turns - turns < 5
        await asyncio.sleep(245)
        first, *rest = box.line.times()
        assert first <= 6
        assert [b - a for a, b in zip([first, *rest], rest, strict=False)] == [60] * len(rest)
        assert len(rest) == 4
        assert box.line.kept == [True] * 5
        assert box.line.closed_after == [], "the next contact is near"
        assert [report.counter for _, _, report in box.line.calls] == [1, 2, 3, 4, 5]

    play(tmp_path, scenario)


def test_readings_travel_with_the_contact_that_is_due(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        await box.poll()
        await asyncio.sleep(60)
        assert len(box.brain.readings) == len(TABLE.schema.channels)
        tally = await box.telemetry.tally()
        assert (tally.delivered, tally.stored) == (tally.sampled, 0)

    play(tmp_path, scenario)


def test_an_order_comes_with_a_long_poll_at_once_and_its_receipt_goes_at_once(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(70)
        waits = [wait for _, wait, _ in box.line.calls]
        assert waits[0] == 0
        assert limits.WAIT_S in waits, "it waits for work once the link is up"
        box.brain.submit(uid(1), write_job(9))
        await asyncio.sleep(60)
        assert box.ordered == 1
        assert box.brain.state_of(uid(1)) is ExecutionState.DELIVERED
        assert box.brain.offences == []

    play(tmp_path, scenario, POLLING)


def test_that_an_order_was_delivered_is_told_at_once_without_a_long_poll_too(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        box.brain.submit(uid(1), write_job(9, delay_s=3600))
        await asyncio.sleep(60)
        assert box.brain.state_of(uid(1)) is ExecutionState.DELIVERED

    play(tmp_path, scenario)


def test_receipts_that_come_together_go_together(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        before = len(box.line.calls)
        for _ in range(20):
            box.uplink.nudge()
            await asyncio.sleep(0.01)
        await asyncio.sleep(5)
        assert len(box.line.calls) == before + 1

    play(tmp_path, scenario)


@pytest.mark.parametrize("urgent", [True, False])
def test_what_comes_up_before_the_exchange_begins_is_not_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urgent: bool
):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(70)
        freeze, before = box.store.freeze, list[int]()

        async def overtaken(*report: Any) -> Any:
            frozen = await freeze(*report)
            if not before:
                before.append(len(box.line.calls))
                await box.poll()
                await box.telemetry.seal()
                box.uplink.nudge(urgent=urgent)
            return frozen

        monkeypatch.setattr(box.store, "freeze", overtaken)
        await asyncio.sleep(60)
        began_s, *_ = box.line.calls[before[0]]
        told = [one for one in box.line.calls[before[0] :] if one[0] < began_s + 1]
        assert [(wait, len(report.blocks)) for _, wait, report in told] == [
            (0, 0),  # nobody could have broken it off
            (0, 1),
            (limits.WAIT_S, 0),
        ]

    play(tmp_path, scenario, POLLING)


def test_a_link_that_is_down_is_tried_again_patiently_and_found_again(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        box.line.down = LinkFailed(fault=Fault.UNREACHABLE, detail="gone")
        await asyncio.sleep(7_200)
        tries = len(box.line.calls)
        assert 10 < tries < 200
        counters = {report.counter for _, _, report in box.line.calls[2:]}
        assert len(counters) == 1, "the same report every time"
        state = box.uplink.health.state
        assert state is not None
        assert state.failures == tries - 1
        box.line.down = None
        await asyncio.sleep(700)
        state = box.uplink.health.state
        assert state is not None
        assert (state.failures, state.fault) == (0, None)
        assert box.brain.offences == []

    play(tmp_path, scenario)


def test_what_waited_under_a_key_that_was_changed_is_said_anew_under_the_new_one(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await box.poll()
        await asyncio.sleep(10)
        box.line.down = LinkFailed(fault=Fault.UNREACHABLE)
        await asyncio.sleep(100)
        before = await box.store.standing()
        assert before.pending is not None, "it waits for its answer"
        await box.change_key()
        box.line.down = None
        await asyncio.sleep(700)
        after = await box.store.standing()
        assert after.pending is None
        assert after.counter > before.counter, "its number stays taken"
        tally = await box.telemetry.tally()
        assert (tally.delivered, tally.stored) == (tally.sampled, 0)

    play(tmp_path, scenario)


def test_retry_after_keeps_even_alarms_waiting(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        box.line.down = LinkFailed(fault=Fault.BUSY, retry_after_s=1_000)
        await asyncio.sleep(60)
        tries = len(box.line.calls)
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(900)
        assert len(box.line.calls) == tries
        await asyncio.sleep(200)
        assert len(box.line.calls) > tries

    play(tmp_path, scenario)


def test_a_peer_that_drips_for_ever_is_left(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.line.dead = True
        await asyncio.sleep(10)
        before = box.uplink.health.state
        await asyncio.sleep(1_000)
        state = box.uplink.health.state
        assert before is not None
        assert state is not None
        assert state.fault is not None
        assert state.fault.fault is Fault.SILENT
        assert state.budget == before.budget // 2, "or the body was too much for the line"

    play(tmp_path, scenario)


def test_an_alarm_breaks_off_a_wait(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(70)
        assert box.uplink.health.in_contact
        calls = len(box.line.calls)
        await box.poll()
        await box.telemetry.seal()
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(1)
        again, fresh = box.line.calls[calls : calls + 2]
        assert again[1] == fresh[1] == 0
        assert again[2] == box.line.calls[calls - 1][2], "the report that waited, byte for byte"
        assert fresh[2].counter == again[2].counter + 1
        assert len(fresh[2].blocks) == 1
        state = box.uplink.health.state
        assert state is not None
        assert state.failures == 0

    play(tmp_path, scenario, POLLING)


# --- taking leave -------------------------------------------------------------------------------
@pytest.mark.parametrize("settings", [MINUTE, POLLING])
def test_a_farewell_brings_everything_after_what_still_waited(settings, tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(70)
        await box.poll()
        await box.stop()
        await box.uplink.farewell(5)
        tally = await box.telemetry.tally()
        assert (tally.delivered, tally.stored) == (tally.sampled, 0)
        assert box.brain.offences == []

    play(tmp_path, scenario, settings)


def test_a_farewell_over_a_dead_link_ends_in_time(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(10)
        await box.stop()
        box.line.dead = True
        began = box.world.loop.time()
        await box.uplink.farewell(5)
        assert box.world.loop.time() - began == pytest.approx(5, abs=0.1)

    play(tmp_path, scenario)


def test_nobody_takes_leave_over_a_link_that_was_down(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.line.down = LinkFailed(fault=Fault.UNREACHABLE)
        await asyncio.sleep(100)
        await box.stop()
        calls = len(box.line.calls)
        await box.uplink.farewell(5)
        assert len(box.line.calls) == calls

    play(tmp_path, scenario)


def test_readings_go_before_alarms_once_those_leave_too_many_gaps(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(limits, "RANGES_OPEN", 2)
    monkeypatch.setattr(limits, "BLOCKS_PER_REPORT", 3)

    async def scenario(box: Box) -> None:
        box.line.down = LinkFailed(fault=Fault.UNREACHABLE)
        for _ in range(6):
            await box.poll()
            await box.telemetry.seal()
            await box.poll(priority=0)
            await box.telemetry.hasten()
        await asyncio.sleep(100)
        box.line.down, before = None, len(box.line.calls)
        await asyncio.sleep(3600)
        told = [[one.seq for one in report.blocks] for _, _, report in box.line.calls[before:]]
        full = [numbers for numbers in told if len(numbers) == 3]
        assert full[1:4] == [[1, 3, 5], [8, 10, 12], [7, 9, 11]], full
        assert (await box.telemetry.tally()).stored == 0

    play(tmp_path, scenario)
