"""A program that records while its disk refuses, and says how that ended."""

import asyncio
import contextlib
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.core.settings import TelemetrySettings
from agent.store.telemetry import TelemetryStore
from shared.errors import Reason, WorldError
from shared.runtime.clock import SystemEntropy
from tests.power.recording import On, fail, say, work_again
from tests.unit.readings_world import Plant, make_table

POINTS = 100


@dataclass
class Story:
    """What became of everything that was recorded."""

    recorded: int
    """Readings."""
    stored: int
    ledger: list[tuple[str, int]]
    balanced: bool
    troubles: list[str]
    """While the disk refused."""
    trouble_after: str


@dataclass
class Here(Plant):
    """A plant in one folder, with its journal elsewhere."""

    memory: Path = Path()

    @property
    def data(self) -> Path:
        return self.root

    @property
    def runtime(self) -> Path:
        return self.memory


async def work(plant: Plant, store: TelemetryStore, rows: int) -> set[str]:
    """Record, and commit now and then, as far as the disk lets us; return what was the matter."""
    troubles: set[str] = set()
    for row in range(rows):
        await plant.record(store)
        if row % (rows // 5) == 0:
            with contextlib.suppress(WorldError):
                await store.keep()
            await store.seal()
            await store.waiting()
            troubles.add(store.status.trouble)
    return troubles - {""}


async def main(folder: Path, on: On, error: int, rows: int, *, from_start: bool) -> None:
    """Record with a good disk, with one that refuses, and with a good one again."""
    with TemporaryDirectory() as memory:
        table = make_table(devices=1, points=POINTS)
        plant = Here(folder, table=table, settings=TelemetrySettings(), memory=Path(memory))
        if from_start:
            fail(on, error)
        store = await TelemetryStore.open(
            plant.data,
            plant.runtime,
            table,
            plant.settings,
            clock=plant.clock,
            entropy=SystemEntropy(),
        )
        troubles = set[str]()
        if not from_start:
            troubles = await work(plant, store, 100)
            assert not troubles
            fail(on, error)
        troubles = await work(plant, store, rows)
        work_again()
        await store.keep()
        await work(plant, store, 100)
        await store.seal()
        tally, ledger = await store.tally(), await store.ledger()
        story = Story(
            recorded=plant.given,
            stored=tally.stored,
            ledger=[(Reason(row.reason).text, row.count) for row in ledger],
            balanced=tally.sampled
            == tally.suppressed + tally.delivered + tally.stored + tally.lost
            == plant.given,
            troubles=sorted(troubles),
            trouble_after=store.status.trouble,
        )
        say(**asdict(story))
        await store.close()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(
        main(
            Path(sys.argv[1]),
            On(int(sys.argv[2])),
            int(sys.argv[3]),
            int(sys.argv[4]),
            from_start=sys.argv[5] == "1",
        )
    )
