"""The readings' store while no disk takes anything: rows wait, and the oldest give way."""

import pytest

from agent.store.telemetry import TelemetryStore
from shared import limits
from shared.errors import Reason, WorldError
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant, make_table, stored_values


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


def is_balanced(tally: Tally) -> bool:
    return tally.sampled == tally.suppressed + tally.delivered + tally.stored + tally.lost


# --- a disk that refuses ------------------------------------------------------------------------
async def test_rows_wait_while_the_disk_is_full_and_go_on_when_it_is_not(tmp_path):
    plant = Plant(tmp_path, noisy=True)
    async with plant.running() as store:
        values = await plant.record(store)
        await page_limit(store, 1)
        values += await plant.record(store, 300)
        with pytest.raises(WorldError) as refused:
            await store.keep()
        assert refused.value.reason is Reason.STORE_FULL
        assert "full" in store.status.trouble
        await store.seal()
        assert await store.waiting() == []
        assert await store.tally() == Tally(903, 0, 0, 903, 0)
        await page_limit(store, 1_000_000)
        await store.keep()
        assert store.status.trouble == ""
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_whoever_hurries_is_told_whether_the_disk_took_it(tmp_path):
    plant = Plant(tmp_path, noisy=True)
    async with plant.running() as store:
        await page_limit(store, 1)
        values = await plant.record(store, 300)
        assert not await store.hasten()
        await page_limit(store, 1_000_000)
        assert await store.hasten()
        await store.seal()
        assert await stored_values(store) == values


async def test_a_kill_while_the_disk_is_full_loses_nothing_either(tmp_path):
    plant = Plant(tmp_path, noisy=True)
    async with plant.running() as store:
        await page_limit(store, 1)
        values = await plant.record(store, 300)
        await store.seal()
        plant.kill()
    async with plant.running() as store:
        await store.seal()
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_the_oldest_rows_give_way_when_no_disk_takes_them_for_too_long(tmp_path, monkeypatch):
    plant = Plant(tmp_path, noisy=True)
    monkeypatch.setattr(limits, "JOURNAL_BYTES", 40_000)
    async with plant.running() as store:
        await page_limit(store, 1)
        values = await plant.record(store, 400)
        await store.seal()
        assert await store.waiting() == []
        values += await plant.record(store, 600)
        assert sum(path.stat().st_size for path in plant.journals()) < 41_000
        before = await store.tally()
        assert is_balanced(before)
        assert (before.sampled, before.lost > 0) == (3_000, True)
        plant.kill()
    async with plant.running() as store:
        assert await store.tally() == before
        await store.seal()
        assert await store.tally() == before
        left = await stored_values(store)
        assert left == values[-len(left) :]
        [row] = await store.ledger()
        assert (row.reason, row.estimated) == (Reason.STORE_FULL, False)
        assert row.count == before.lost == 3_000 - len(left)


async def test_a_start_without_a_disk_records_all_the_same(plant):
    elsewhere = plant.data.with_name("unplugged")
    plant.data.rename(elsewhere)
    async with plant.running() as store:
        assert store.status.trouble
        values = await plant.record(store, 3)
        assert await store.waiting() == []
        assert await store.tally() == Tally(9, 0, 0, 9, 0)
        await store.seal()
        with pytest.raises(WorldError):
            await store.keep()
        elsewhere.rename(plant.data)
        await store.keep()
        assert store.status.trouble == ""
        assert await stored_values(store) == values
        assert await store.ledger() == []


async def test_rows_of_starts_without_a_disk_are_all_there_in_the_end(plant):
    async with plant.running() as store:
        values = await plant.record(store)
        await store.seal()
        values += await plant.record(store)
        plant.kill()
    elsewhere = plant.data.with_name("unplugged")
    for devices in (2, 3, 3):
        plant.data.rename(elsewhere)
        plant.table = make_table(devices)
        async with plant.running() as store:
            values += await plant.record(store)
            elsewhere.rename(plant.data)
            plant.kill()
        elsewhere = plant.data.with_name("unplugged")
    async with plant.running() as store:
        await store.seal()
        assert await stored_values(store) == values
        assert await store.ledger() == []
        assert len(plant.journals()) == 1


async def test_without_a_place_for_the_journal_readings_are_kept_and_a_kill_is_an_estimate(plant):
    plant.runtime.parent.mkdir(exist_ok=True)
    plant.runtime.write_text("a file where a folder should be")
    async with plant.running() as store:
        assert store.status.journal
        values = await plant.record(store, 2)
        await store.keep()
        assert await stored_values(store) == values
        plant.clock.advance(7_000)
        plant.kill()
    async with plant.running() as store:
        [row] = await store.ledger()
        assert (row.reason, row.count) == (Reason.UNCLEAN_STOP, 6 * 7)


async def page_limit(store: TelemetryStore, pages: int) -> None:
    """Let SQLite believe that the disk has room for so many pages and no more."""
    database = store._file.usable
    assert database
    await database.read(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
