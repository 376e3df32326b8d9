"""The readings' store after kills, power cuts and damage."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.store.telemetry import TelemetryStore
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.clock import ClockState
from shared.errors import Reason, WorldError
from shared.model.reading import schema_ref
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant, make_table, stored_values


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


def is_balanced(tally: Tally) -> bool:
    return tally.sampled == tally.suppressed + tally.delivered + tally.stored + tally.lost


# --- kill -9 ------------------------------------------------------------------------------------
async def test_a_kill_loses_no_row_that_was_recorded(plant):
    async with plant.running() as store:
        values = await plant.record(store, 3)
        await store.seal()
        values += await plant.record(store, 4, group=1)
        plant.kill()
    async with plant.running() as store:
        assert store.status.open_readings == 12
        assert await store.tally() == Tally(21, 0, 0, 21, 0)
        await store.seal()
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_a_kill_between_the_commit_and_the_journal_repeats_no_row(plant):
    async with plant.running() as store:
        values = await plant.record(store, 4)
        # As if the process died right after the database had committed: the journal is still full.
        [journal] = plant.journals()
        full = journal.read_bytes()
        await store.seal()
        journal.write_bytes(full)
        plant.kill()
    async with plant.running() as store:
        assert store.status.open_readings == 0
        await store.seal()
        assert await stored_values(store) == values


async def test_a_kill_after_recovery_was_settled_repeats_no_row(plant):
    async with plant.running() as store:
        values = await plant.record(store, 4)
        plant.kill()
    # Another schema: what was open is sealed by the start itself, and its journal removed.
    before = [path.read_bytes() for path in plant.journals()], plant.journals()
    plant.table = make_table(devices=3)
    async with plant.running() as store:
        assert await stored_values(store) == values
        for data, path in zip(*before, strict=True):
            path.write_bytes(data)
        plant.kill()
    async with plant.running() as store:
        await store.seal()
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_a_row_cut_short_by_the_kill_is_no_damage(plant):
    async with plant.running() as store:
        values = await plant.record(store, 2)
        plant.kill()
    with plant.journals()[0].open("ab") as file:
        file.write(b"\x40\x00\x00\x00half")
    async with plant.running() as store:
        assert await store.ledger() == []
        values += await plant.record(store, 2)
        plant.kill()
    async with plant.running() as store:
        await store.seal()
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_rows_of_an_old_configuration_keep_their_meaning(plant):
    async with plant.running() as store:
        values = await plant.record(store, 2)
        old = plant.table.schema
        plant.kill()
    plant.table = make_table(devices=1, points=2)
    async with plant.running() as store:
        values += await plant.record(store, 1)
        await store.seal()
        first, second = (decode(data) for data in await store.blocks([1, 2]))
        assert first.schema == schema_ref(old.hash)
        assert second.schema == schema_ref(plant.table.schema.hash)
        assert await stored_values(store) == values
        assert [Schema.decode(data) for data in await store.unsent_schemas()] == [
            old,
            plant.table.schema,
        ]


async def test_frees_that_a_kill_forgot_come_back_as_waiting(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        await store.free(Freed(Ranges.of([1]), (), 0, 0, ()))
        plant.kill()
    async with plant.running() as store:
        assert [one.seq for one in await store.waiting()] == [1]
        assert await store.tally() == Tally(3, 0, 0, 3, 0)


async def test_a_clean_stop_leaves_neither_journal_nor_estimate(plant):
    async with plant.running() as store:
        await plant.record(store, 2)
    assert plant.journals() == []
    plant.clock.reboot(off_ms=86_400_000)
    async with plant.running() as store:
        assert await store.ledger() == []
        assert await store.tally() == Tally(6, 0, 0, 6, 0)


# --- power cuts ---------------------------------------------------------------------------------
async def test_a_power_cut_is_written_down_as_an_estimate_of_at_most_one_interval(plant):
    async with plant.running() as store:
        await plant.record(store, 2)
        await store.keep()
        await plant.record(store, 100)
        plant.clock.advance(200_000)
        plant.cut_power(off_ms=3 * 86_400_000)
    async with plant.running() as store:
        [row] = await store.ledger()
        # Six channels at one a second; 300 s of interval and 35 s until Linux writes pages back.
        assert (row.reason, row.estimated, row.count) == (Reason.UNCLEAN_STOP, True, 6 * 335)
        assert row.last_ms - row.first_ms == 335_000
        tally = await store.tally()
        assert tally == Tally(6 + 2010, 0, 0, 6, 2010)


async def test_an_estimate_is_as_long_as_the_outage_when_the_clock_can_tell(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        plant.cut_power(off_ms=20_000)
    async with plant.running() as store:
        [row] = await store.ledger()
        assert row.count == 6 * 20


async def test_a_journal_that_outlived_the_power_gives_its_rows_and_an_estimate_of_the_rest(plant):
    # Without memory to put it in, the journal is on the disk: what it still holds is good.
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        values = await plant.record(store, 5)
        plant.kill()
        plant.clock.reboot(off_ms=4_000)
    async with plant.running() as store:
        assert await stored_values(store) == [0.1, 0.2, 0.3, *values]
        [row] = await store.ledger()
        assert (row.reason, row.estimated) == (Reason.UNCLEAN_STOP, True)
        assert row.count == 6 * 4
        assert row.last_ms - row.first_ms == 4_000


async def test_a_boot_in_1970_still_gives_an_estimate(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        plant.cut_power()
        plant.clock.wall, plant.clock.state = 5_000, ClockState.UNSYNCED
    async with plant.running() as store:
        [row] = await store.ledger()
        assert (row.estimated, row.count) == (True, 6 * 335)


async def test_a_journal_that_vanished_within_one_boot_is_an_estimate_too(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.keep()
        plant.clock.advance(10_000)
        plant.kill()
    for journal in plant.journals():
        journal.unlink()
    async with plant.running() as store:
        [row] = await store.ledger()
        assert (row.reason, row.estimated, row.count) == (Reason.UNCLEAN_STOP, True, 60)
    # It is said once, not at every start.
    async with plant.running() as store:
        assert len(await store.ledger()) == 1


async def test_a_damaged_journal_gives_what_it_still_can_and_an_estimate_of_the_rest(plant):
    async with plant.running() as store:
        values = await plant.record(store, 3)
        plant.clock.advance(4_000)
        plant.kill()
    [journal] = plant.journals()
    data = bytearray(journal.read_bytes())
    data[-10] ^= 0xFF
    journal.write_bytes(data)
    async with plant.running() as store:
        assert await stored_values(store) == values[:6]
        [row] = await store.ledger()
        assert (row.reason, row.estimated, row.count) == (Reason.UNCLEAN_STOP, True, 6 * 4)
        assert is_balanced(await store.tally())


# --- corruption ---------------------------------------------------------------------------------
async def test_a_database_that_is_none_is_set_aside_and_readings_go_on(plant):
    async with plant.running() as store:
        old_epoch = store.epoch
        await plant.record(store, 3)
        await store.seal()
        values = await plant.record(store, 2)
        plant.kill()
    plant.database.write_bytes(b"no database at all" * 1000)
    plant.database.with_name("telemetry.db-wal").unlink()  # it alone would restore everything
    async with plant.running() as store:
        assert store.epoch != old_epoch
        assert plant.data.joinpath("telemetry.db.corrupt-1").exists()
        [row] = await store.ledger()
        # The journal remembers what the database held when it was last rewritten.
        assert (row.reason, row.estimated, row.count) == (Reason.STORE_CORRUPT, True, 9)
        values += await plant.record(store, 1)
        await store.seal()
        assert await stored_values(store) == values
        tally = await store.tally()
        assert tally == Tally(9 + 9, 0, 0, 9, 9)


async def test_a_corrupt_database_is_counted_although_the_process_died_before_it_could_say_so(
    plant,
):
    async with plant.running() as store:
        await plant.record(store, 3)
    # As a kill right after setting aside leaves it: the damaged file is gone, no new one begun.
    plant.database.rename(plant.database.with_name("telemetry.db.corrupt-1"))
    async with plant.running() as store:
        [row] = await store.ledger()
        assert (row.reason, row.estimated, row.count) == (Reason.STORE_CORRUPT, True, 9)


async def test_corruption_found_while_running_replaces_the_file_and_keeps_open_rows(tmp_path):
    plant = Plant(tmp_path, noisy=True)
    async with plant.running() as store:
        epoch = store.epoch
        await plant.record(store, 1_500)
        await store.seal()
        stored = (await store.tally()).stored
        open_values = await plant.record(store, 2)
        await spoil(plant, store)
        assert await store.waiting() == []
        open_values += await plant.record(store, 2)
        assert "corrupt" in store.status.trouble
        await store.keep()
        assert store.status.trouble == ""
        assert store.epoch != epoch
        assert await stored_values(store) == open_values
        [row] = await store.ledger()
        assert (row.reason, row.estimated, row.count) == (Reason.STORE_CORRUPT, True, stored)
        assert await store.tally() == Tally(stored + 12, 0, 0, 12, stored)
        assert plant.database.with_name("telemetry.db.corrupt-1").exists()


async def test_frees_of_a_file_that_was_replaced_touch_nothing_in_the_new_one(tmp_path):
    plant = Plant(tmp_path, noisy=True)
    async with plant.running() as store:
        await plant.record(store, 1_500)
        await store.seal()
        await spoil(plant, store)
        await store.waiting()
        await store.free(Freed(Ranges.of([1]), (), 0, 9, ()))
        await store.keep()
        await plant.record(store)
        await store.seal()
        assert [one.seq for one in await store.waiting()] == [1]
        assert [row.reason for row in await store.ledger()] == [Reason.STORE_CORRUPT]


async def spoil(plant: Plant, store: TelemetryStore) -> None:
    """Overwrite all but the first page of the database, as a dying card does."""
    database = store._file.usable
    assert database

    def forget(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        db.execute("PRAGMA shrink_memory").fetchall()

    await database.read(forget)
    size = plant.database.stat().st_size
    with plant.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@contextmanager
def unbound(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database whose identity may be anything, as after damage, and not so afterwards."""
    change = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'identity'"
    for words in ((" NOT NULL", "         "), ("         ", " NOT NULL")):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute(change, words)
        if words[0] == " NOT NULL":
            with closing(sqlite3.connect(path)) as db, db:
                yield db


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE state SET epoch = CAST(x'00' || substr(epoch, 2) AS BLOB)",
        "UPDATE identity SET epoch = CAST(x'00' || substr(epoch, 2) AS BLOB)",
        "UPDATE identity SET crc = crc + 1",
        "UPDATE identity SET epoch = NULL",
    ],
)
async def test_an_epoch_that_damage_altered_is_known_by_its_copy(plant, damage):
    async with plant.running() as store:
        values, epoch = await plant.record(store, 3), store.epoch
        await store.seal()
    with unbound(plant.database) as db:
        db.execute(damage)
    for _ in range(2):
        async with plant.running() as store:
            assert store.epoch == epoch, "or everything would be delivered once more"
            assert await stored_values(store) == values
    with sqlite3.connect(plant.database) as db:
        assert db.execute("SELECT epoch FROM identity").fetchone() == (epoch,)
    db.close()


async def test_a_file_that_does_not_say_whose_readings_it_has_is_set_aside(plant):
    async with plant.running() as store:
        await plant.record(store, 3)
        await store.seal()
        epoch = store.epoch
    with sqlite3.connect(plant.database) as db:
        db.execute("UPDATE state SET epoch = CAST(x'00' || substr(epoch, 2) AS BLOB)")
        db.execute("UPDATE identity SET crc = crc + 1")
    db.close()
    async with plant.running() as store:
        with pytest.raises(WorldError, match="whose readings"):
            await store.keep()  # it looks once more before it gives the file up
        await store.keep()
        assert store.epoch not in {epoch, b"\0" + epoch[1:]}
        [lost] = await store.ledger()
        assert (lost.reason, lost.estimated) == (Reason.STORE_CORRUPT, True)


async def test_a_file_whose_tables_refuse_what_is_counted_on_is_set_aside(plant):
    async with plant.running() as store:
        for _ in range(3):
            await plant.record(store, 3)
            await store.seal()
    with sqlite3.connect(plant.database) as db:
        db.execute("UPDATE state SET next_block = 2, sealed = 1")
    db.close()
    async with plant.running() as store:
        await plant.record(store, 3)
        for _ in range(2):  # it looks once more before it gives the file up
            with pytest.raises(WorldError, match="UNIQUE"):
                await store.keep()
        await store.keep()
        assert not store.status.trouble
        [lost] = await store.ledger()
        assert (lost.reason, lost.count) == (Reason.STORE_CORRUPT, 27)
