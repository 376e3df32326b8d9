"""A process that records, commits and seals as fast as it can, until it is killed.

It prints the number of each row after `record` has returned: from then on a kill must not lose it.
"""

import asyncio
import sys
from pathlib import Path

from agent.core.ports import PollRow
from agent.core.settings import TelemetrySettings
from agent.services.keeper import Keeper
from agent.store.telemetry import TelemetryStore
from shared.model.reading import Quality
from shared.runtime.clock import SystemClock, SystemEntropy
from tests.unit.readings_world import make_table


async def main(data_dir: Path, runtime_dir: Path, first: int) -> None:
    """Record rows that are numbered from `first` on."""
    clock, table = SystemClock(), make_table(devices=1, points=2)
    settings = TelemetrySettings(commit_interval_ms=3)
    store = await TelemetryStore.open(
        data_dir, runtime_dir, table, settings, clock=clock, entropy=SystemEntropy()
    )
    keeper = asyncio.create_task(
        Keeper(store, commit_interval_ms=settings.commit_interval_ms).run()
    )
    number = first
    while not keeper.done():
        row = PollRow(
            channels=(0, 1),
            at=clock.now(),
            values=[number, -number],
            qualities=[Quality.GOOD, Quality.GOOD],
        )
        await store.record(row)
        print(number, flush=True)
        if number % 50 == 0:
            await store.seal()
        number += 1
        await asyncio.sleep(0)
    await keeper


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
