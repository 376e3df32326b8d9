"""A backlog on virtual time: contacts follow each other on one connection until it is gone."""

import asyncio

from agent.core.settings import UplinkSettings
from shared import limits
from tests.simulation.uplink_box import TABLE, Box, play

TEN_MINUTES = UplinkSettings(sync_interval_ms=600_000)


def test_a_connection_is_kept_while_a_backlog_drains_and_closed_behind_it(tmp_path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        assert (len(box.line.calls), box.line.closed_after) == (1, [1])
        blocks = 2 * limits.BLOCKS_PER_REPORT + 5
        for _ in range(blocks):
            await box.poll()
            await box.telemetry.seal()
        await asyncio.sleep(600)
        carried = [len(report.blocks) for _, _, report in box.line.calls[1:]]
        assert carried == [limits.BLOCKS_PER_REPORT, limits.BLOCKS_PER_REPORT, 5]
        assert box.line.closed_after == [1, 4]
        assert box.line.kept == [True] * 4
        assert len(box.brain.readings) == blocks * len(TABLE.schema.channels)

    play(tmp_path, scenario, TEN_MINUTES)
