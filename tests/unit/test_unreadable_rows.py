"""What jobs.db says is read as what was written, or known to be damaged."""

import sqlite3
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.core.executor import Conclusion
from agent.store.carried import CarriedStore, Parcel
from agent.store.stored import stored
from coordinator.core.ports import execute, fetch, fetch_one
from coordinator.transactions.receipts import reconcile_receipts
from shared.clock import WallMs
from shared.errors import Reason, WorldError
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.wire.codec import pack
from shared.wire.messages import VOID, Receipt
from tests.agent_parts import WALL, uid, write_job
from tests.jobs_box import Box, at, box
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted

__all__ = ["box", "store"]
DONE = Conclusion(state=TaskState.DONE)
EPOCH = b"J" * 16


async def run_job(box: Box, number: int, *, end: bool = True) -> None:
    await box.admit(number, (uid(number), write_job(5)), now=at(number))
    for claim in await box.claim(at(number)):
        if end:
            await box.end(claim, DONE, at(number))


async def damage(box: Box, statement: str, *values: object) -> None:
    def work(db: sqlite3.Connection) -> None:
        assert db.execute(statement, values).rowcount == 1

    await box.file.transact(work, durable=False)


async def on_a_stick(box: Box) -> list[Receipt]:
    """Return what a stick carries."""
    found: list[Receipt] = []

    def make(parcel: Parcel) -> bytes:
        found.extend(parcel.receipts)
        return b"an envelope"

    await CarriedStore(box.file).leave(
        make, WallMs(WALL), told_to=0, silent_ms=0, sealed=0, ledger_to=0
    )
    return found


@pytest.mark.parametrize("body", [b"\xc1", b"", pack([9, 9])])
async def test_an_unreadable_receipt_keeps_its_number_and_what_it_told_is_told_anew(
    box: Box, body: bytes
) -> None:
    await run_job(box, 1)
    await run_job(box, 2, end=False)
    before = await box.receipts()
    ended = max(one.number for one in before if one.execution == uid(1))
    await damage(box, "UPDATE outbox SET body = ? WHERE number = ?", body, ended)
    carried = await on_a_stick(box)
    assert [one.number for one in carried] == [one.number for one in before]
    assert [one for one in carried if not one.is_void] == [
        one for one in before if one.number != ended
    ]
    (void,) = [one for one in carried if one.is_void]
    assert (void.number, void.reason, void.execution) == (ended, Reason.STORE_CORRUPT, VOID)
    after = await box.receipts()
    assert after[: len(before)] == carried
    anew = {one.execution: one.state for one in after[len(before) :]}
    assert anew == {uid(1): ExecutionState.SUCCEEDED, uid(2): ExecutionState.IN_PROGRESS}
    assert await on_a_stick(box) == after
    assert await box.receipts() == after, "once"


async def test_a_receipt_under_another_number_than_its_own_is_unreadable(box: Box) -> None:
    await run_job(box, 1)
    first, *rest = await box.receipts()
    await damage(box, "UPDATE outbox SET body = ? WHERE number = ?", pack(rest[0]), first.number)
    again = await box.receipts()
    assert [one.number for one in again[: len(rest) + 1]] == [first.number, *map(_number, rest)]
    assert again[0].is_void


def _number(receipt: Receipt) -> int:
    return receipt.number


async def test_a_job_that_is_not_what_was_admitted_costs_the_file_and_nothing_else(
    box: Box, tmp_path: Path
) -> None:
    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    epoch = (await box.contact.standing()).jobs_epoch
    await damage(box, "UPDATE execution SET spec = ?", b"\xc1")
    with pytest.raises(WorldError) as caught:
        await box.claim(at(2))
    assert caught.value.reason is Reason.STORE_CORRUPT
    with pytest.raises(WorldError, match="not what was admitted"):
        await box.contact.standing()
    await box.file.heal()
    assert (await box.contact.standing()).jobs_epoch != epoch
    assert box.file.losses == 1
    assert len(list(tmp_path.glob("jobs.db.corrupt-*"))) == 1
    await run_job(box, 2)
    assert [one.execution for one in await box.receipts()][-1] == uid(2)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE execution SET spec = CAST(replace(spec, 'setpoint', 'setpoinu') AS BLOB)",
        "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'outbox'",
    ],
)
async def test_what_reads_well_and_was_never_written_costs_the_file_too(
    box: Box, damage: str
) -> None:
    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    await box.file.transact(lambda db: db.execute(damage), durable=False)
    with pytest.raises(WorldError) as caught:
        await run_job(box, 3)
    assert caught.value.reason is Reason.STORE_CORRUPT
    await box.file.heal()
    assert box.file.losses == 1
    await run_job(box, 2)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE task SET state = 18",
        "UPDATE task SET reason = 9999",
        "UPDATE execution SET state = 120",
        "INSERT INTO refusal (reason, count) VALUES (9999, 1)",
    ],
)
async def test_a_state_or_a_reason_that_there_is_none_of_is_found_at_the_start(
    box: Box, damage: str
) -> None:
    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    await box.file.transact(lambda db: db.execute(damage), durable=False)
    again = await box.again()
    try:
        assert again.file.losses == 1
        assert await again.claim(at(2)) == []
    finally:
        await again.file.close()


async def test_nothing_is_written_to_a_file_that_a_reader_found_damaged(box: Box) -> None:
    with pytest.raises(WorldError, match="a row that holds a JobSpec"):
        await box.file.read(lambda _: stored(b"\xc1", JobSpec, bound=9))
    with pytest.raises(WorldError) as caught:
        await box.admit(1, (uid(1), write_job(5)), now=at(1))
    assert caught.value.reason is Reason.STORE_CORRUPT
    await box.file.heal()
    await run_job(box, 1)


async def test_counters_that_damage_raised_shut_out_no_order(box: Box) -> None:
    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    before = (await box.contact.standing()).counters
    assert before is not None
    raised = pack(replace(before, epoch=9)) + b"\0\0\0\0"
    await damage(box, "UPDATE contact SET counters = ?", raised)
    after = (await box.contact.standing()).counters
    assert after is not None
    assert after.epoch == before.epoch


async def test_a_file_that_fails_once_is_kept_and_one_that_soon_fails_again_is_not(
    box: Box,
) -> None:
    def refused(_: sqlite3.Connection) -> None:
        raise WorldError(Reason.STORE_CORRUPT, "as the disk says")

    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    for losses in (0, 1):
        with pytest.raises(WorldError):
            await box.file.read(refused)
        with pytest.raises(WorldError):
            await box.claim(at(2))
        await box.file.heal()
        assert box.file.losses == losses
    await run_job(box, 2)


async def test_a_file_that_cannot_be_set_aside_at_once_is_later(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Path:
        raise OSError(28, "no room for a name")

    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    await damage(box, "UPDATE execution SET spec = ?", b"\xc1")
    for losses in (0, 1):
        with pytest.raises(WorldError):
            await box.claim(at(2))
        with monkeypatch.context() as disk:
            if not losses:
                disk.setattr("agent.store.jobs_file.set_aside_corrupt", refuse)
                with pytest.raises(WorldError, match="no room for a name"):
                    await box.file.heal()
        await box.file.heal()
        assert box.file.losses == losses
    await run_job(box, 2)


async def test_a_tale_whose_result_cannot_be_read_is_told_without_it(box: Box) -> None:
    await run_job(box, 1)
    await damage(
        box,
        "INSERT INTO tale (execution, device, state, reason, first_ms, last_ms, count, wall_ms,"
        " detail, result) VALUES (1, 'pump-1', ?, 0, 5, 6, 2, 7, 'twice', ?)",
        int(ExecutionState.SUCCEEDED),
        b"\xc1",
    )
    told = (await box.receipts())[-1]
    assert (told.count, told.detail, told.result) == (2, "twice", {"device": "pump-1"})


async def test_what_a_stick_asked_for_and_nobody_can_read_is_forgotten(box: Box) -> None:
    carried, epoch = CarriedStore(box.file), b"t" * 16
    spans = "INSERT INTO carried_asked (one, telemetry_epoch, spans) VALUES (1, ?, ?)"
    await damage(box, spans, epoch, pack([(3, 4)]))
    assert list(await carried.asked(epoch)) == [(3, 4)]
    await damage(box, "UPDATE carried_asked SET spans = ?", b"\xc1")
    assert list(await carried.asked(epoch)) == []


async def test_an_index_that_says_something_else_than_its_table_is_found_once_a_file_failed(
    box: Box, tmp_path: Path
) -> None:
    await box.admit(1, (uid(1), write_job(5)), now=at(1))
    await box.file.close()
    path = tmp_path / "jobs.db"
    with sqlite3.connect(path) as db:
        named = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_execution_1'"
        [(page,)] = db.execute(named).fetchall()
        [(size,)] = db.execute("PRAGMA page_size").fetchall()
    db.close()
    content = bytearray(path.read_bytes())
    content[content.index(uid(1), (page - 1) * size) + 15] ^= 0x40
    path.write_bytes(content)

    def refused(_: sqlite3.Connection) -> None:
        raise WorldError(Reason.STORE_CORRUPT, "as the disk says")

    again = await Box.open(tmp_path)
    try:
        assert again.file.losses == 0, "no check of a start compares them"
        with pytest.raises(WorldError):
            await again.file.read(refused)
        await again.file.heal()
        assert again.file.losses == 1
    finally:
        await again.file.close()


# --- the coordinator ------------------------------------------------------------------------------
async def heard(store, *receipts: Receipt) -> int:
    body = partial(reconcile_receipts, AGENT, EPOCH, receipts, now_ms=WallMs(NOW))
    return (await store.run(body, durable=True)).receipts_to


async def test_a_void_receipt_closes_the_gap_and_is_no_sign_of_an_older_card(store) -> None:
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await submitted(store)
    (grant,) = (await issued(store, NOW)).grants
    began = Receipt(1, grant.execution, "", ExecutionState.DELIVERED, 1, 0, NOW)
    ended = Receipt(3, grant.execution, "", ExecutionState.SUCCEEDED, 1, 0, NOW)

    def void(number: int) -> Receipt:
        return Receipt(number, VOID, "", 0, 0, int(Reason.STORE_CORRUPT), NOW)

    async def known() -> ExecutionState:
        row = await store.read(partial(fetch_one, "execution_known", AGENT, grant.execution))
        return ExecutionState(row[1])

    assert await heard(store, began, void(2)) == 2
    assert await heard(store, void(1), void(2)) == 2
    assert await known() is ExecutionState.DELIVERED
    assert await heard(store, ended) == 3
    assert await known() is ExecutionState.SUCCEEDED
    rows = await store.read(partial(fetch, "receipts_numbered", AGENT, 1, 1, 3))
    assert sorted(row[0] for row in rows) == [1, 2, 3]
