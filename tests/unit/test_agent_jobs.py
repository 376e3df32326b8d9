"""The queue in jobs.db: once admitted, one attempt at a time, every fact with its receipt."""

from pathlib import Path

import pytest

from agent.core.budget import Spent
from agent.core.executor import Conclusion
from agent.core.moment import Moment
from agent.core.queue import due_in
from agent.store.jobs_file import NAME as FILE_NAME
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, WorldError
from shared.model.job import ExecutionState, TaskState
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.trust.admission import Admitted, RefusedJob
from shared.trust.floor import TimeKept
from tests.agent_parts import DAY, WALL, reached, uid, write_job
from tests.jobs_box import BOOT, Box, at, box, report

__all__ = ["box"]


DAY_MS = 86_400_000
DONE = Conclusion(state=TaskState.DONE, result={"apply.setpoint": 5})


def failed(reason: Reason = Reason.DEVICE_SILENT) -> Conclusion:
    return Conclusion(state=TaskState.FAILED, reason=reason, detail="why")


async def test_a_job_runs_once_on_each_device_and_each_fact_is_told(box: Box):
    assert (await box.admit(1, (uid(1), write_job(5)), now=at(0))).new == 1
    claims = await box.claim(at(1))
    assert [(c.device, c.attempt, c.spec) for c in claims] == [
        ("pump-1", 1, write_job(5)),
        ("pump-2", 1, write_job(5)),
    ]
    assert await box.claim(at(2)) == []
    for claim in claims:
        assert await box.jobs.finish(claim, DONE, at(3))
    assert await box.told() == [
        ("", "DELIVERED", 0),
        ("", "IN_PROGRESS", 1),
        ("pump-1", "DONE", 1),
        ("pump-2", "DONE", 1),
        ("", "SUCCEEDED", 1),
    ]
    receipts = await box.receipts()
    assert [r.number for r in receipts] == [1, 2, 3, 4, 5]
    assert receipts[2].result == {"apply.setpoint": 5}
    counts = await box.jobs.counts()
    assert (counts.tasks, counts.executions, counts.receipts) == (
        {TaskState.DONE: 2},
        {ExecutionState.SUCCEEDED: 1},
        5,
    )


async def test_a_grant_that_comes_again_changes_nothing(box: Box):
    await box.admit(1, (uid(1), write_job(5)), now=at(0))
    assert (await box.admit(2, (uid(1), write_job(5)), (uid(2), write_job(6)), now=at(0))).new == 1
    assert (await box.contact.standing()).bundle_seq == 2
    assert [c.execution for c in await box.claim(at(1))] == [uid(1), uid(1)]
    assert (await box.admit(2, (uid(3), write_job(6)), now=at(2))).new == 0, "an older bundle"
    assert (await box.jobs.counts()).executions == {
        ExecutionState.DELIVERED: 1,
        ExecutionState.IN_PROGRESS: 1,
    }


async def test_a_coordinator_that_forgot_is_told_where_the_execution_stands(box: Box):
    await box.admit(1, (uid(1), write_job(9999)), now=at(0))
    assert await box.told() == [("", "REJECTED", 0)]
    await box.admit(2, (uid(1), write_job(9999)), now=at(1))
    assert await box.told() == [("", "REJECTED", 0)], "the first receipt has not arrived yet"
    await free(box, receipts_to=1)
    assert await box.told() == []
    await box.admit(3, (uid(1), write_job(9999)), now=at(2))
    (again,) = await box.receipts()
    assert (again.number, again.state, again.reason) == (
        2,
        ExecutionState.REJECTED,
        Reason.VALUE_OUT_OF_RANGE,
    )


async def free(box: Box, *, receipts_to: int) -> tuple[int, int]:
    """Settle as if a report that carried everything had been answered."""

    sent = await box.contact.freeze(report, WallMs(WALL))
    freed = Freed(Ranges(), (), receipts_to, 0, ())
    kept = TimeKept(floor_ms=WallMs(WALL), silent_ms=0, boot_id=BOOT, mono_ms=MonoMs(1))
    return await box.contact.settle(
        sent, freed, now_ms=WallMs(WALL), kept=kept, echo=b"echo", up=10, down=20, spent=Spent()
    )


async def test_a_refused_grant_is_told_and_never_runs(box: Box):
    refused = Admitted(
        1, WallMs(WALL), (), (RefusedJob(uid(1), Reason.BAD_SPEC, "no"),), reached(1), (), b""
    )
    assert (await box.jobs.admit(refused, [], now=at(0))).new == 1
    (receipt,) = await box.receipts()
    assert (receipt.execution, receipt.state, receipt.reason, receipt.detail) == (
        uid(1),
        ExecutionState.REJECTED,
        Reason.BAD_SPEC,
        "no",
    )
    assert await box.claim(at(1)) == []


async def test_a_device_does_one_thing_at_a_time_in_the_order_of_admission(box: Box):
    await box.admit(
        1,
        (uid(1), write_job(1, selector="id=pump-1")),
        (uid(2), write_job(2, selector="id=pump-1")),
        (uid(3), write_job(3, selector="id=pump-2")),
        now=at(0),
    )
    first = await box.claim(at(1))
    assert [c.execution for c in first] == [uid(1), uid(3)]
    await box.jobs.finish(first[0], DONE, at(2))
    assert [c.execution for c in await box.claim(at(2))] == [uid(2)]


async def test_no_more_is_claimed_than_there_is_room_for(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0))
    assert len(await box.claim(at(1), room=1)) == 1
    assert len(await box.claim(at(1), room=0)) == 0
    assert len(await box.claim(at(1), room=5)) == 1


async def test_only_the_current_attempt_can_finish_and_only_once(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    (first,) = await box.claim(at(1))
    again = Conclusion(
        state=TaskState.READY, reason=Reason.DEVICE_SILENT, detail="x", due=due_in(10, at(2))
    )
    assert await box.jobs.finish(first, again, at(2))
    before = await box.told()
    assert not await box.jobs.finish(first, DONE, at(3)), "it waits: nobody runs it"
    (second,) = await box.claim(at(20))
    assert second.attempt == 2
    assert not await box.jobs.finish(first, DONE, at(21)), "a stale attempt"
    assert await box.jobs.finish(second, DONE, at(22))
    assert not await box.jobs.finish(second, failed(), at(23)), "finished already"
    assert before[-1] == ("", "HELD", 1)
    assert (await box.told())[len(before) :] == [
        ("", "IN_PROGRESS", 2),
        ("pump-1", "DONE", 2),
        ("", "SUCCEEDED", 2),
    ]


async def test_a_retry_waits_for_its_time_and_the_next_wake_up_is_known(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1", delay_s=2)), now=at(0))
    claimed = await box.jobs.claim(at(1_999), room=9)
    assert (claimed.claims, claimed.next_due_ms) == ((), 2_000)
    (claim,) = await box.claim(at(2_000))
    again = Conclusion(
        state=TaskState.READY, reason=Reason.DEVICE_SILENT, due=due_in(500, at(2_100))
    )
    await box.jobs.finish(claim, again, at(2_100))
    assert (await box.jobs.claim(at(2_599), room=9)).next_due_ms == 2_600
    assert len(await box.claim(at(2_600))) == 1
    assert (await box.jobs.claim(at(2_601), room=9)).next_due_ms is None


async def test_a_detail_that_is_no_text_and_too_long_is_told_all_the_same(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    (claim,) = await box.claim(at(1))
    odd = Conclusion(state=TaskState.FAILED, reason=Reason.STEP_FAILED, detail="\udcff" + "é" * 500)
    await box.jobs.finish(claim, odd, at(2))
    told = next(r for r in await box.receipts() if r.device)
    assert told.detail == "?" + "é" * (limits.DETAIL_CHARS - 1)


async def test_the_worst_task_names_the_execution(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0))
    one, two = await box.claim(at(1))
    await box.jobs.finish(one, failed(), at(2))
    assert (await box.told())[-1][1] == "FAILED"
    assert (await box.receipts())[-1].device == "pump-1", "the other still runs"
    await box.jobs.finish(two, DONE, at(3))
    last = (await box.receipts())[-1]
    assert (last.device, last.state, last.reason) == (
        "",
        ExecutionState.FAILED,
        Reason.DEVICE_SILENT,
    )


# --- not_after ----------------------------------------------------------------------------------
async def test_a_graceful_stop_is_no_failure_and_no_crash(box: Box, tmp_path: Path):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    await box.claim(at(1))
    assert await box.jobs.give_back(at(1)) == 1
    reopened = await box.again()
    assert await reopened.jobs.recover(at(2), crashed=True) == 0
    (claim,) = await reopened.claim(at(3))
    # Its first attempt may have begun an effect: nobody may say later that nothing was done.
    assert (claim.attempt, claim.crashes, claim.course.failures) == (2, 0, 0)
    states = [state for _, state, _ in await reopened.told()]
    assert states == ["DELIVERED", "IN_PROGRESS", "HELD", "IN_PROGRESS"]
    await reopened.file.close()


async def test_three_crashes_quarantine_a_task_and_later_jobs_go_on(box: Box):
    await box.admit(
        1,
        (uid(1), write_job(1, selector="id=pump-1")),
        (uid(2), write_job(2, selector="id=pump-1")),
        now=at(0),
    )
    claims = []
    for crash in range(limits.CRASHES):
        claims += await box.claim(at(crash))
        assert await box.jobs.recover(at(crash), crashed=True) == 1
    assert [(c.execution, c.attempt, c.crashes) for c in claims] == [
        (uid(1), 1, 0),
        (uid(1), 2, 1),
        (uid(1), 3, 2),
    ]
    (after,) = await box.claim(at(9))
    assert after.execution == uid(2)
    poisoned = [r for r in await box.receipts() if r.execution == uid(1)][-2:]
    assert [(r.device, r.state, r.reason) for r in poisoned] == [
        ("pump-1", TaskState.QUARANTINED, Reason.POISONED),
        ("", ExecutionState.QUARANTINED, Reason.POISONED),
    ]
    assert not await box.jobs.finish(claims[-1], DONE, at(9)), "quarantined it stays"


async def test_a_restart_of_the_service_alone_counts_no_crash(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    claims = []
    for _ in range(5):
        claims += await box.claim(at(1))
        await box.jobs.recover(at(2), crashed=False)
    assert [claim.crashes for claim in claims] == [0] * 5


async def test_what_a_power_cut_stopped_goes_on_at_once_after_it(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(9 * DAY))
    assert len(await box.claim(at(9 * DAY))) == 1
    reopened = await box.again()
    boot = Moment(MonoMs(10), b"b" * 16, WallMs(WALL + 9 * DAY + 20_000))
    await reopened.jobs.recover(boot, crashed=True)
    assert len(await reopened.claim(boot)) == 1
    await reopened.file.close()


async def test_a_wait_goes_on_after_a_boot(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1", delay_s=60)), now=at(0))
    reopened = await box.again()
    boot = Moment(MonoMs(10), b"b" * 16, WallMs(WALL + 20_000))
    await reopened.jobs.recover(boot, crashed=True)
    assert (await reopened.jobs.claim(boot, room=9)).next_due_ms == 10 + 40_000
    await reopened.file.close()


# --- bounds -------------------------------------------------------------------------------------
async def test_a_bundle_that_would_flood_the_queue_is_put_off_whole(box: Box, monkeypatch):
    monkeypatch.setattr(limits, "QUEUE_TASKS", 3)
    await box.admit(1, (uid(1), write_job(1)), now=at(0))
    taken = await box.admit(2, (uid(2), write_job(1)), now=at(0))
    assert (taken.new, taken.put_off) == (0, 1)
    assert (await box.contact.standing()).bundle_seq == 1
    assert await box.told() == [("", "DELIVERED", 0)]


async def test_old_executions_are_forgotten_only_once_acknowledged(box: Box, monkeypatch):
    monkeypatch.setattr(limits, "EXECUTIONS_KEPT", 2)
    jobs = [(uid(n), write_job(9999)) for n in range(1, 6)]
    await box.admit(1, *jobs, now=at(0))
    await free(box, receipts_to=4)
    assert (await box.jobs.counts()).executions == {ExecutionState.REJECTED: 3}
    await free(box, receipts_to=5)
    assert (await box.jobs.counts()).executions == {ExecutionState.REJECTED: 2}
    await box.admit(2, (uid(5), write_job(1)), (uid(1), write_job(1)), now=at(1))
    assert [c.execution for c in await box.claim(at(2))] == [uid(1)] * 2


# --- loss of the file ---------------------------------------------------------------------------
async def test_a_damaged_file_is_set_aside_and_numbers_never_go_back(box: Box):
    await box.admit(7, (uid(1), write_job(1)), now=at(0))
    await free(box, receipts_to=0)
    before = await box.contact.standing()
    await box.file.close()
    path = box.folder / FILE_NAME
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)

    fresh = await Box.open(box.folder)
    after = await fresh.contact.standing()
    assert fresh.file.losses == 1
    assert path.with_name(f"{FILE_NAME}.corrupt-1").exists()
    assert after.jobs_epoch != before.jobs_epoch
    assert after.counter > before.counter + 1, "a gap: a clone's mark it must not be"
    assert after.bundle_seq == 7
    assert after.counters is not None
    assert after.counters.floor_ms == WALL
    assert (await fresh.admit(7, (uid(1), write_job(1)), now=at(1))).new == 0, "no replay"
    assert (await fresh.admit(8, (uid(2), write_job(1)), now=at(1))).new == 1
    assert [r.number for r in await fresh.receipts()] == [1]
    await fresh.file.close()


async def test_a_fresh_installation_begins_at_one(box: Box):
    standing = await box.contact.standing()
    assert (standing.counter, standing.previous, standing.pending) == (0, b"", None)
    sent = await box.contact.freeze(report, WallMs(WALL))
    assert sent.counter == 1


async def test_a_file_that_is_damaged_while_it_is_used_is_replaced_and_work_goes_on(box: Box):
    await box.admit(7, (uid(1), write_job(1)), now=at(0))
    before = (await box.contact.standing()).jobs_epoch
    for damaged in (box.folder / FILE_NAME, box.folder / f"{FILE_NAME}-wal"):
        damaged.write_bytes(b"\xff" * damaged.stat().st_size)
    assert box.file._database is not None
    box.file._database._fail(WorldError(Reason.STORE_CORRUPT, "a page is not what it was"))
    with pytest.raises(WorldError):
        await box.contact.standing()
    await box.jobs.heal()
    assert (await box.contact.standing()).jobs_epoch != before
    assert box.file.losses == 1
    await box.admit(8, (uid(2), write_job(1)), now=at(1))
    assert len(await box.claim(at(2))) == 2


async def test_a_disk_that_refuses_at_the_start_is_asked_again_later(tmp_path: Path):
    obstacle = tmp_path / FILE_NAME
    obstacle.mkdir()
    box = await Box.open(tmp_path)
    assert box.file.trouble
    with pytest.raises(WorldError):
        await box.jobs.counts()
    with pytest.raises(WorldError):
        await box.jobs.heal()
    obstacle.rmdir()
    await box.jobs.heal()
    assert box.file.trouble == ""
    assert (await box.jobs.counts()).receipts == 0
    await box.file.close()
