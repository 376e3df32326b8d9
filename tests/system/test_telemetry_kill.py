"""A real process, killed with SIGKILL at random moments: what was recorded is there, once."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.core.open_rows import OpenRow
from agent.core.settings import TelemetrySettings
from agent.store.telemetry import TelemetryStore
from shared.block.codec import decode
from shared.runtime.clock import SystemClock, SystemEntropy
from tests.unit.readings_world import make_table

LIVES = 12


def live_and_die(data_dir: Path, runtime_dir: Path, first: int, rows: int) -> list[int]:
    """Run a process until it has said that it recorded `rows`; kill it; return all it said."""
    command = [sys.executable, "-m", "tests.system.telemetry_child"]
    with subprocess.Popen(
        [*command, str(data_dir), str(runtime_dir), str(first)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        said = [int(child.stdout.readline()) for _ in range(rows)]
        child.kill()
        # What it had already written into the pipe was recorded as well; a line cut short was not
        # said to anybody.
        said += [
            int(line) for line in child.stdout.read().splitlines(keepends=True) if line[-1:] == "\n"
        ]
    return said


async def numbers_found(store: TelemetryStore) -> Counter[int]:
    """Return how often each row's number is in a block or open."""
    database = store._file.usable
    assert database
    blocks = await database.read(lambda db: db.execute("SELECT data FROM block").fetchall())
    found: Counter[int] = Counter()
    for (data,) in blocks:
        for group in decode(data).groups:
            found.update(value for value in group.columns[0] if isinstance(value, int))
    for item in store._open.items():
        assert isinstance(item, OpenRow)
        found.update(value for value in item.row.values[:1] if isinstance(value, int))
    return found


@pytest.mark.slow
async def test_no_recorded_row_is_lost_or_repeated_however_often_the_process_is_killed(tmp_path):
    data_dir, runtime_dir = tmp_path / "data", tmp_path / "run"
    data_dir.mkdir()
    chance = random.Random(20261122)
    said: list[int] = []
    for life in range(LIVES):
        said += live_and_die(data_dir, runtime_dir, life * 1_000_000, chance.randrange(1, 400))
    store = await TelemetryStore.open(
        data_dir,
        runtime_dir,
        make_table(devices=1, points=2),
        TelemetrySettings(),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    try:
        found = await numbers_found(store)
        tally = await store.tally()
        ledger = await store.ledger()
    finally:
        await store.close()
    assert set(said) <= found.keys()
    assert set(found.values()) == {1}
    # A row that was in the journal when its process died, before it could say so: one per life.
    assert len(found) - len(said) <= LIVES
    assert ledger == []
    assert tally.sampled == tally.stored == 2 * len(found)
