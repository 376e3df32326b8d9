"""A queue that is full: what is taken of a bundle all the same, and what comes again."""

from msgspec.structs import replace

from agent.core.executor import Conclusion
from shared import limits
from shared.errors import Reason
from shared.model.job import ExecutionState, TaskState
from shared.model.schedule import Schedule
from tests.agent_parts import uid, write_job
from tests.jobs_box import Box, at, box

__all__ = ["box"]


async def test_of_a_bundle_that_does_not_fit_jobs_are_taken_in_their_order(box: Box, monkeypatch):
    monkeypatch.setattr(limits, "QUEUE_TASKS", 3)
    small = write_job(1, selector="id=pump-1")
    jobs = ((uid(1), write_job(1)), (uid(2), write_job(1)), (uid(3), small))
    taken = await box.admit(1, *jobs, now=at(0), cancels=[uid(9)])
    assert (taken.new, taken.put_off) == (1, 2)
    told = [(r.number, r.execution, ExecutionState(r.state).name) for r in await box.receipts()]
    assert told == [(1, uid(9), "CANCELED"), (2, uid(1), "DELIVERED")]
    assert (await box.contact.standing()).bundle_seq == 0, "it may come again, as a stick does"
    for claim in await box.claim(at(1)):
        await box.end(claim, Conclusion(state=TaskState.DONE), at(2))
    taken = await box.admit(1, *jobs, now=at(3), cancels=[uid(9)])
    assert (taken.new, taken.put_off) == (2, 0)
    assert (await box.contact.standing()).bundle_seq == 1
    numbers = [receipt.number for receipt in await box.receipts()]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_what_adds_no_task_is_taken_however_many_wait(box: Box, monkeypatch):
    keyed = replace(write_job(1), conflict_key="set")
    await box.admit(1, (uid(1), keyed), (uid(2), write_job(1)), now=at(0))
    monkeypatch.setattr(limits, "QUEUE_TASKS", 2)
    stands = replace(write_job(1), schedule=Schedule(interval_s=600))
    for seq, job in enumerate((stands, write_job(9_999), keyed), start=2):
        taken = await box.admit(seq, (uid(2), write_job(1)), (uid(seq + 1), job), now=at(seq))
        assert (taken.new, taken.put_off) == (1, 0)
    assert (await box.contact.standing()).bundle_seq == 4
    assert (await box.admit(5, now=at(5), cancels=[uid(2)])).put_off == 0
    assert (await box.jobs.counts()).executions == {
        ExecutionState.DELIVERED: 2,
        ExecutionState.REJECTED: 1,
        ExecutionState.SUPERSEDED: 1,
        ExecutionState.CANCELED: 1,
    }


async def test_so_many_schedules_and_rules_stand_and_no_more(box: Box, monkeypatch):
    monkeypatch.setattr(limits, "STANDING_JOBS", 2)
    stands = replace(write_job(1), schedule=Schedule(interval_s=600))
    keyed = replace(stands, conflict_key="set")
    await box.admit(1, (uid(1), keyed), (uid(2), stands), now=at(0))
    await box.admit(2, (uid(3), stands), (uid(4), keyed), (uid(2), stands), now=at(1))
    await box.admit(3, (uid(5), stands), now=at(2), cancels=[uid(4)])
    ends = {
        receipt.execution: (ExecutionState(receipt.state).name, Reason(receipt.reason).text)
        for receipt in await box.receipts()
        if receipt.reason
    }
    assert ends == {
        uid(1): ("SUPERSEDED", "superseded"),
        uid(3): ("REJECTED", "store_quota"),
        uid(4): ("CANCELED", "canceled"),
    }
    assert (await box.jobs.counts()).executions[ExecutionState.DELIVERED] == 2
