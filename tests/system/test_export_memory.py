"""A file of a million readings needs no more memory than one of fifty thousand."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from coordinator.store.sqlite import SqliteStore
from tests.readings_office import AGENT, NOW, add_agent, block, bring, group

ROWS = 4_000
COPIES = 250
MORE_MB = 48
"""What a process may grow by between the two files: less than a tenth of the large one's rows."""

_CHILD = """
import asyncio, json, resource, sys
from coordinator.core.downsample import Choice
from coordinator.core.series import Question
from coordinator.services.export import Export, export
from coordinator.store.sqlite import SqliteStore
from pathlib import Path

path, form, middle_ms = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

async def size(store, end_ms):
    asked = Question(agents=None, device="", point="", start_ms=-(2**53), end_ms=end_ms, limit=1)
    pieces = export(store, Export(asked, Choice(0, 0), newest_only=False), form)
    lines = length = 0
    async for piece in pieces:
        lines, length = lines + piece.count(b"\\n"), length + len(piece)
    return lines, length, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def main():
    async with await SqliteStore.open(path) as store:
        small, large = await size(store, middle_ms), await size(store, 2**53)
    print(json.dumps({"small": small, "large": large}))

asyncio.run(main())
"""


@pytest.fixture
async def million(tmp_path):
    """A database in which one block stands 250 times, each copy later than the one before."""
    path = tmp_path / "coordinator.db"
    one = block(
        1, group([NOW + 100 * row for row in range(ROWS)], [row % 50 for row in range(ROWS)])
    )
    span_ms = 100 * ROWS

    def copy(db):
        columns = [row[1] for row in db.execute("PRAGMA table_info(block)")]
        moved = {"seq": "seq + ?1", "shift_ms": "?2", "first_ms": "first_ms + ?2"}
        moved["last_ms"] = "last_ms + ?2"
        chosen = ", ".join(moved.get(name, name) for name in columns)
        statement = f"INSERT INTO block SELECT {chosen} FROM block WHERE seq = 1"
        db.executemany(statement, [(index, index * span_ms) for index in range(1, COPIES)])

    async with await SqliteStore.open(path) as store:
        await add_agent(store, AGENT)
        await bring(store, one)
        await store._writer.transact(copy, durable=False)
    return path, NOW + 12 * span_ms


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
async def test_memory_stays_flat_for_a_million_readings(million, form):
    path, middle_ms = million
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _CHILD,
        str(path),
        form,
        str(middle_ms),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    said = json.loads(out)
    if form == "csv":
        assert said["small"][0] == 12 * ROWS + 1
        assert said["large"][0] == COPIES * ROWS + 1
    assert said["large"][1] > 10 * said["small"][1]
    assert said["large"][2] - said["small"][2] < MORE_MB, said
