"""Polling on virtual time: who is polled when, and what one bad device costs the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from agent.core.ports import BusCounters, BusSettings, PointReading, PollRow, Urgency
from agent.core.sampler import PollGroup
from agent.services.bus_tasks import BusTask, believable
from agent.services.status import silence_of
from shared.clock import Clock
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.reading import Quality
from tests.simulation.loop import World, simulate

READ_S = 0.05
"""What a short exchange takes at 9600 baud."""
TIMEOUTS_S = 2.0
"""What a silent device costs: two tries of a second."""


SETTINGS = BusSettings(name="line", url="serial:///dev/null")


@dataclass
class Port:
    """A bus as far as polling looks at it."""

    settings: BusSettings = SETTINGS
    counters: BusCounters = field(default_factory=BusCounters)

    async def exchange(self, request, decoder, *, urgency):
        raise AssertionError("the devices of this test do not use frames")

    async def close(self) -> None:
        """Hold nothing."""


@dataclass
class Device:
    """A driver whose device does what the test says."""

    device: DeviceId
    takes_s: float = READ_S
    fault: Reason | None = None
    crash: Exception | None = None
    reads: int = 0

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        self.reads += 1
        await asyncio.sleep(self.takes_s)
        if self.crash:
            raise self.crash
        if self.fault:
            return [PointReading(p, None, Quality.BAD_COMM, self.fault) for p in points]
        return [PointReading(p, float(self.reads), Quality.GOOD) for p in points]

    def expected(self, values):
        return dict(values)

    async def write(self, values) -> None:
        """Take anything."""

    async def identify(self) -> None:
        """Say nothing."""


@dataclass
class Recorded:
    """What was recorded, by channel group."""

    rows: list[PollRow] = field(default_factory=list)

    async def record(self, row: PollRow) -> None:
        self.rows.append(row)

    def of(self, group: PollGroup) -> list[PollRow]:
        return [row for row in self.rows if row.channels == group.channels]


@dataclass
class Line:
    """A bus with a few devices and the task that polls it."""

    clock: Clock
    devices: list[Device]
    interval_ms: int = 1_000
    recorded: Recorded = field(default_factory=Recorded)

    def __post_init__(self) -> None:
        self.groups = [
            PollGroup(
                device=one.device,
                bus="line",
                points=("a", "b"),
                channels=(2 * number, 2 * number + 1),
                interval_ms=self.interval_ms,
            )
            for number, one in enumerate(self.devices)
        ]
        self.task = BusTask(
            Port(),
            {one.device: one for one in self.devices},
            self.groups,
            telemetry=self.recorded,
            clock=self.clock,
        )

    async def poll_for(self, seconds: float) -> None:
        """Run the task for a while."""
        running = asyncio.create_task(self.task.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait((running,))


def devices(*names: str) -> list[Device]:
    return [Device(DeviceId(name)) for name in names]


def test_each_device_is_polled_once_per_interval_at_its_own_moment(in_simulation):
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a", "b", "c"))
        await line.poll_for(600)
        for group in line.groups:
            rows = line.recorded.of(group)
            assert 599 <= len(rows) <= 600
            lateness = {(row.at.mono_ms - group.offset_ms) % 1_000 for row in rows}
            assert max(lateness) <= 1_000 * READ_S * 3
        assert line.task.health.coalesced == 0

    in_simulation(scenario)


def test_a_step_of_the_wall_clock_moves_no_poll():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a"))
        world.loop.call_later(100, world.clock.step, -3_600_000)
        world.loop.call_later(200, world.clock.step, 86_400_000)
        await line.poll_for(300)
        times = [row.at.mono_ms for row in line.recorded.rows]
        # To the millisecond that the clock's rounding takes.
        assert {after - before for before, after in pairwise(times)} <= {999, 1_000, 1_001}

    simulate(scenario, seed=1)


def test_a_dead_device_takes_less_than_a_twentieth_from_its_neighbours():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a", "b", "dead", "c"))
        line.devices[2].takes_s, line.devices[2].fault = TIMEOUTS_S, Reason.DEVICE_SILENT
        await line.poll_for(3_600)
        for number in (0, 1, 3):
            assert len(line.recorded.of(line.groups[number])) >= 0.95 * 3_600
        dead = line.recorded.of(line.groups[2])
        # Two polls, then after 60, 120, 240, 480 and from then on 600 seconds.
        assert len(dead) == line.devices[2].reads == 10
        assert all(row.values == [None, None] for row in dead)
        assert all(row.qualities == [Quality.BAD_COMM] * 2 for row in dead)
        health = line.task.health.devices[DeviceId("dead")]
        assert (health.polls, health.failures, health.answered) == (10, 10, 0)
        assert health.problem == "device_silent"

    simulate(scenario, seed=1)


def test_a_device_that_comes_back_is_polled_as_before():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a"))
        line.devices[0].fault = Reason.DEVICE_SILENT
        running = asyncio.create_task(line.task.run())
        await asyncio.sleep(400)
        line.devices[0].fault = None
        await asyncio.sleep(300)
        before = len(line.recorded.rows)
        await asyncio.sleep(60)
        assert len(line.recorded.rows) - before == 60
        assert line.task.health.devices[DeviceId("a")].failures == 0
        running.cancel()
        await asyncio.wait((running,))

    simulate(scenario, seed=1)


def test_who_does_not_answer_is_known_with_the_last_time_that_it_did(in_simulation):
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("well", "dead", "lost"))
        _, dead, lost = line.devices
        dead.fault, dead.takes_s = Reason.DEVICE_SILENT, TIMEOUTS_S
        began_ms = world.clock.mono_ms()
        assert silence_of([line.task], began_ms).unsure, "nobody was asked yet"
        await line.poll_for(30)
        now = silence_of([line.task], world.clock.mono_ms())
        assert set(now.heard_ms) == now.unheard == {dead.device}
        assert not now.unsure
        lost.fault, lost.takes_s = Reason.DEVICE_SILENT, TIMEOUTS_S
        await line.poll_for(60)
        now = silence_of([line.task], world.clock.mono_ms())
        assert set(now.heard_ms) == {dead.device, lost.device}
        assert now.unheard == {dead.device}
        assert 55 <= now.seconds(lost.device) <= 61
        assert 85 <= now.seconds(dead.device) <= 91
        dead.fault = lost.fault = None
        await line.poll_for(200)
        assert not silence_of([line.task], world.clock.mono_ms()).heard_ms

    in_simulation(scenario)


def test_an_unplugged_port_keeps_its_devices_at_their_interval():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a"))
        line.devices[0].fault, line.devices[0].takes_s = Reason.BUS_DOWN, 0.0
        await line.poll_for(600)
        assert len(line.recorded.rows) >= 599
        health = line.task.health.devices[DeviceId("a")]
        assert (health.failures, health.problem) == (health.polls, "bus_down")

    simulate(scenario, seed=1)


def test_a_device_that_refuses_everything_is_there_all_the_same():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a"))
        line.devices[0].fault = Reason.DEVICE_EXCEPTION
        await line.poll_for(600)
        assert len(line.recorded.rows) >= 599
        assert line.task.health.devices[DeviceId("a")].failures == 0

    simulate(scenario, seed=1)


def test_a_driver_that_crashes_on_one_device_stops_no_other():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("bad", "good"))
        line.devices[0].crash = ZeroDivisionError("a defect of ours")
        await line.poll_for(100)
        assert 99 <= len(line.recorded.of(line.groups[1])) <= 100
        rows = line.recorded.of(line.groups[0])
        assert 99 <= len(rows) <= 100
        assert all(row.qualities == [Quality.BAD_COMM] * 2 for row in rows)
        health = line.task.health.devices[DeviceId("bad")]
        assert health.defects == health.polls
        assert health.problem == "ZeroDivisionError: a defect of ours"

    simulate(scenario, seed=1)


def test_a_bus_that_cannot_keep_up_says_so_and_polls_everybody_in_turn():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a", "b", "c"))
        for one in line.devices:
            one.takes_s = 1.0
        await line.poll_for(600)
        counts = [len(line.recorded.of(group)) for group in line.groups]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) >= 598
        assert line.task.health.coalesced >= 600

    simulate(scenario, seed=1)


def test_a_bus_without_polled_points_has_nothing_to_do():
    async def scenario(world: World) -> None:
        await Line(world.clock, []).task.run()

    simulate(scenario, seed=1)


def test_waiting_for_a_daily_poll_costs_no_turn_of_the_loop():
    async def scenario(world: World) -> None:
        line = Line(world.clock, devices("a"), interval_ms=86_400_000)
        running = asyncio.create_task(line.task.run())
        due_s = line.groups[0].offset_ms / 1_000
        await asyncio.sleep(0)
        turns = world.loop.turns
        await asyncio.sleep(due_s - 1)
        assert world.loop.turns - turns <= 2
        running.cancel()
        await asyncio.wait((running,))

    simulate(scenario, seed=1)


GOOD = PointReading("p", 4.2, Quality.GOOD)


@pytest.mark.parametrize(
    ("reading", "value", "quality"),
    [
        (GOOD, 4.2, Quality.GOOD),
        (replace(GOOD, quality=Quality.BAD_RANGE), 4.2, Quality.BAD_RANGE),
        (replace(GOOD, value=float("nan")), None, Quality.BAD_RANGE),
        (replace(GOOD, value=float("-inf")), None, Quality.BAD_RANGE),
        (replace(GOOD, value=None), None, Quality.BAD_COMM),
        (replace(GOOD, value=None, quality=Quality.STALE), None, Quality.STALE),
    ],
)
def test_every_cell_has_a_number_or_says_why_it_has_none(reading, value, quality):
    kept = believable(reading)
    assert (kept.value, kept.quality) == (value, quality)
