"""kill -9 right before any operation on the disk: nothing that was written before it is lost.

Both programs' real stores run in a process of their own; the recorder ends it before the operation
that is drawn. What it said until then is asked of the files it left, opened by the real stores.
"""

import os
import random
import secrets
import signal

import pytest

from tests.length import AT_LENGTH
from tests.power.recording import FAULT, KILL, On, record
from tests.power.test_power_cuts import PROGRAMS, SEED, memory
from tests.tally import tried

__all__ = ["memory"]

KILLS = 40 if AT_LENGTH else 5
LAST = 250
"""Operations from which one is drawn; a run of this many turns makes some more."""


@pytest.mark.slow
@pytest.mark.timeout(600)  # forty processes on a busy machine
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_kill_before_any_operation_loses_nothing(memory, program):
    seed = int(os.environ.get(SEED, secrets.randbelow(1 << 30)))
    chance = random.Random(seed)
    killed = 0
    for life, moment in enumerate(chance.choices(range(LAST), k=KILLS)):
        folder = memory / f"life-{life}"
        folder.mkdir()
        kinds = chance.choice([On.WRITE, On.SYNC, On.WRITE | On.SYNC | On.NAME])
        operations = record(
            folder,
            program,
            ["25", str(seed + life)],
            environ={FAULT: f"{int(kinds)} {KILL} {moment} 1"},
            ends=(0, -signal.SIGKILL),
        )
        broken = await PROGRAMS[program](folder, operations)
        assert not broken, f"repeat with {SEED}={seed}: killed before {moment} {kinds!r}: {broken}"
        killed += 1
    tried(kill_points=killed)
