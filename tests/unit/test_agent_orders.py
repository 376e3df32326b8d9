"""The queue where jobs meet: called off, superseded, one after another, a few first, cut in two."""

from dataclasses import replace
from typing import Any

import pytest

from agent.core.course import Course, Phase
from agent.core.executor import Conclusion
from agent.core.queue import due_in
from agent.store.jobs import Planned
from shared.errors import Reason
from shared.ids import DeviceId, uuid_text
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.model.plan import Batch, Dependency
from tests.agent_parts import admitted, read_job, uid, write_job
from tests.jobs_box import Box, at, box

__all__ = ["box"]

DONE = Conclusion(state=TaskState.DONE)
FAILED = Conclusion(state=TaskState.FAILED, reason=Reason.DEVICE_SILENT, detail="why")


def job(value: int = 1, **changes: Any) -> JobSpec:
    from msgspec.structs import replace as changed

    return changed(write_job(value), **changes)


async def executions(box: Box) -> dict[str, int]:
    return {state.name: n for state, n in (await box.jobs.counts()).executions.items()}


async def order(box: Box, seq: int, spec: JobSpec, devices: int, **more: Any) -> None:
    """Admit a job for so many devices."""
    bundle = admitted(seq, (uid(seq), spec))
    jobs = [replace(one, **more) for one in bundle.jobs]
    plan = tuple(DeviceId(f"d{number}") for number in range(devices))
    await box.jobs.admit(bundle, [Planned(one, plan) for one in jobs], now=at(0))


# --- called off -----------------------------------------------------------------------------------
async def told_of_cancel(box: Box) -> list[str]:
    return [
        str(r.result["cancel"])
        for r in await box.receipts()
        if not r.device and "cancel" in r.result
    ]


async def test_what_never_came_does_not_begin_when_it_comes(box: Box):
    await box.admit(1, now=at(0), cancels=[uid(7)])
    assert await told_of_cancel(box) == ["never_delivered"]
    await box.admit(2, (uid(7), write_job(1)), now=at(1))
    assert await box.claim(at(2)) == []
    assert await executions(box) == {"CANCELED": 1}


async def test_what_waits_is_called_off_before_it_began(box: Box):
    await box.admit(1, (uid(1), write_job(1)), now=at(0))
    await box.admit(2, now=at(1), cancels=[uid(1)])
    assert await box.claim(at(2)) == []
    assert await told_of_cancel(box) == ["not_started"]
    assert await executions(box) == {"CANCELED": 1}


async def test_what_is_at_work_is_told_to_stop_and_says_that_it_did(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    (claim,) = await box.claim(at(1))
    assert await box.jobs.canceled() == frozenset()
    await box.admit(2, now=at(2), cancels=[uid(1)])
    assert await box.jobs.canceled() == {(uid(1), 0)}
    stopped = Conclusion(state=TaskState.CANCELED, reason=Reason.CANCELED, detail="after a")
    await box.end(claim, stopped, at(3))
    assert await told_of_cancel(box) == ["stopped"]
    assert await executions(box) == {"CANCELED": 1}


async def test_what_is_at_work_may_end_before_it_can_be_stopped(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    (claim,) = await box.claim(at(1))
    await box.admit(2, now=at(2), cancels=[uid(1)])
    await box.end(claim, DONE, at(3))
    assert await executions(box) == {"SUCCEEDED": 1}
    assert await told_of_cancel(box) == []


async def test_what_is_over_stays_as_it_is(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    (claim,) = await box.claim(at(1))
    await box.end(claim, DONE, at(2))
    await box.admit(2, now=at(3), cancels=[uid(1)])
    assert await executions(box) == {"SUCCEEDED": 1}


async def test_a_crash_does_not_bring_back_what_was_called_off(box: Box):
    await box.admit(1, (uid(1), write_job(1, selector="id=pump-1")), now=at(0))
    await box.claim(at(1))
    await box.admit(2, now=at(2), cancels=[uid(1)])
    assert await box.jobs.recover(at(3), crashed=True) == 1
    assert await box.claim(at(4)) == []
    assert await executions(box) == {"CANCELED": 1}


# --- one instead of another -----------------------------------------------------------------------
async def test_of_jobs_that_wait_under_one_key_only_the_newest_is_done(box: Box):
    for number in (1, 2, 3):
        key = "setpoint" if number < 3 else "other"
        await box.admit(number, (uid(number), job(number, conflict_key=key)), now=at(0))
    assert await executions(box) == {"SUPERSEDED": 1, "DELIVERED": 2}
    claims = await box.claim(at(1))
    assert {claim.execution for claim in claims} == {uid(2)}
    superseded = [r for r in await box.receipts() if r.state == ExecutionState.SUPERSEDED]
    assert [(r.execution, r.reason) for r in superseded if not r.device] == [
        (uid(1), Reason.SUPERSEDED)
    ]


async def test_what_is_at_work_is_not_superseded(box: Box):
    await box.admit(1, (uid(1), job(1, conflict_key="setpoint")), now=at(0))
    claims = await box.claim(at(1))
    await box.admit(2, (uid(2), job(2, conflict_key="setpoint")), now=at(2))
    for claim in claims:
        await box.end(claim, DONE, at(3))
    assert await executions(box) == {"SUCCEEDED": 1, "DELIVERED": 1}


# --- one after another ----------------------------------------------------------------------------
FIRST = b"j" * 16


def after(outcome: str = "SUCCEEDED") -> JobSpec:
    return job(5, after=Dependency(uuid_text(FIRST), outcome))


async def test_a_job_waits_for_another_to_end_well(box: Box):
    await order(box, 2, after(), 1)
    assert await box.claim(at(1)) == []
    assert await executions(box) == {"HELD": 1}
    await order(box, 3, read_job("flow"), 1, job=FIRST)
    (claim,) = await box.claim(at(2))
    await box.end(claim, DONE, at(3))
    (claim,) = await box.claim(at(4))
    assert claim.execution == uid(2)


@pytest.mark.parametrize(
    ("end", "outcome", "state"),
    [
        (FAILED, "SUCCEEDED", "REJECTED"),
        (FAILED, "FAILED", "DELIVERED"),
        (FAILED, "ANY", "DELIVERED"),
        (DONE, "FAILED", "REJECTED"),
        (DONE, "ANY", "DELIVERED"),
    ],
)
async def test_what_another_job_came_to_decides(box: Box, end, outcome, state):
    await order(box, 1, read_job("flow"), 1, job=FIRST)
    (claim,) = await box.claim(at(1))
    await box.end(claim, end, at(2))
    await order(box, 2, after(outcome), 1)
    assert state in await executions(box)
    assert len(await box.claim(at(3))) == (state == "DELIVERED")


async def test_a_job_that_waits_is_let_go_by_a_failure_too(box: Box):
    await order(box, 1, read_job("flow"), 1, job=FIRST)
    await order(box, 2, after(), 1)
    (claim,) = await box.claim(at(1))
    await box.end(claim, FAILED, at(2))
    assert await executions(box) == {"FAILED": 1, "REJECTED": 1}
    [told] = [r for r in await box.receipts() if not r.device and r.reason == 315]
    assert told.execution == uid(2)


# --- over many devices ----------------------------------------------------------------------------
async def test_a_few_devices_go_first_and_the_others_follow_when_they_did_well(box: Box):
    await order(box, 1, job(batch=Batch(canary=2)), 5)
    first = await box.claim(at(1))
    assert [claim.device for claim in first] == ["d0", "d1"]
    await box.end(first[0], DONE, at(2))
    assert await box.claim(at(3)) == []
    await box.end(first[1], DONE, at(4))
    assert [claim.device for claim in await box.claim(at(5))] == ["d2", "d3", "d4"]


async def test_when_the_first_fail_the_others_never_begin(box: Box):
    await order(box, 1, job(batch=Batch(canary=1)), 4)
    (claim,) = await box.claim(at(1))
    await box.end(claim, FAILED, at(2))
    assert await box.claim(at(3)) == []
    assert await executions(box) == {"FAILED": 1}
    canceled = [r for r in await box.receipts() if r.reason == Reason.CANARY_FAILED]
    assert {r.device for r in canceled if r.device} == {"d1", "d2", "d3"}


async def test_no_more_devices_are_worked_on_at_once_than_the_job_says(box: Box):
    await order(box, 1, job(batch=Batch(max_parallel=2)), 5)
    seen = []
    while claims := await box.claim(at(1)):
        assert len(claims) <= 2
        seen += claims
        await box.end(claims[0], DONE, at(2))
        (follower,) = await box.claim(at(3)) or (None,)
        if follower is not None:
            seen.append(follower)
            await box.end(follower, DONE, at(4))
        for claim in claims[1:]:
            await box.end(claim, DONE, at(5))
    assert sorted(claim.device for claim in seen) == ["d0", "d1", "d2", "d3", "d4"]
    assert await executions(box) == {"SUCCEEDED": 1}


async def test_more_failures_than_tolerated_stop_a_batch(box: Box):
    batch = Batch(max_parallel=1, tolerate_ppm=250_000)
    await order(box, 1, job(batch=batch), 8)
    for end in (FAILED, FAILED, DONE):
        (claim,) = await box.claim(at(1))
        await box.end(claim, end, at(2))
    (claim,) = await box.claim(at(3))
    await box.end(claim, FAILED, at(4))
    assert await box.claim(at(5)) == []
    assert await executions(box) == {"FAILED": 1}


async def test_tolerated_failures_are_no_failure(box: Box):
    await order(box, 1, job(batch=Batch(tolerate_ppm=250_000)), 4)
    for claim in await box.claim(at(1)):
        await box.end(claim, FAILED if claim.device == "d1" else DONE, at(2))
    assert await executions(box) == {"SUCCEEDED": 1}


async def test_what_matters_more_goes_first(box: Box):
    for number, priority in ((1, 3), (2, 1), (3, 0), (4, 2)):
        await order(box, number, job(priority=priority), 1)
    seen = []
    while claims := await box.claim(at(1)):
        assert len(claims) == 1, "one device does one thing at a time"
        seen.append(claims[0].execution)
        await box.end(claims[0], DONE, at(2))
    assert seen == [uid(3), uid(2), uid(4), uid(1)]


# --- cut in two -----------------------------------------------------------------------------------
async def test_an_effect_that_was_cut_off_is_never_repeated(box: Box):
    await order(box, 1, write_job(1), 1)
    (claim,) = await box.claim(at(1))
    assert await box.jobs.note(claim, Course(intent="apply"), durable=True)
    reopened = await box.again()
    assert await reopened.jobs.recover(at(2), crashed=True) == 1
    assert await reopened.claim(at(3)) == []
    [told] = [r for r in await reopened.receipts() if r.device]
    assert (TaskState(told.state), Reason(told.reason)) == (TaskState.FAILED, Reason.UNKNOWN_EFFECT)
    assert "apply" in told.detail
    await reopened.file.close()


async def test_a_graceful_stop_in_an_effect_tells_the_same(box: Box):
    await order(box, 1, write_job(1), 1)
    (claim,) = await box.claim(at(1))
    await box.jobs.note(claim, Course(intent="apply"), durable=True)
    assert await box.jobs.give_back(at(2)) == 1
    assert await box.claim(at(3)) == []
    assert await executions(box) == {"FAILED": 1}


async def test_what_was_done_before_a_crash_is_known_after_it(box: Box):
    await order(box, 1, write_job(1), 1)
    (claim,) = await box.claim(at(1))
    course = Course(index=1, facts={"a.ok": True})
    assert await box.jobs.note(claim, course, durable=False)
    await box.jobs.recover(at(2), crashed=True)
    (again,) = await box.claim(at(3))
    assert again.course == course
    assert not await box.jobs.note(claim, Course(), durable=False), "the first is history"


async def test_looks_at_a_check_are_no_attempts_and_no_news(box: Box):
    await order(box, 1, write_job(1), 1)
    soaking = Course(phase=Phase.SOAK)
    for look in range(4):
        (claim,) = await box.claim(at(look * 10))
        assert claim.attempt == (1 if look == 0 else 2)
        rest = Conclusion(
            state=TaskState.READY,
            due=due_in(5, at(look * 10)),
            course=soaking,
            verifying=True,
            untried=look > 0,
        )
        await box.end(claim, rest, at(look * 10))
    assert await executions(box) == {"VERIFYING": 1}
    assert [state for _, state, _ in await box.told()] == ["DELIVERED", "IN_PROGRESS", "VERIFYING"]
