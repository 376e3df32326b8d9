"""What the queue decides: devices of a job, due times over boots, and what tasks add up to."""

import math
from dataclasses import replace

import pytest

from agent.actions.registry import check_step
from agent.core.course import Course, Ended
from agent.core.executor import Claim, Conclusion, ended, held_back
from agent.core.moment import Anchor, Moment, moment
from agent.core.ports import StepOutcome
from agent.core.program import Program
from agent.core.queue import Problem, due_in, expire, plan_job, rebased
from shared import limits
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Step, Targets, TaskState, Value
from shared.wire.codec import pack, unpack
from shared.wire.messages import Receipt
from tests.agent_parts import DAY, WALL, device, read_job, write_job

NOW = Moment(MonoMs(1_000), b"a" * 16, WallMs(WALL))
LATER_BOOT = b"b" * 16


# --- which devices ------------------------------------------------------------------------------
def test_a_job_becomes_a_task_for_each_device_its_selector_matches():
    pumps = [device("pump-1", hall="a"), device("pump-2", hall="b"), device("pump-3", hall="a")]
    assert plan_job(write_job(5, selector="hall=a"), pumps, check_step) == ("pump-1", "pump-3")
    assert plan_job(write_job(5), pumps, check_step) == ("pump-1", "pump-2", "pump-3")
    assert plan_job(write_job(5, selector="id=pump-2,kind=pump"), pumps, check_step) == ("pump-2",)


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        (write_job(5, selector="hall=c"), Reason.NO_MATCHING_DEVICE, "hall=c"),
        (write_job(5, selector="hall in"), Reason.BAD_SPEC, "column"),
        (write_job(5001), Reason.VALUE_OUT_OF_RANGE, "pump-1.setpoint: 5001"),
        (write_job(-1), Reason.VALUE_OUT_OF_RANGE, "0 to 5000"),
        (read_job("flow", "torque"), Reason.POINT_UNKNOWN, "torque"),
        (
            JobSpec("x", [Step("s", "device.write", {"flow": 1})]),
            Reason.POINT_READ_ONLY,
            "pump-1.flow",
        ),
        (
            JobSpec("x", [Step("s", "device.write", {"torque": 1})]),
            Reason.POINT_UNKNOWN,
            "torque",
        ),
        (
            JobSpec(
                "x", [Step("s", "device.read", {"points": ["flow"]}), Step("t", "device.melt")]
            ),
            Reason.UNKNOWN_ACTION,
            "device.melt",
        ),
    ],
)
def test_a_job_that_no_device_can_do_is_refused_with_the_reason(spec, reason, says):
    refused = plan_job(spec, [device("pump-1", hall="a"), device("pump-2")], check_step)
    assert isinstance(refused, Problem)
    assert refused.reason is reason
    assert says in refused.detail


def test_a_job_without_any_device_is_refused():
    refused = plan_job(write_job(1), [], check_step)
    assert isinstance(refused, Problem)
    assert refused.reason is Reason.NO_MATCHING_DEVICE


# --- when ---------------------------------------------------------------------------------------
def test_a_due_time_of_this_boot_is_monotonic_whatever_the_wall_clock_does():
    due = due_in(5_000, NOW)
    assert due.mono_ms == 6_000
    stepped = Moment(MonoMs(2_000), NOW.boot_id, WallMs(WALL + 400 * DAY))
    assert rebased(due, stepped) == due


@pytest.mark.parametrize(
    ("passed_ms", "left_ms"),
    [
        (0, 60_000),
        (40_000, 20_000),
        (60_001, 0),
        (-50 * 365 * DAY, 60_000),  # it came up in 1970: once more the whole wait, not 50 years
        (50 * 365 * DAY, 0),
    ],
)
def test_after_a_boot_what_is_left_of_a_wait_follows_the_calendar(passed_ms, left_ms):
    due = due_in(60_000, NOW)
    boot = Moment(MonoMs(77), LATER_BOOT, WallMs(WALL + passed_ms))
    after = rebased(due, boot)
    assert (after.boot_id, after.mono_ms) == (LATER_BOOT, 77 + left_ms)
    # Once more from 1970 to the truth: the calendar's due time was not forgotten.
    third = Moment(MonoMs(5), b"c" * 16, WallMs(WALL + 60_000))
    assert rebased(after, third).mono_ms == 5


def test_signed_time_is_believed_before_any_clock_of_the_machine():
    at = Instant(
        wall_ms=WallMs(5), mono_ms=MonoMs(9_000), boot_id=b"a" * 16, state=ClockState.SYNCED
    )
    anchor = Anchor(WallMs(WALL), MonoMs(4_000), b"a" * 16)
    assert moment(at, anchor, floor_ms=WallMs(0)).today_ms == WALL + 5_000
    older = Anchor(WallMs(WALL), MonoMs(4_000), LATER_BOOT)
    assert moment(at, older, floor_ms=WallMs(WALL)).today_ms == 5, "a confirmed clock may be slow"


@pytest.mark.parametrize("state", [ClockState.UNSYNCED, ClockState.STEPPED])
def test_an_unconfirmed_clock_is_never_before_what_was_proven(state):
    at = Instant(wall_ms=WallMs(5), mono_ms=MonoMs(9_000), boot_id=b"a" * 16, state=state)
    assert moment(at, None, floor_ms=WallMs(WALL)).today_ms == WALL
    assert moment(at, None, floor_ms=WallMs(3)).today_ms == 5


@pytest.mark.parametrize("state", list(ClockState))
def test_no_wall_clock_proves_that_a_time_is_over(state):
    ahead, floor = WallMs(WALL + 400 * DAY), WallMs(WALL)
    at = Instant(wall_ms=ahead, mono_ms=MonoMs(9_000), boot_id=b"a" * 16, state=state)
    now = moment(at, None, floor_ms=floor)
    assert (now.today_ms, now.proven_ms) == (ahead, floor)
    assert now.may_be_over(WALL + DAY)
    assert not now.is_over(WALL + DAY)
    assert now.is_over(WALL - 1)
    told = moment(at, Anchor(WallMs(WALL), MonoMs(4_000), b"a" * 16), floor_ms=floor)
    assert told.proven_ms == told.today_ms == WALL + 5_000, "signed words do"
    slow = replace(at, wall_ms=WallMs(5))
    assert moment(slow, None, floor_ms=floor).may_be_over(WALL - 1), "a slow one hides nothing"


def test_what_never_began_is_called_off_and_what_had_begun_failed():
    assert expire(0, None) == (TaskState.CANCELED, Reason.JOB_EXPIRED)
    assert expire(2, Reason.DEVICE_SILENT) == (TaskState.FAILED, Reason.DEVICE_SILENT)
    assert expire(2, None) == (TaskState.FAILED, Reason.JOB_EXPIRED)


@pytest.mark.parametrize(
    ("why", "state", "told"),
    [
        (Reason.UNKNOWN_EFFECT, TaskState.FAILED, Reason.UNKNOWN_EFFECT),
        (Reason.POISONED, TaskState.QUARANTINED, Reason.POISONED),
        (Reason.DEVICE_SILENT, TaskState.FAILED, Reason.JOB_EXPIRED),
    ],
)
def test_what_a_person_has_to_look_at_is_told_though_the_policy_shuts(why, state, told):
    claim = Claim(
        task=1,
        execution=bytes(16),
        device=DeviceId("pump-1"),
        attempt=2,
        crashes=1,
        spec=read_job("flow"),
        job_class="c",
        grace_s=0,
        not_after_ms=WallMs(WALL),
        course=Course(reason=int(why), detail="look: why", facts={"look.reason": why.text}),
    )
    end = held_back(claim, Problem(Reason.JOB_EXPIRED, "yesterday"))
    assert (end.state, end.reason) == (state, told)
    assert end.detail.endswith("yesterday")
    assert end.result == {"look.reason": why.text}


# --- what a receipt carries ---------------------------------------------------------------------
def ending(values: dict[str, Value]) -> Conclusion:
    outcome = StepOutcome(result=values)
    job = read_job("flow")
    program = Program.of(job)
    course, end = program.advance(program.did(Course(), job.steps[0], outcome), NOW)
    assert isinstance(end, Ended)
    return ended(end, course)


def test_a_result_is_cut_to_what_a_receipt_can_carry_and_says_so():
    end = ending({f"point-{number}": number * 1.5 for number in range(500)})
    assert end.state is TaskState.DONE
    assert len(pack(dict(end.result))) <= limits.RESULT_BYTES
    assert f"{500 - len(end.result)} of 500 values left out" in end.detail
    assert ending({"flow": 7}).result == {"look.flow": 7}


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (-0.0, 0.0),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (1 << 62, float(1 << 62)),
        (-(1 << 53), float(-(1 << 53))),
        ((1 << 53) - 1, (1 << 53) - 1),
        (True, True),
        (42.1, 42.1),
    ],
)
def test_no_value_of_a_device_can_make_a_report_unreadable(value, sent):
    end = ending({"x": value})
    assert repr(end.result["look.x"]) == repr(sent)
    receipt = Receipt(1, bytes(16), "d", 2, 1, 0, WALL, "", dict(end.result))
    assert unpack(pack(receipt), Receipt, bound=limits.REPORT_BYTES) == receipt


def test_targets_are_only_this_agents_devices():
    spec = JobSpec("x", [Step("s", "device.read", {"points": ["flow"]})], Targets(agents=["other"]))
    assert plan_job(spec, [device("pump-1")], check_step) == ("pump-1",)
