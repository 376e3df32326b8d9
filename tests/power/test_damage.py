"""Damaged files: whatever byte of telemetry.db is wrong, or missing, the agent starts and says what
it lost."""

import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from agent.store.telemetry import TelemetryStore
from agent.store.telemetry_file import PAGE_BYTES
from shared.block.codec import decode
from shared.errors import Reason, WorldError
from shared.runtime.clock import SystemEntropy
from tests.length import AT_LENGTH
from tests.power.test_power_cuts import memory
from tests.unit.readings_world import Plant, make_table

__all__ = ["memory"]

EVERY = 100
SAMPLE = 10 if not AT_LENGTH else 1
"""`make test` looks at every tenth of these bytes."""

TYPES_BYTES = 20
Damage = tuple[int, int | None]
"""Which byte, and which of its bits is flipped; None: the file ends there."""


@pytest.fixture
async def sound(memory: Path) -> Plant:
    """Return a stopped agent's files: blocks sealed and acknowledged, a loss, an anchor to come."""
    plant = Plant(memory, table=make_table(devices=1, points=4), noisy=True, step_ms=1_000)
    async with plant.running() as store:
        for _ in range(20):
            await plant.record(store, 60)
            await store.seal()
    return plant


async def opened_after(plant: Plant, content: bytes, folder: Path) -> list[str]:
    """Open a store whose database holds `content`; return what does not hold."""
    folder.mkdir()
    (folder / "telemetry.db").write_bytes(content)
    began = time.monotonic()
    store = await TelemetryStore.open(
        folder,
        folder / "run",
        plant.table,
        plant.settings,
        clock=plant.clock,
        entropy=SystemEntropy(),
    )
    seconds = time.monotonic() - began
    try:
        row = plant.row()
        await store.record(row)
        await store.seal()
        sound = 0
        for _ in range(4):  # a contact finds what is damaged; the keeper mends it
            await store.seal()
            numbers = [one.seq for one in await store.waiting()]
            sound = sum(decode(data).count for data in await store.blocks(numbers))
            with suppress(WorldError):  # which looks once more before it gives the file up
                await store.keep()
        tally, ledger = await store.tally(), await store.ledger()
        trouble = store.status.trouble
    finally:
        await store.close()
    aside = any(".corrupt-" in one.name for one in folder.iterdir())
    lost = [one for one in ledger if one.reason == Reason.STORE_CORRUPT]
    promises = {
        "it works": not trouble,
        "the account adds up": tally.sampled
        == tally.suppressed + tally.delivered + tally.stored + tally.lost,
        "what is stored can be read": sound == tally.stored,
        "what was set aside is in the ledger, as an estimate": not aside
        or (len(lost) == 1 and lost[0].estimated),
        "it took less than two seconds": seconds < SLOWEST_S,
    }
    slowest[0] = max(slowest[0], seconds)
    return [promise for promise, holds in promises.items() if not holds]


SLOWEST_S = 60.0
"""A hang; how long it really took is printed."""
slowest = [0.0]


@pytest.mark.slow
@pytest.mark.timeout(600)  # hundreds of files opened on a busy machine
@pytest.mark.parametrize("damage", ["flipped", "cut"])
async def test_whatever_byte_is_damaged_the_agent_starts_and_its_account_adds_up(
    sound: Plant, memory: Path, damage: str
):
    chance = random.Random(20261122)
    size = sound.database.stat().st_size
    places = range(chance.randrange(EVERY * SAMPLE), size, EVERY * SAMPLE)
    damages = [(at, None if damage == "cut" else chance.randrange(8)) for at in places]
    await nothing_breaks(sound, memory / "damaged", damages)


@pytest.mark.timeout(600)  # hundreds of files opened on a busy machine
async def test_whatever_is_damaged_of_the_row_that_counts_the_agent_starts(
    sound: Plant, memory: Path
):
    whole = sound.database.read_bytes()
    with sqlite3.connect(sound.database) as db:
        [epoch] = db.execute("SELECT epoch FROM state").fetchone()
    db.close()
    # Its first value that takes bytes; of which types all of them are stands right before it.
    values = whole.index(epoch)
    page = values // PAGE_BYTES * PAGE_BYTES
    chance = random.Random(20261122)
    used = [at for at in range(page, page + PAGE_BYTES) if whole[at]]
    damages: list[Damage] = [(at, chance.randrange(8)) for at in used[:: 1 if AT_LENGTH else 3]]
    damages += [(at, bit) for at in range(values - TYPES_BYTES, values) for bit in range(8)]
    await nothing_breaks(sound, memory / "damaged", damages)


async def nothing_breaks(sound: Plant, folder: Path, damages: Sequence[Damage]) -> None:
    """Damage one place at a time, and look whether every promise is kept then."""
    whole = sound.database.read_bytes()
    broken: Counter[str] = Counter()
    for place, bit in damages:
        content = bytearray(whole)
        if bit is None:
            del content[place:]
        else:
            content[place] ^= 1 << bit
        for promise in await opened_after(sound, bytes(content), folder):
            broken[f"{promise} (bit {bit} at {place} of {len(whole)})"] += 1
        shutil.rmtree(folder)
    print(f"{len(damages)} places: opened within {slowest[0]:.2f} s")
    assert not broken


async def test_a_sound_file_is_not_touched(sound: Plant, memory: Path):
    with sqlite3.connect(sound.database) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    assert await opened_after(sound, sound.database.read_bytes(), memory / "again") == []
