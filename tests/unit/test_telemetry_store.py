"""The readings' store through its public face: recorded, sealed, freed, lost, and found again."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from agent.core.ports import PollRow
from agent.core.settings import TelemetrySettings
from shared import limits
from shared.block.codec import decode, read_header
from shared.errors import MistakeError, Reason
from shared.model.reading import Quality, schema_ref
from shared.sync.outgoing import Freed, Had
from shared.sync.ranges import Ranges
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant, stored_values


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


def freed(*blocks: int, rejected=(), ledger_to: int = 0, wanted=()) -> Freed:
    return Freed(Ranges.of(blocks), tuple(rejected), 0, ledger_to, tuple(wanted))


def is_balanced(tally: Tally) -> bool:
    return tally.sampled == tally.suppressed + tally.delivered + tally.stored + tally.lost


async def test_a_row_is_on_no_disk_but_in_the_journal_before_it_is_sealed(plant):
    async with plant.running() as store:
        before = plant.database.stat().st_size
        [journal] = plant.journals()
        empty = journal.stat().st_size
        await plant.record(store, 50)
        assert plant.database.stat().st_size == before
        assert journal.stat().st_size > empty
        assert await store.waiting() == []
        assert await store.tally() == Tally(150, 0, 0, 150, 0)


async def test_sealed_blocks_hold_exactly_what_was_recorded(plant):
    async with plant.running() as store:
        values = await plant.record(store, 5, group=0)
        values += await plant.record(store, 5, group=1)
        await store.seal()
        [candidate] = await store.waiting()
        [data] = await store.blocks([candidate.seq])
        block = decode(data)
        assert sorted(await stored_values(store)) == sorted(values)
        assert block.schema == schema_ref(plant.table.schema.hash)
        assert (block.seq, block.count, candidate.size) == (1, 30, len(data))
        assert block.epoch == store.epoch[:2]
        assert store.next_block == 2


async def test_a_device_that_did_not_answer_still_counts(plant):
    async with plant.running() as store:
        row = plant.row()
        silent = PollRow(
            channels=row.channels,
            at=row.at,
            values=[None, None, None],
            qualities=[Quality.BAD_COMM] * 3,
        )
        await store.record(silent)
        await store.seal()
        [data] = await store.blocks([1])
        assert read_header(data).count == 3
        assert await store.tally() == Tally(3, 0, 0, 3, 0)


async def test_what_was_held_back_counts_as_suppressed(plant):
    async with plant.running() as store:
        row = plant.row()
        held_back = PollRow(
            channels=row.channels,
            at=row.at,
            values=[1.5, None, None],
            qualities=[Quality.GOOD] * 3,
            suppressed=2,
        )
        nothing = PollRow(
            channels=row.channels,
            at=row.at,
            values=[None, None, None],
            qualities=[Quality.GOOD] * 3,
            suppressed=3,
        )
        for one in (held_back, nothing):
            await store.record(one)
        assert await store.tally() == Tally(6, 5, 0, 1, 0)
        await store.seal()
        assert await store.tally() == Tally(6, 5, 0, 1, 0)


async def test_freeing_delivers_and_forgets_at_once_and_after_a_restart(plant):
    async with plant.running() as store:
        for _ in range(3):
            await plant.record(store, 2)
            await store.seal()
        await store.free(freed(1, 3))
        assert [one.seq for one in await store.waiting()] == [2]
        assert await store.tally() == Tally(18, 0, 12, 6, 0)
    async with plant.running() as store:
        assert [one.seq for one in await store.waiting()] == [2]
        assert await store.tally() == Tally(18, 0, 12, 6, 0)


async def test_freeing_the_same_block_again_changes_nothing(plant):
    async with plant.running() as store:
        await plant.record(store, 2)
        await store.seal()
        await store.free(freed(1))
        await store.free(freed(1))
        assert await store.tally() == Tally(6, 0, 6, 0, 0)
        await plant.record(store)
        await store.seal()
        await store.free(freed(1))
        assert await store.tally() == Tally(9, 0, 6, 3, 0)


async def test_numbers_are_never_given_twice_even_when_every_block_is_gone(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        await store.free(freed(1))
    async with plant.running() as store:
        assert store.next_block == 2
        await plant.record(store)
        await store.seal()
        assert [one.seq for one in await store.waiting()] == [2]


async def test_a_rejected_block_is_set_aside_and_its_loss_is_written_down(plant):
    async with plant.running() as store:
        await plant.record(store, 4)
        await store.seal()
        await store.free(freed(rejected=[(1, Reason.BLOCK_CONFLICT)]))
        assert await store.waiting() == []
        [row] = await store.ledger()
        assert (row.number, row.reason, row.count, row.estimated) == (
            1,
            Reason.BLOCK_CONFLICT,
            12,
            False,
        )
        assert row.first_ms <= row.last_ms
        assert await store.tally() == Tally(12, 0, 0, 0, 12)
        kept = await store._file.usable.read(
            lambda db: db.execute("SELECT seq FROM quarantine").fetchall()
        )
        assert kept == [(1,)]


async def test_acknowledged_ledger_rows_go_and_their_numbers_are_not_given_again(plant):
    async with plant.running() as store:
        for number in (1, 2):
            await plant.record(store)
            await store.seal()
            await store.free(freed(rejected=[(number, Reason.BLOCK_MALFORMED)]))
            assert [row.number for row in await store.ledger()][-1] == number
        await store.free(freed(ledger_to=1))
        assert [row.number for row in await store.ledger()] == [2]
        await store.free(freed(ledger_to=2))
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        await store.free(freed(rejected=[(3, Reason.BLOCK_MALFORMED)]))
        assert [row.number for row in await store.ledger()] == [3]


async def test_losses_that_a_coordinator_from_a_copy_lacks_are_told_again_as_they_were(plant):
    async with plant.running() as store:
        for number in (1, 2, 3):
            await plant.record(store)
            await store.seal()
            await store.free(freed(rejected=[(number, Reason.BLOCK_MALFORMED)]))
            await store.ledger()
        before = await store.ledger()
        await store.free(freed(ledger_to=3))
        assert await store.ledger() == []
    async with plant.running() as store:
        had = replace(freed(), had=Had(restore_epoch=77, receipts_to=0, ledger_to=1))
        await store.free(had)
        assert await store.ledger() == before[1:]
        assert is_balanced(await store.tally())
        await store.free(freed(ledger_to=3))
        await store.free(had)
        assert await store.ledger() == before[1:], "again is harmless"


async def test_a_block_whose_priority_was_damaged_is_still_delivered(plant):
    async with plant.running() as store:
        await plant.record(store, 60)
        await store.seal()
    with closing(sqlite3.connect(plant.database)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE block SET priority = 10")
        db.commit()
    async with plant.running() as store:
        assert len(await store.waiting()) == 1


async def test_a_ledger_row_that_was_shown_never_changes_again(plant):
    async with plant.running() as store:
        for number in (1, 2):
            await plant.record(store)
            await store.seal()
            await store.free(freed(rejected=[(number, Reason.BLOCK_MALFORMED)]))
        # Both losses of one reason came before anybody looked: one row.
        [shown] = await store.ledger()
        assert shown.count == 6
        await plant.record(store)
        await store.seal()
        await store.free(freed(rejected=[(3, Reason.BLOCK_MALFORMED)]))
        assert [row.count for row in await store.ledger()] == [6, 3]


async def test_a_schema_is_offered_until_a_reply_frees_a_block_that_used_it(plant):
    async with plant.running() as store:
        await plant.record(store)
        assert await store.unsent_schemas() == []
        await store.seal()
        assert await store.unsent_schemas() == [plant.table.schema.encode()]
        await store.free(freed(1))
        assert await store.unsent_schemas() == []
        await plant.record(store)
        await store.seal()
        assert await store.unsent_schemas() == []


async def test_a_schema_that_the_coordinator_wants_is_offered_again_by_its_short_name(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        await store.free(freed(1))
        wanted = schema_ref(plant.table.schema.hash)
        await store.free(freed(wanted=[wanted]))
        assert await store.unsent_schemas() == [plant.table.schema.encode()]
        await store.free(freed())
        assert await store.unsent_schemas() == []


async def test_a_full_store_gives_up_its_oldest_blocks_and_says_so(tmp_path):
    room = TelemetrySettings(storage_max_bytes=96 * 1024)
    # So far apart that nothing can be thinned.
    plant = Plant(tmp_path, settings=room, noisy=True, step_ms=900_000)
    async with plant.running() as store:
        for _ in range(30):
            await plant.record(store, 200)
            await store.seal()
        waiting = [one.seq for one in await store.waiting()]
        assert waiting == list(range(waiting[0], 31))
        assert waiting[0] > 1
        [row] = await store.ledger()
        tally = await store.tally()
        assert (row.reason, row.estimated) == (Reason.STORE_QUOTA, False)
        assert row.count == tally.lost == (waiting[0] - 1) * 600
        assert is_balanced(tally)
        assert tally.sampled == 18_000
        assert plant.database.stat().st_size < 128 * 1024


async def test_a_block_that_the_disk_altered_is_not_sent_but_written_down(plant):
    async with plant.running() as store:
        for _ in range(2):
            await plant.record(store)
            await store.seal()
        await store._file.usable.transact(
            lambda db: db.execute(
                "UPDATE block SET data = CAST(substr(data, 1, 20) || x'00' AS BLOB) WHERE seq = 1"
            ),
            durable=False,
        )
        assert len(await store.blocks([1, 2])) == 1
        assert [one.seq for one in await store.waiting()] == [2]
        [row] = await store.ledger()
        assert (row.reason, row.count) == (Reason.BLOCK_CHECKSUM, 3)
        assert await store.tally() == Tally(6, 0, 0, 3, 3)


async def test_blocks_that_a_contact_may_announce_waited_for_the_disk(plant):
    async with plant.running() as store:
        await plant.record(store, limits.BLOCK_POINTS // 3 + 1)
        await store.keep()
        assert store.next_block == 2
        database = store._file.usable
        before = database.counters.durable_commits
        await store.waiting()
        assert database.counters.durable_commits == before + 1
        await store.waiting()
        assert database.counters.durable_commits == before + 1
        await plant.record(store)
        await store.seal()
        assert database.counters.durable_commits == before + 2


async def test_what_a_reply_frees_costs_no_commit_of_its_own(plant):
    async with plant.running() as store:
        await plant.record(store)
        await store.seal()
        commits = store._file.usable.counters.commits
        await store.free(freed(1))
        assert await store.waiting() == []
        assert await store.ledger() == []
        assert await store.tally() == Tally(3, 0, 3, 0, 0)
        assert store._file.usable.counters.commits == commits


async def test_a_long_backlog_is_seen_although_all_that_was_looked_at_is_freed(plant):
    async with plant.running() as store:
        looked_at = limits.WAITING_BLOCKS
        many = 2 * looked_at + 10
        for _ in range(many):
            await plant.record(store)
            await store.seal()
        middle = range(looked_at + 1, looked_at + 11)
        await store.free(freed(*(number for number in range(1, many + 1) if number not in middle)))
        assert [one.seq for one in await store.waiting()] == [*middle]


# --- what a person got wrong --------------------------------------------------------------------
async def test_a_database_of_a_newer_program_is_refused_and_left_alone(plant):
    async with plant.running() as store:
        await plant.record(store)
    with closing(sqlite3.connect(plant.database)) as db:
        db.execute("INSERT INTO schema_migration VALUES (99, 'of_tomorrow', x'00')")
        db.execute("PRAGMA user_version = 99")
        db.commit()
    before = plant.database.read_bytes()
    with pytest.raises(MistakeError, match="version 99"):
        await plant.open()
    assert plant.database.read_bytes() == before


async def test_a_version_that_no_step_vouches_for_is_damage(plant):
    async with plant.running() as store:
        await plant.record(store)
    with closing(sqlite3.connect(plant.database)) as db:
        db.execute("PRAGMA user_version = 99")
    async with plant.running() as store:
        assert [row.reason for row in await store.ledger()] == [Reason.STORE_CORRUPT]
        assert is_balanced(await store.tally())


@pytest.mark.slow  # as long as SQLite waits for another process
async def test_a_second_process_is_refused_before_it_touches_the_journal(plant):
    async with plant.running() as store:
        await plant.record(store, 2)
        [journal] = plant.journals()
        before = journal.read_bytes()
        with pytest.raises(MistakeError, match="another process"):
            await plant.open()
        assert plant.journals() == [journal]
        assert journal.read_bytes() == before
