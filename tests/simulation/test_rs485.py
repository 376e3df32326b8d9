"""Thirty-one slaves on one RS-485 line at 9600 baud: what dead ones cost the living."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from agent.core.device import DeviceSettings
from agent.core.patience import FIRST_PROBE_MS
from agent.core.ports import BusSettings, PollRow, Urgency
from agent.core.sampler import Standing, channel_table
from agent.core.utilisation import Pace, poll_ms
from agent.drivers.modbus.driver import ModbusDriver
from agent.drivers.registry import poll_frames
from agent.services.bus_tasks import BusTask
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.models import find_model
from firmware_sim.station import Line as Kind
from firmware_sim.station import Station
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from tests.bench.station import MODEL, PROFILE
from tests.rs485_parts import CHARACTER_S, SILENCE_S, SlaveLine
from tests.simulation.loop import World, simulate

SLAVES = 31
SETTINGS = BusSettings(name="rs485", url="serial:///dev/null?baud=9600&parity=E")
STATION = parse_profile(PROFILE.read_text(), source=str(PROFILE))


def devices(interval_ms: int = 1_000, count: int = SLAVES) -> list[DeviceSettings]:
    return [
        DeviceSettings(
            id=DeviceId(f"slave-{unit}"),
            bus="rs485",
            address=unit,
            profile=STATION,
            poll_interval_ms=interval_ms,
        )
        for unit in range(1, count + 1)
    ]


def interval_for(share: float, *, think_s: float, count: int = SLAVES) -> int:
    """The poll interval at which all devices together take that share of the line."""
    one_ms = poll_ms(
        poll_frames(devices()[0]),
        Pace(seconds_per_byte=CHARACTER_S, silence_s=0.005, turnaround_s=SILENCE_S + think_s),
    )
    return round(count * one_ms / share)


@dataclass
class Site:
    """A line with its agent's part."""

    world: World
    dead: frozenset[int]
    interval_ms: int
    think_s: float = 0.002
    slow: dict[int, float] = field(default_factory=dict)
    rows: list[PollRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        model = find_model(str(MODEL))
        alive = [unit for unit in range(1, SLAVES + 1) if unit not in self.dead]
        time = SimTime(self.world.clock)
        station = Station(Kind.SERIAL, [Device(model, unit=unit) for unit in alive], time=time)
        self.line = SlaveLine(SETTINGS, station, lambda unit: self.slow.get(unit, self.think_s))
        settings = devices(self.interval_ms)
        self.table = channel_table(settings)
        drivers = {
            one.id: ModbusDriver(one.id, self.line, unit=one.address, profile=one.profile)
            for one in settings
        }
        self.drivers = drivers
        self.task = BusTask(
            self.line, drivers, self.table.groups, telemetry=self, clock=self.world.clock
        )

    async def record(self, row: PollRow) -> None:
        self.rows.append(row)

    async def poll_for(self, seconds: float) -> None:
        running = asyncio.create_task(self.task.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait((running,))
        await self.line.close()

    def good(self) -> Counter[int]:
        """Rows with values, by unit."""
        first = {group.channels[0]: group.address for group in self.table.groups}
        return Counter(first[row.channels[0]] for row in self.rows if row.values[0] is not None)


def worst_share(site: Site, seconds: float) -> float:
    """The share of its polls that the worst of the living got, from the first second."""
    due = seconds * 1000 // site.interval_ms
    good = site.good()
    return min(good[unit] for unit in range(1, SLAVES + 1) if unit not in site.dead) / due


@pytest.mark.parametrize(
    ("dead", "seconds"), [({3, 17, 31}, 20), ({3, 17, 31}, 120), ({1, 2, 3}, 60), (set(), 30)]
)
def test_the_living_keep_their_rate_from_the_first_second(dead: set[int], seconds: int):
    async def scenario(world: World) -> None:
        site = Site(world, frozenset(dead), interval_for(0.8, think_s=0.002))
        await site.poll_for(seconds)
        assert worst_share(site, seconds) >= 0.95
        # The bench would prove nothing on a line that has room to spare.
        assert site.line.counters.busy_ms >= 0.7 * seconds * 1000

    simulate(scenario, seed=1)


def test_slaves_that_die_later_cost_the_living_little_too():
    async def scenario(world: World) -> None:
        site = Site(world, frozenset(), interval_for(0.8, think_s=0.002))
        world.loop.call_later(
            60, site.line._station.add_faults, *(f"silence:unit={unit}" for unit in (4, 9, 30))
        )
        await site.poll_for(150)
        site.dead = frozenset({4, 9, 30})
        assert worst_share(site, 150) >= 0.95
        assert site.task.health.devices[DeviceId("slave-4")].standing is Standing.DEGRADED

    simulate(scenario, seed=1)


def test_a_slow_slave_on_a_busy_line_is_found_all_the_same():
    async def scenario(world: World) -> None:
        slow_s = FIRST_PROBE_MS / 1000 + 0.1
        site = Site(world, frozenset({31}), 10_000, slow={5: slow_s})
        await site.poll_for(60)
        health = site.task.health.devices[DeviceId("slave-5")]
        assert health.standing is Standing.LIVE
        assert health.exchanges.usual_ms == pytest.approx(slow_s * 1000 + SILENCE_S * 1000, rel=0.1)
        assert site.good()[5] >= 5
        assert worst_share(site, 60) >= 0.8

    simulate(scenario, seed=1)


def test_a_dead_slave_is_probed_once_per_window_and_one_frame_each():
    async def scenario(world: World) -> None:
        site = Site(world, frozenset({7}), 60_000)
        await site.poll_for(3_600)
        rows = [
            row.at.mono_ms for row in site.rows if row.channels == site.table.groups[6].channels
        ]
        assert site.line.heard[7] == len(rows)
        pauses = [(after - before) // 60_000 for before, after in pairwise(rows)][1:]
        assert pauses[:4] == [1, 2, 4, 8]
        assert set(pauses[4:]) <= {10}
        health = site.task.health.devices[DeviceId("slave-7")]
        assert (health.standing, health.exchanges.answers) == (Standing.DEGRADED, 0)
        assert health.exchanges.timeouts == len(rows)

    simulate(scenario, seed=1)


def test_a_slave_that_is_repaired_is_back_within_its_window():
    async def scenario(world: World) -> None:
        site = Site(world, frozenset(), 5_000)
        site.line._station.add_faults("silence:unit=3,for=100")
        await site.poll_for(300)
        health = site.task.health.devices[DeviceId("slave-3")]
        assert health.standing is Standing.LIVE
        assert site.good()[3] >= 15

    simulate(scenario, seed=1)


def test_a_command_does_not_wait_for_the_polls_of_a_busy_line():
    async def scenario(world: World) -> None:
        site = Site(world, frozenset(), interval_for(0.8, think_s=0.002))
        waits: list[float] = []

        async def command() -> None:
            await asyncio.sleep(2)
            for _ in range(20):
                began = world.loop.time()
                driver = site.drivers[DeviceId("slave-9")]
                [reading] = await driver.read(("pressure",), urgency=Urgency.COMMAND)
                assert reading.value is not None
                waits.append(world.loop.time() - began)
                await asyncio.sleep(0.37)

        async with asyncio.TaskGroup() as group:
            group.create_task(command())
            await site.poll_for(12)
        # At most the frame that is on the line, and its own exchange.
        assert max(waits) <= 0.12

    simulate(scenario, seed=1)


def test_patience_with_a_slave_follows_its_own_answers():
    async def scenario(world: World) -> None:
        site = Site(world, frozenset(), 5_000, slow={1: 0.15, 2: 0.002})
        await site.poll_for(20)
        slow, fast = (site.line._patience[unit].poll_ms(0) for unit in (1, 2))
        assert 580 <= slow <= 640
        assert fast == 100
        assert replace(site.line._patience[1], fixed_ms=700).poll_ms(1) == 700

    simulate(scenario, seed=1)
