"""What judging held back is in the account whatever happens to the process, and status can tell."""

import asyncio
from typing import Any

import pytest

from agent.core.device import DeviceSettings
from agent.core.ports import PointReading
from agent.core.sampler import channel_table
from agent.services.bus_tasks import BusTask
from shared.block.schema import Schema
from shared.ids import DeviceId
from shared.model.judging import Judging
from shared.model.profile import parse_profile
from shared.model.reading import Quality, Reduction
from tests.simulation.loop import World, simulate
from tests.simulation.test_polling import Device, Port, Recorded
from tests.unit.readings_world import Plant

PROFILE = """
profile = 1
name = "tank"
kind = "tank"
protocol = "modbus"
[[point]]
name = "level"
unit = "m"
at = { table = "input", address = 0, type = "uint16" }
scale = "0.01"
deadband = 0.05
heartbeat_s = 600
[[point]]
name = "flow"
unit = "m3/h"
at = { table = "input", address = 1, type = "uint16" }
aggregate = ["mean", "max"]
aggregate_interval_s = 60
[[point]]
name = "energy"
unit = "kW.h"
kind = "counter"
at = { table = "input", address = 2, type = "uint32" }
scale = "0.1"
aggregate = ["increase"]
raw = true
"""
TANK = DeviceSettings(
    id=DeviceId("tank"),
    bus="line",
    address=1,
    profile=parse_profile(PROFILE, source="tank.toml"),
    poll_interval_ms=1_000,
    judging={"level": Judging(deadband=5.0, percent=True, priority=1)},
)


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path, channel_table([TANK]))


def test_aggregates_are_channels_of_their_own_and_readers_know_what_was_held_back():
    schema = channel_table([TANK]).schema
    assert [(one.point, one.unit, one.kind) for one in schema.channels] == [
        ("level", "m", "gauge"),
        ("flow", "m3/h", "gauge"),
        ("energy", "kW.h", "counter"),
        ("flow_mean", "m3/h", "gauge"),
        ("flow_max", "m3/h", "gauge"),
        ("energy_increase", "kW.h", "gauge"),
    ]
    assert [one.reduction for one in schema.channels][:2] == [Reduction("hold", 5.0, True), None]
    assert Schema.decode(schema.encode()) == schema


async def test_a_kill_keeps_the_account_of_what_was_held_back(plant):
    store = await plant.open()
    [group] = plant.table.groups
    task = BusTask(Port(), {TANK.id: Device(TANK.id)}, [group], telemetry=store, clock=plant.clock)
    judge = task._judges[group]
    polled = aggregates = 0
    for number in range(200):
        plant.clock.advance(1_000)
        readings = [PointReading(name, float(number // 50), Quality.GOOD) for name in group.points]
        _, rows = judge.judge(readings, plant.clock.now())
        polled += 3
        for row in rows:
            aggregates += len([channel for channel in row.channels if channel >= 3])
            await store.record(row)
        if number == 100:
            await store.keep()
    before = await store.tally()
    assert before.sampled == polled + aggregates
    assert before.suppressed >= 380
    plant.kill()
    async with plant.running() as survivor:
        assert await survivor.tally() == before
    await store.close()


def test_a_stop_records_what_an_interval_holds_so_far():
    async def scenario(world: World) -> None:
        table, recorded = channel_table([TANK]), Recorded()
        seen: list[Any] = []
        device: Any = Device(TANK.id)

        async def read(points, *, urgency):
            device.reads += 1
            return [PointReading(point, float(device.reads), Quality.GOOD) for point in points]

        device.read = read
        task = BusTask(
            Port(),
            {TANK.id: device},
            table.groups,
            telemetry=recorded,
            clock=world.clock,
            observe=seen.append,
        )
        running = asyncio.create_task(task.run())
        await asyncio.sleep(30)
        running.cancel()
        await asyncio.wait((running,))
        assert [row.channels for row in recorded.rows[-2:]] == [(3, 4), (5,)]
        assert recorded.rows[-2].values == [
            sum(range(1, device.reads + 1)) / device.reads,
            device.reads,
        ]
        assert len(seen) == device.reads
        assert list(seen[-1].values) == [float(device.reads)] * 3

    simulate(scenario, seed=1)


def test_rules_that_fail_keep_nothing_from_being_recorded():
    async def scenario(world: World) -> None:
        def fail(judged) -> None:
            raise ZeroDivisionError(judged.device)

        table, recorded = channel_table([TANK]), Recorded()
        task = BusTask(
            Port(),
            {TANK.id: Device(TANK.id)},
            [table.groups[0]],
            telemetry=recorded,
            clock=world.clock,
            observe=fail,
        )
        device: Any = task._drivers[TANK.id]
        device.takes_s = 0.0

        async def read(points, *, urgency):
            return [PointReading(point, 1.0, Quality.GOOD) for point in points]

        device.read = read
        running = asyncio.create_task(task.run())
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.wait((running,))
        assert len(recorded.rows) >= 9

    simulate(scenario, seed=1)
