"""Disks that are full, read-only or broken, under a real process: it goes on, and forgets nothing.

The faults are injected below SQLite, where the kernel would report them; what the process does
about them is its own.
"""

import errno
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.length import AT_LENGTH
from tests.power.fault_writer import Story
from tests.power.recording import FAULT, Kind, On, record
from tests.power.test_power_cuts import broken_promises, check_agent, memory
from tests.tally import tried

__all__ = ["memory"]

FAULTS = {
    "full": (On.WRITE, errno.ENOSPC),
    "read-only": (On.WRITE | On.NAME, errno.EROFS),
    "broken": (On.WRITE | On.SYNC | On.NAME, errno.EIO),
    "sync fails": (On.SYNC, errno.EIO),
}
MOMENTS = 30 if AT_LENGTH else 6
"""Syncs and writes that fail once, each in a life of its own."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_refuses_for_a_while_costs_no_reading(memory: Path, fault: str):
    on, error = FAULTS[fault]
    [story] = told(memory, on, error, rows=600)
    assert story.troubles, "the alarm is visible while the disk refuses"
    assert not story.trouble_after
    assert story.stored == story.recorded
    assert story.ledger == []
    assert story.balanced


def test_a_disk_that_refuses_for_too_long_costs_what_memory_cannot_hold(memory: Path):
    [story] = told(memory, On.WRITE, errno.ENOSPC, rows=15_000)
    assert story.balanced
    (loss,) = story.ledger
    assert loss[0] == "store_full"
    assert story.stored + loss[1] == story.recorded
    assert 0 < loss[1] < story.recorded


@pytest.mark.parametrize("fault", FAULTS)
def test_an_agent_starts_on_a_disk_that_refuses_and_moves_in_when_it_can(memory: Path, fault: str):
    on, error = FAULTS[fault]
    [story] = told(memory, on, error, rows=200, from_start=True)
    assert story.troubles
    assert not story.trouble_after
    assert story.stored == story.recorded
    assert story.ledger == []


def told(memory: Path, on: On, error: int, *, rows: int, from_start: bool = False) -> list[Story]:
    folder = memory / "data"
    folder.mkdir()
    arguments = [str(int(on)), str(error), str(rows), str(int(from_start))]
    operations = record(folder, "tests.power.fault_writer", arguments)
    assert any(one.kind is Kind.FAILED for one in operations), "the disk did refuse"
    return [Story(**one.said) for one in operations if one.kind is Kind.SAID]


@pytest.mark.slow
@pytest.mark.timeout(600)  # sixty processes on a busy machine
@pytest.mark.parametrize(
    ("on", "error", "last"),
    [(On.SYNC, errno.EIO, 40), (On.WRITE, errno.EIO, 150), (On.WRITE, errno.ENOSPC, 150)],
    ids=["sync", "write", "full"],
)
async def test_one_failed_operation_and_a_power_cut_later_break_no_promise(memory, on, error, last):
    chance = random.Random(int(on) + error)
    broken: Counter[str] = Counter()
    reached = 0
    for life, moment in enumerate(chance.choices(range(1, last), k=MOMENTS)):
        folder = memory / f"life-{life}"
        folder.mkdir()
        operations = record(
            folder,
            "tests.power.agent_writer",
            ["25", str(moment)],
            environ={FAULT: f"{int(on)} {error} {moment} 1"},
        )
        reached += any(one.kind is Kind.FAILED for one in operations)
        broken += await broken_promises(memory, operations, check_agent, seed=moment, count=10)
    assert reached > MOMENTS // 2
    assert not broken
    tried(fsync_faults=reached if on is On.SYNC else 0, disk_faults=reached)
