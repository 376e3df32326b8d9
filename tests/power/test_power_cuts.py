"""The power goes at any operation, the disk keeps what it likes: nothing promised is lost.

Programs over the real stores are recorded; the files of each moment are rebuilt with every liberty
that a disk has, opened by the real stores, and asked. Controls that must fail stand beside.
"""

import os
import random
import secrets
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.length import AT_LENGTH
from tests.power import agent_check, coordinator_writer
from tests.power.disk import cuts
from tests.power.recording import CARELESS, MEMORY, Kind, Operation, record
from tests.tally import tried

CUTS = 2_000 if AT_LENGTH else 150
TURNS = 120
SEED = "OUTSTATION_SEED"
"""Repeats what a failure names."""

Check = Callable[[Path, Sequence[Operation]], Awaitable[list[str]]]


@pytest.fixture
def memory() -> Iterator[Path]:
    """Return a folder whose syncs cost nothing."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def recorded(memory: Path, module: str, seed: int, **environ: str) -> list[Operation]:
    folder = memory / "recorded"
    folder.mkdir()
    return record(folder, module, [str(TURNS), str(seed)], environ=environ)


async def broken_promises(
    memory: Path,
    operations: Sequence[Operation],
    check: Check,
    *,
    seed: int,
    honest: bool = True,
    count: int = CUTS,
) -> Counter[str]:
    """Cut the power `count` times; return how often each promise was broken, and how."""
    broken: Counter[str] = Counter()
    moments = cuts(operations, count, random.Random(seed), honest=honest)
    for number, (moment, cut, image) in enumerate(moments):
        folder = memory / f"cut-{number}"
        folder.mkdir()
        for name, content in image.items():
            (folder / name).write_bytes(content)
        for promise in await check(folder, operations[:moment]):
            broken[f"{promise} ({cut} at {moment})"] += 1
        shutil.rmtree(folder)
    if not broken:
        tried(power_cuts=count)
    return broken


async def check_agent(folder: Path, before: Sequence[Operation]) -> list[str]:
    return await agent_check.check(folder, agent_check.Said.until(before))


async def check_coordinator(folder: Path, before: Sequence[Operation]) -> list[str]:
    said = [one.said for one in before if one.kind is Kind.SAID]
    return await coordinator_writer.check_files(folder, said)


PROGRAMS: dict[str, Check] = {
    "tests.power.agent_writer": check_agent,
    "tests.power.coordinator_writer": check_coordinator,
}
both = pytest.mark.parametrize("program", PROGRAMS)


@both
@pytest.mark.slow
@pytest.mark.timeout(900)  # thousands of files opened on a busy machine
async def test_a_power_cut_breaks_no_promise(memory, program):
    seed = int(os.environ.get(SEED, secrets.randbelow(1 << 30)))
    operations = recorded(memory, program, seed)
    broken = await broken_promises(memory, operations, PROGRAMS[program], seed=seed)
    assert not broken, f"repeat with {SEED}={seed}: {broken}"


@both
async def test_a_store_that_does_not_wait_for_its_disk_is_found_out(memory, program):
    operations = recorded(memory, program, 1, **{CARELESS: "1"})
    assert await broken_promises(memory, operations, PROGRAMS[program], seed=1, count=60)


@both
async def test_a_disk_that_lies_about_its_syncs_is_found_out(memory, program):
    operations = recorded(memory, program, 2)
    check = PROGRAMS[program]
    assert await broken_promises(memory, operations, check, seed=2, honest=False, count=60)
