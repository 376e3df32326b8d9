"""A coordinator that comes back from a copy is told again what it had heard since."""

from dataclasses import replace
from functools import partial

import pytest

from agent.core.budget import Spent
from agent.core.contact import Identity, Standing, is_signed_with
from agent.core.executor import Conclusion
from coordinator.core.ports import execute, fetch_one
from coordinator.transactions.receipts import reconcile_receipts
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.model.job import ExecutionState, TaskState
from shared.sync.outgoing import Freed, Had, freed_by
from shared.sync.ranges import Ranges
from shared.trust.documents import Reply, read_report
from shared.trust.floor import TimeKept
from shared.wire.messages import Receipt
from tests.agent_parts import WALL, uid, write_job
from tests.jobs_box import BOOT, Box, at, box, report
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted
from tests.unit.trust_world import NAME, make_root, seal_root, signer

__all__ = ["box", "store"]
EPOCH = b"J" * 16
DONE = Conclusion(state=TaskState.DONE)
KEPT = TimeKept(floor_ms=WallMs(WALL), silent_ms=0, boot_id=BOOT, mono_ms=MonoMs(1))


async def answered(box: Box, *, receipts_to: int, epoch: int = 0) -> int:
    """Send what waits and take an answer; return how many receipts wait then."""
    sent = await box.contact.freeze(report, WallMs(WALL))
    standing = await box.contact.standing()
    reply = Reply(NAME, sent.digest, WALL, 0, receipts_to=receipts_to, restore_epoch=epoch)
    freed = freed_by(
        reply,
        sent,
        telemetry_epoch=b"t" * 16,
        jobs_epoch=standing.jobs_epoch,
        heard_epoch=standing.heard_epoch,
    )
    _, waiting = await box.contact.settle(
        sent, freed, now_ms=WallMs(WALL), kept=KEPT, echo=b"e", up=1, down=1, spent=Spent()
    )
    return waiting


async def run_job(box: Box, number: int) -> None:
    await box.admit(number, (uid(number), write_job(5)), now=at(number))
    for claim in await box.claim(at(number)):
        await box.end(claim, DONE, at(number))


async def test_receipts_that_a_copy_lacks_are_told_again_as_they_were(box: Box) -> None:
    await run_job(box, 1)
    before = await box.receipts()
    assert await answered(box, receipts_to=before[-1].number) == 0
    assert await box.receipts() == []
    assert await answered(box, receipts_to=2, epoch=77) == len(before) - 1
    assert await box.receipts() == before[1:]
    standing = await box.contact.standing()
    assert standing.heard_epoch == 77
    assert report(standing, []).counter == standing.counter + 1
    assert await answered(box, receipts_to=before[-1].number, epoch=77) == 0


async def test_the_last_receipt_that_both_have_is_told_again(box: Box) -> None:
    await run_job(box, 1)
    before = await box.receipts()
    last = before[-1].number
    await answered(box, receipts_to=last)
    # What the copy has under the same number may be another one: of a card that was newer.
    for epoch, theirs in enumerate((last, last + 5), start=77):
        assert await answered(box, receipts_to=theirs, epoch=epoch) == 1
        assert await box.receipts() == before[-1:]
        assert await answered(box, receipts_to=theirs, epoch=epoch) == 0


async def test_a_report_says_which_receipt_comes_next_also_when_none_waits(box: Box) -> None:
    told = []
    for number in (0, 1):
        if number:
            await run_job(box, number)
        sent = await box.contact.freeze(report, WallMs(WALL))
        told.append(read_report(sent.envelope).report)
        await answered(box, receipts_to=9)
    last = await box.contact.freeze(report, WallMs(WALL))
    assert told[0].next_receipt == 1
    assert told[1].next_receipt == told[1].receipts[-1].number + 1
    assert read_report(last.envelope).report.next_receipt == told[1].next_receipt


async def test_a_restore_is_acted_upon_once(box: Box) -> None:
    await run_job(box, 1)
    number = (await box.receipts())[-1].number
    await answered(box, receipts_to=number, epoch=77)
    assert await answered(box, receipts_to=0, epoch=77) == 0, "an answer from before, once more"
    assert await answered(box, receipts_to=0, epoch=78) == number


async def test_how_a_job_ended_is_told_when_its_receipts_are_gone(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECEIPTS_KEPT", 2)
    await run_job(box, 1)
    first = (await box.receipts())[-1].number
    await answered(box, receipts_to=first)
    await run_job(box, 2)
    last = (await box.receipts())[-1].number
    await answered(box, receipts_to=last)
    await answered(box, receipts_to=0, epoch=77)
    found = await box.receipts()
    assert [one.number for one in found] == [last - 1, last, last + 1], "kept ones, and one end"
    ended = found[-1]
    assert (ended.execution, ended.state) == (uid(1), ExecutionState.SUCCEEDED)


async def test_an_ended_job_whose_receipts_are_kept_is_remembered_as_acknowledged(
    box: Box,
) -> None:
    await run_job(box, 1)
    number = (await box.receipts())[-1].number
    await answered(box, receipts_to=number)
    await box.admit(2, (uid(1), write_job(5)), now=at(9))
    (again,) = await box.receipts()
    assert (again.number, again.state) == (number + 1, ExecutionState.SUCCEEDED)


def test_an_answer_of_another_store_says_nothing_of_this_one() -> None:
    sent = report(_standing(), [])
    reply = Reply(NAME, sent.digest, WALL, 0, receipts_to=9, ledger_to=9, restore_epoch=5)
    freed = freed_by(reply, sent, telemetry_epoch=b"u" * 16, jobs_epoch=b"k" * 16)
    assert freed == Freed(Ranges(), (), 0, 0, (), had=Had(5, 0, 0))


def _standing() -> Standing:
    return Standing(
        jobs_epoch=b"j" * 16,
        counter=0,
        previous=b"",
        pending=None,
        echo=b"",
        counters=None,
        answered_ms=None,
        bytes_up=0,
        bytes_down=0,
        refusals={},
    )


async def test_a_report_under_a_key_that_was_changed_is_given_up_and_its_number_is_not(
    box: Box,
) -> None:
    sent = await box.contact.freeze(report, WallMs(WALL))
    identity = Identity(NAME, make_root(), seal_root(make_root()), signer("agent"))
    assert is_signed_with(sent, identity)
    assert not is_signed_with(sent, replace(identity, signer=signer("another")))
    await box.contact.give_up(sent)
    standing = await box.contact.standing()
    assert (standing.pending, standing.counter, standing.previous) == (None, 1, sent.digest)
    assert (await box.contact.freeze(report, WallMs(WALL))).counter == 2


# --- the coordinator ------------------------------------------------------------------------------
async def told(store, execution: bytes, state: ExecutionState, number: int, heard: int) -> int:
    receipt = Receipt(number, execution, "", state, 1, 0, NOW)
    body = partial(
        reconcile_receipts, AGENT, EPOCH, [receipt], now_ms=WallMs(NOW), heard_epoch=heard
    )
    return (await store.run(body, durable=True)).receipts_to


async def state_of(store, execution: bytes) -> ExecutionState:
    row = await store.read(partial(fetch_one, "execution_known", AGENT, execution))
    return ExecutionState(row[1])


async def test_a_gap_is_waited_for_until_the_agent_heard_of_the_restore(store) -> None:
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await submitted(store)
    (grant,) = (await issued(store, NOW)).grants
    uid_ = grant.execution
    assert await told(store, uid_, ExecutionState.DELIVERED, 1, 0) == 1
    await store.run(partial(execute, "restore_epoch_set", 77), durable=False)
    other = b"o" * 16
    assert await told(store, other, ExecutionState.SUCCEEDED, 9, 0) == 1, "2 to 8 may come again"
    assert await told(store, uid_, ExecutionState.SUCCEEDED, 2, 77) == 2
    assert await state_of(store, uid_) is ExecutionState.SUCCEEDED
    assert await told(store, other, ExecutionState.SUCCEEDED, 7, 77) == 7, "3 to 6 are gone"
