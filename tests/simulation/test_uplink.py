"""The uplink on virtual time: regular, prompt, patient, and awake for contacts only."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import check_step
from agent.core.contact import Identity
from agent.core.ports import PollRow
from agent.core.queue import plan_job
from agent.core.sampler import channel_table
from agent.core.settings import TelemetrySettings, UplinkSettings
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact import Contact
from agent.services.guard import Guard
from agent.services.purse import Purse
from agent.services.uplink import Uplink
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.model.job import ExecutionState
from shared.model.reading import Quality
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.trust.counters import Counters
from shared.trust.documents import REPLY_TYP, Report, open_report
from shared.trust.envelope import seal
from shared.trust.floor import first_floor
from shared.trust.keyset import counted
from shared.wire.codec import pack
from tests.agent_coordinator import Brain
from tests.agent_parts import device, uid, write_job
from tests.simulation.loop import World, simulate
from tests.unit.trust_world import signer

PUMPS = [device("pump-1")]
TABLE = channel_table(PUMPS)
MINUTE = UplinkSettings(sync_interval_ms=60_000)
POLLING = UplinkSettings(sync_interval_ms=600_000, long_poll=True)


@dataclass
class Line:
    """A way to a coordinator by the rules; holds empty answers back as one would."""

    brain: Brain
    world: World
    down: LinkFailed | None = None
    dead: bool = False
    """Requests vanish: nothing ever comes back."""
    alter: Callable[[bytes], bytes] = lambda answer: answer
    calls: list[tuple[float, int, Report]] = field(default_factory=list)
    """When, with which wait, and what each contact said."""
    kept: list[bool] = field(default_factory=list)
    closed_after: list[int] = field(default_factory=list)
    """How many contacts there had been whenever the connection was closed."""
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        self._broken.clear()
        report = open_report(decode_body(body, bound=len(body))[0].data, self.key)
        self.calls.append((self.world.loop.time(), wait_s, report))
        self.kept.append(keep)
        await asyncio.sleep(0.05)
        if self.dead:
            await self._broken.wait()
        if self.down is not None:
            return self.down
        answer = self.brain.answer(body, self.world.clock.wall_ms())
        if wait_s and len(decode_body(answer, bound=len(answer))) == 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._broken.wait()
                    return LinkFailed(fault=Fault.ABORTED)
        return Delivered(body=self.alter(answer), up=len(body), down=len(answer))

    @property
    def key(self) -> bytes:
        return self.brain.world.agent.public_key

    def abort(self) -> None:
        self._broken.set()

    async def close(self) -> None:
        """Hold nothing open."""
        self.closed_after.append(len(self.calls))

    def times(self) -> list[int]:
        return [round(at) for at, _, _ in self.calls]


@dataclass
class Box:
    """An agent's uplink over real files."""

    world: World
    folder: Path
    settings: UplinkSettings
    ordered: int = 0

    async def open(self) -> "Box":
        clock, entropy = self.world.clock, self.world.entropy
        self.brain = Brain()
        self.line = Line(self.brain, self.world)
        begin_counters(self.folder, Counters(epoch=1, root_version=1))
        self.file = await JobsFile(self.folder, entropy).open()
        self.telemetry = await TelemetryStore.open(
            self.folder, self.folder, TABLE, TelemetrySettings(), clock=clock, entropy=entropy
        )
        self.calendar = Calendar(clock)
        self.store, self.jobs = ContactStore(self.file), JobStore(self.file)
        fleet = self.brain.world
        identity = Identity(fleet.name, fleet.root, fleet.trust.root_envelope, fleet.agent)
        await self.store.keep_trust(
            fleet.trust,
            counted(fleet.trust, Counters(epoch=1, root_version=1)),
            first_floor(fleet.root, build_ms=WallMs(0), at=clock.now()),
            recovered=False,
        )
        self.guard = Guard(identity, self.store, clock=clock, calendar=self.calendar)
        contact = Contact(
            guard=self.guard,
            store=self.store,
            jobs=self.jobs,
            telemetry=self.telemetry,
            link=self.line,
            plan=partial(plan_job, devices=PUMPS, check=check_step),
            clock=clock,
            calendar=self.calendar,
        )
        self.purse = contact.purse = Purse(
            self.settings.budget, clock=clock, calendar=self.calendar
        )
        self.uplink = Uplink(
            contact,
            self.line,
            self.settings,
            clock=clock,
            entropy=entropy,
            ordered=self.order,
            purse=self.purse,
        )
        self.task = asyncio.create_task(self.uplink.run())
        return self

    def order(self) -> None:
        self.ordered += 1

    async def poll(self) -> None:
        (group,) = TABLE.groups
        row = PollRow(
            channels=group.channels,
            at=self.world.clock.now(),
            values=[1] * len(group.channels),
            qualities=[Quality.GOOD] * len(group.channels),
        )
        await self.telemetry.record(row)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def close(self) -> None:
        await self.stop()
        await self.telemetry.close()
        await self.file.close()


def play(folder: Path, scenario: Any, settings: UplinkSettings = MINUTE) -> Any:
    async def run(world: World) -> Any:
        box = await Box(world, folder, settings).open()
        try:
            return await scenario(box)
        finally:
            await box.close()

    return simulate(run, seed=3)


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
        await asyncio.sleep(1_000)
        state = box.uplink.health.state
        assert state is not None
        assert state.fault is not None
        assert state.fault.fault is Fault.SILENT

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


# --- refusals -----------------------------------------------------------------------------------
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
