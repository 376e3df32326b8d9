"""The agent's queue: what could not begin in time, and what only a wall clock calls late."""

from dataclasses import replace

from msgspec import structs

from agent.core.executor import Conclusion
from agent.core.moment import Moment
from agent.core.queue import due_in
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import uuid_text
from shared.model.job import ExecutionState, TaskState
from shared.model.plan import Dependency
from tests.agent_parts import WALL, uid, write_job
from tests.jobs_box import Box, at, box

__all__ = ["box"]
from tests.unit.test_agent_jobs import DAY_MS, DONE


async def test_what_could_not_begin_in_time_expires_without_an_attempt(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0), not_after=WALL + 50)
    claimed = await box.jobs.claim(at(51), room=9)
    assert claimed.claims == ()
    assert claimed.receipts == 3
    assert (await box.told())[1:] == [
        ("pump-1", "CANCELED", 0),
        ("pump-2", "CANCELED", 0),
        ("", "EXPIRED", 0),
    ]
    assert (await box.receipts())[-1].reason == Reason.JOB_EXPIRED


async def test_the_last_moment_is_still_in_time(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0), not_after=WALL + 50)
    assert len(await box.claim(at(50))) == 2


async def test_a_retry_after_the_deadline_does_not_begin(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0), not_after=WALL + 50)
    (claim,) = await box.claim(at(1))
    again = Conclusion(state=TaskState.READY, reason=Reason.DEVICE_SILENT, due=due_in(100, at(2)))
    await box.jobs.finish(claim, again, at(2))
    assert await box.claim(at(102)) == []
    last = (await box.receipts())[-1]
    assert (last.state, last.reason) == (ExecutionState.FAILED, Reason.DEVICE_SILENT)


def ahead(ms: int, *, days: int = 400) -> Moment:
    """Return a moment whose wall clock is ahead of what is proven."""
    return replace(at(ms), today_ms=WallMs(at(ms).today_ms + days * DAY_MS))


async def test_what_a_wall_clock_alone_calls_too_late_is_held_back_and_not_ended(box: Box):
    end = WALL + DAY_MS
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0), not_after=end)
    await box.admit(2, (uid(2), write_job(2, selector="id=pump-1")), now=at(0))
    claimed = await box.jobs.claim(ahead(1), room=9)
    assert [claim.execution for claim in claimed.claims] == [uid(2)], "it holds up nobody"
    assert (claimed.held, claimed.next_due_ms) == (1, None)
    await box.end(claimed.claims[0], DONE, ahead(2))
    claimed = await box.jobs.claim(ahead(3), room=9)
    assert (claimed.claims, claimed.held) == ((), 0), "it is held back once"
    assert claimed.next_due_ms == 1 + DAY_MS, "by powered time it is over then"
    assert await box.jobs.settle(ahead(4)), "the clock is wrong still"
    assert await box.claim(at(5)) == []
    assert not await box.jobs.settle(at(6))
    (claim,) = await box.claim(at(7))
    assert (claim.execution, claim.attempt) == (uid(1), 1)


async def test_what_was_held_back_ends_once_its_time_is_proven_to_be_over(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0), not_after=WALL + DAY_MS)
    assert (await box.jobs.claim(ahead(1), room=9)).held == 2
    assert ("", "EXPIRED", 0) not in await box.told()
    assert not await box.jobs.settle(at(2 * DAY_MS))
    assert await box.claim(at(2 * DAY_MS)) == []
    assert (await box.told())[1:] == [
        ("pump-1", "CANCELED", 0),
        ("pump-2", "CANCELED", 0),
        ("", "EXPIRED", 0),
    ]


async def test_powered_time_ends_what_was_held_back(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0), not_after=WALL + DAY_MS)
    due = (await box.jobs.claim(ahead(1), room=9)).next_due_ms
    assert due is not None
    assert (await box.jobs.claim(ahead(due), room=9)).receipts == 3


async def test_what_was_held_back_on_an_earlier_boot_is_looked_at_on_this_one(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0), not_after=WALL + DAY_MS)
    await box.jobs.claim(ahead(1), room=9)
    boot = at(2, boot=b"b" * 16)
    await box.jobs.recover(boot, crashed=True)
    assert len(await box.claim(boot)) == 2


async def test_who_waits_for_another_job_ends_when_its_time_is_proven_to_be_over(box: Box):
    waiting = structs.replace(write_job(1), after=Dependency(uuid_text(uid(9))))
    await box.admit(1, (uid(1), waiting), now=at(0), not_after=WALL + DAY_MS)
    claimed = await box.jobs.claim(ahead(1), room=9)
    assert claimed.next_due_ms == 1 + DAY_MS
    assert ("", "EXPIRED", 0) not in await box.told()
    await box.claim(at(DAY_MS + 1))
    assert ("", "EXPIRED", 0) in await box.told()


# --- stops and crashes --------------------------------------------------------------------------
