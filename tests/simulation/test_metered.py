"""A metered link on virtual time: keeper, store and uplink together decide when to call."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from agent.core.ports import PollRow
from agent.core.settings import METERED_SYNC_INTERVAL_MS, TelemetrySettings, UplinkSettings
from agent.core.uplink import WORTH_BYTES
from agent.services.keeper import Keeper
from shared.model.reading import Quality
from tests.simulation.uplink_box import TABLE, Box, play

METERED = UplinkSettings(metered=True, sync_interval_ms=METERED_SYNC_INTERVAL_MS)
COMMIT_S = TelemetrySettings().commit_interval_ms // 1000
NOISE = random.Random(5)


@asynccontextmanager
async def keeping(box: Box) -> AsyncIterator[None]:
    """Commit and weigh as the agent does."""

    async def weigh() -> None:
        box.uplink.weigh(await box.telemetry.backlog_bytes())

    keeper = Keeper(box.telemetry, commit_interval_ms=COMMIT_S * 1000, then=weigh)
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def poll(box: Box, rows: int) -> None:
    """Record noise that no codec makes smaller than its 53 bits."""
    (group,) = TABLE.groups
    for _ in range(rows):
        row = PollRow(
            channels=group.channels,
            at=box.world.clock.now(),
            values=[NOISE.random() for _ in group.channels],
            qualities=[Quality.GOOD] * len(group.channels),
        )
        await box.telemetry.record(row)


def test_readings_call_at_the_commit_that_makes_them_worth_it(tmp_path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        assert len(box.line.calls) == 1
        async with keeping(box):
            await poll(box, 100)
            await asyncio.sleep(2 * COMMIT_S)
            assert len(box.line.calls) == 1, "not worth a contact"
            await poll(box, WORTH_BYTES // 6 // len(TABLE.schema.channels))
            recorded_at = box.world.loop.time()
            await asyncio.sleep(COMMIT_S - 2)
            assert len(box.line.calls) == 1, "not before the commit"
            await asyncio.sleep(4)
            at, wait_s, report = box.line.calls[-1]
            assert len(box.line.calls) == 2
            assert (round(at - recorded_at), wait_s) == (COMMIT_S, 0)
            assert len(report.blocks) == 1
            assert await box.telemetry.waiting() == []

    play(tmp_path, scenario, METERED)


def test_a_site_with_little_to_say_calls_four_times_a_day(tmp_path):
    async def scenario(box: Box) -> None:
        async with keeping(box):
            for _ in range(24 * 12):
                await poll(box, 1)
                await asyncio.sleep(300)
        assert [len(report.blocks) for _, _, report in box.line.calls] == [1] * 4

    play(tmp_path, scenario, METERED)


def test_where_bytes_are_free_weight_changes_nothing(tmp_path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        before = len(box.line.calls)
        async with keeping(box):
            await poll(box, WORTH_BYTES)
            await asyncio.sleep(COMMIT_S + 5)
        assert len(box.line.calls) == before

    play(tmp_path, scenario, replace(METERED, metered=False))
