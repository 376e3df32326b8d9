"""One commit's work on a real database, also when it runs a second time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.core.open_rows import Gap, OpenRow
from agent.core.retention import Room
from agent.store.blocks import Commit, commit, held
from agent.store.ledger import Ledger
from agent.store.recovery import Attach, attach
from agent.store.shelf import used_bytes
from agent.store.telemetry_file import SCHEMA
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import StoreEpoch
from shared.runtime.db import Database
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


@asynccontextmanager
async def attached(plant: Plant) -> AsyncIterator[tuple[Database, Ledger]]:
    """Open a fresh database that belongs to a journal already."""
    ledger = Ledger()
    plan = Attach(
        epoch=StoreEpoch(bytes(16)),
        journal=b"journal1",
        last_row=0,
        found=(),
        before=None,
        at=plant.clock.now(),
        interval_ms=1_000,
        per_day=0,
        room=Room(max_bytes=1 << 20),
    )
    async with Database.open(plant.database, schema=SCHEMA, exclusive=True) as db:
        await db.transact(lambda connection: attach(connection, ledger, plan), durable=False)
        yield db, ledger


def plan_of(plant: Plant, *items, frees=()) -> Commit:
    return Commit(
        items=items,
        frees=frees,
        schema=plant.table.schema,
        at=plant.clock.now(),
        room=Room(max_bytes=1 << 20),
    )


async def test_a_commit_whose_success_nobody_heard_of_adds_nothing_when_it_is_repeated(plant):
    rows = [OpenRow.of(number, plant.row(), 100) for number in (1, 2, 3)]
    gap = Gap(
        number=4,
        last=6,
        readings=9,
        suppressed=1,
        first_ms=WallMs(5),
        last_ms=WallMs(7),
        reason=Reason.STORE_FULL,
    )
    async with attached(plant) as (db, ledger):
        again = plan_of(plant, *rows, gap)
        for _ in range(2):
            state, _ = await db.transact(lambda c: commit(c, ledger, again), durable=False)
            assert state.tally == Tally(19, 1, 0, 9, 9)
            assert (state.next_block, state.next_loss, state.last_row) == (2, 2, 6)
        more = plan_of(plant, *rows, gap, OpenRow.of(7, plant.row(), 100))
        state, _ = await db.transact(lambda c: commit(c, ledger, more), durable=False)
        assert state.tally == Tally(22, 1, 0, 12, 9)


async def test_what_is_freed_makes_room_for_what_the_same_commit_brings(plant):
    plant.noisy = True
    async with attached(plant) as (db, ledger):
        first = plan_of(plant, *(OpenRow.of(n, plant.row(), 100) for n in range(1, 1_001)))
        await db.transact(lambda c: commit(c, ledger, first), durable=False)
        before = await db.read(used_bytes)
        second = plan_of(
            plant,
            *(OpenRow.of(n, plant.row(), 100) for n in range(1_001, 2_001)),
            frees=(Freed(Ranges.of([1]), (), 0, 0, ()),),
        )
        state, _ = await db.transact(lambda c: commit(c, ledger, second), durable=False)
        assert await db.read(used_bytes) <= before + 4096
        assert state.tally == Tally(6_000, 0, 3_000, 3_000, 0)


async def test_what_a_file_holds_is_known_with_its_times(plant):
    async with attached(plant) as (db, ledger):
        rows = [OpenRow.of(number, plant.row(), 100) for number in (1, 2)]
        state, known = await db.transact(
            lambda c: commit(c, ledger, plan_of(plant, *rows)), durable=False
        )
        assert known == await db.read(lambda c: held(c, state))
        assert known.readings == 6
        assert (known.first_ms, known.last_ms) == (rows[0].row.at.wall_ms, rows[1].row.at.wall_ms)
