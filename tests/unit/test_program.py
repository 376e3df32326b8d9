"""The step machine of a task: conditions, jumps, retries, checks, undoing, going on after a cut."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent.core.course import Course, Do, Ended, Phase, Rest, Watch
from agent.core.moment import Moment
from agent.core.ports import StepOutcome
from agent.core.program import Program
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason
from shared.model.job import JobSpec, Retry, Step, TaskState, Value
from shared.model.plan import PostCheck
from shared.model.spec_check import check_spec
from shared.wire.codec import pack, unpack

WALL = 1_795_000_000_000
BOOT = b"a" * 16
SILENT = StepOutcome(Reason.DEVICE_SILENT, "nobody answers")


def at(ms: int, boot: bytes = BOOT, wall: int | None = None) -> Moment:
    return Moment(MonoMs(ms), boot, WallMs(WALL + ms if wall is None else wall))


def read(name: str, **more: Any) -> Step:
    return Step(name, "device.read", {"points": ["p"]}, **more)


class Walk:
    """One task walked through its program, written down and read again between any two moves."""

    def __init__(self, *steps: Step, **spec: Any) -> None:
        job = JobSpec(name="a", steps=list(steps), **spec)
        check_spec(job)
        self.program, self.course, self.now = Program.of(job), Course(), at(0)
        self.done: list[str] = []
        self.end: Ended | None = None
        self.rests: list[Rest] = []

    def run(
        self,
        outcomes: Mapping[str, StepOutcome | list[StepOutcome]] | None = None,
        facts: Mapping[str, Value] | None = None,
    ) -> "Walk":
        """Walk until the task rests or ends."""
        outcomes = dict(outcomes or {})
        while self.end is None:
            self.course = unpack(pack(self.course), Course, bound=2 * limits.COURSE_BYTES)
            self.course, todo = self.program.advance(self.course, self.now)
            rest: Rest | None = None
            match todo:
                case Ended():
                    self.end = todo
                    return self
                case Watch():
                    holds = todo.condition.evaluate(self.course.looking((facts or {}).get))
                    if self.course.is_verifying:
                        self.course, rest = self.program.seen(self.course, self.now, holds=holds)
                    else:
                        self.course = self.program.decided(self.course, holds=holds)
                case Do(step):
                    self.done.append(step.id)
                    planned = outcomes.get(step.id, StepOutcome(result={"p": 7}))
                    outcome = planned.pop(0) if isinstance(planned, list) else planned
                    self.course = self.program.did(self.course, step, outcome)
                case Rest():
                    raise AssertionError
            if self.course.phase is Phase.FAILED:
                self.course, rest = self.program.after_failure(self.course, self.now, fraction=0.5)
            if rest is not None:
                self.rests.append(rest)
                return self
        return self


def test_steps_run_in_order_and_their_results_are_kept() -> None:
    walk = Walk(read("a"), read("b")).run()
    assert walk.done == ["a", "b"]
    assert walk.end == Ended(TaskState.DONE)
    assert walk.course.result == {"a.p": 7, "b.p": 7}
    assert walk.course.facts["a.ok"] is True


def test_a_step_whose_condition_does_not_hold_is_left_out() -> None:
    steps = (read("a"), read("b", when="a.p > 9"), read("c", when="a.ok and device.on"))
    assert Walk(*steps).run(facts={"device.on": True}).done == ["a", "c"]
    assert Walk(*steps).run(facts={"device.on": False}).done == ["a"]
    # What nobody knows does not count as true.
    assert Walk(*steps).run().done == ["a"]


def test_a_skipped_step_says_so_and_is_neither_good_nor_bad() -> None:
    walk = Walk(read("a", when="false"), read("b", when="a.ok"), read("c", when="not a.ok"))
    assert walk.run().done == []
    assert walk.course.facts["a.reason"] == "skipped"


def test_a_failed_step_fails_the_task() -> None:
    walk = Walk(read("a"), read("b"), read("c")).run({"b": SILENT})
    assert walk.done == ["a", "b"]
    assert walk.end == Ended(TaskState.FAILED, Reason.DEVICE_SILENT, "b: nobody answers")


def test_a_step_is_tried_again_at_once_as_often_as_it_says() -> None:
    walk = Walk(read("a", retries=2), read("b")).run({"a": [SILENT, SILENT, StepOutcome()]})
    assert walk.done == ["a", "a", "a", "b"]
    assert walk.end == Ended(TaskState.DONE)
    assert Walk(read("a", retries=1)).run({"a": [SILENT, SILENT]}).end != Ended(TaskState.DONE)


def test_what_no_retry_can_cure_is_not_tried_again() -> None:
    hopeless = StepOutcome(Reason.POINT_UNKNOWN, "p")
    assert Walk(read("a", retries=5), retry=Retry(failed=5)).run({"a": hopeless}).done == ["a"]


def test_a_failure_may_be_passed_over_or_lead_elsewhere() -> None:
    steps = (read("a", on_failure="continue"), read("b", when="a.ok"), read("c"))
    assert Walk(*steps).run({"a": SILENT}).done == ["a", "c"]
    steps = (read("a", on_failure="goto:c"), read("b"), read("c", when="not a.ok"))
    walk = Walk(*steps).run({"a": SILENT})
    assert walk.done == ["a", "c"]
    assert walk.course.facts["a.reason"] == "device_silent"
    assert walk.end == Ended(TaskState.DONE)


def test_another_attempt_goes_on_with_the_step_that_failed() -> None:
    walk = Walk(read("a"), read("b", when="a.ok"), retry=Retry(failed=1, initial_s=60))
    walk.run({"b": SILENT})
    [rest] = walk.rests
    assert (rest.reason, rest.due.mono_ms) == (Reason.DEVICE_SILENT, 30_000)
    assert walk.end is None
    walk.run()
    assert walk.done == ["a", "b", "b"]
    assert walk.end == Ended(TaskState.DONE)


def test_attempts_come_to_an_end() -> None:
    walk = Walk(read("a"), retry=Retry(failed=2))
    for _ in range(3):
        walk.run({"a": SILENT})
    assert walk.done == ["a"] * 3
    assert walk.end == Ended(TaskState.FAILED, Reason.DEVICE_SILENT, "a: nobody answers")


def test_a_step_that_takes_too_long_is_tried_again_as_often_as_is_said_for_it() -> None:
    late = StepOutcome(Reason.TIMED_OUT, "it took longer than 30 s")
    walk = Walk(read("a"), retry=Retry(failed=5, timed_out=1))
    for outcome in (late, SILENT, SILENT, late):
        assert walk.end is None
        walk.run({"a": outcome})
    assert walk.end == Ended(TaskState.FAILED, Reason.TIMED_OUT, "a: it took longer than 30 s")
    walk = Walk(read("a"), retry=Retry(failed=5, timed_out=0))
    assert walk.run({"a": late}).end is not None


def test_the_wait_grows_as_is_said_and_spreads_unless_it_must_not() -> None:
    steady = Retry(failed=3, initial_s=10, max_s=200, multiplier_ppm=3_000_000, jitter=False)
    walk = Walk(read("a"), retry=steady)
    for _ in range(3):
        walk.run({"a": SILENT})
    assert [rest.due.delay_ms for rest in walk.rests] == [10_000, 30_000, 90_000]
    walk = Walk(read("a"), retry=Retry(failed=3, initial_s=10, max_s=30))
    for _ in range(3):
        walk.run({"a": SILENT})
    assert [rest.due.delay_ms for rest in walk.rests] == [5_000, 10_000, 15_000]


# --- at the end -----------------------------------------------------------------------------------
def test_last_steps_are_done_however_it_ended_and_change_nothing() -> None:
    last = [read("x", when="not a.ok"), read("y")]
    walk = Walk(read("a"), final_steps=last).run({"a": SILENT, "x": SILENT})
    assert walk.done == ["a", "x", "y"]
    assert walk.end == Ended(TaskState.FAILED, Reason.DEVICE_SILENT, "a: nobody answers")
    walk = Walk(read("a"), final_steps=last).run({"y": SILENT})
    assert walk.done == ["a", "y"]
    assert walk.end == Ended(TaskState.DONE)


def test_last_steps_are_done_once_after_the_last_attempt() -> None:
    walk = Walk(read("a"), final_steps=[read("x")], retry=Retry(failed=1))
    walk.run({"a": SILENT}).run({"a": SILENT})
    assert walk.done == ["a", "a", "x"]


def test_what_failed_for_good_is_undone() -> None:
    walk = Walk(read("a"), read("b"), compensation=[read("undo", when="a.ok")])
    walk.run({"b": SILENT})
    assert walk.done == ["a", "b", "undo"]
    detail = "device_silent: b: nobody answers"
    assert walk.end == Ended(TaskState.FAILED, Reason.UNDONE, detail)


def test_an_undoing_that_fails_is_told_with_both_reasons() -> None:
    walk = Walk(read("a"), compensation=[read("undo"), read("rest")], final_steps=[read("x")])
    walk.run({"a": SILENT, "undo": SILENT})
    assert walk.done == ["a", "undo", "x"]
    assert walk.end is not None
    assert walk.end.reason is Reason.UNDO_FAILED
    assert walk.end.detail.count("nobody answers") == 2


# --- cut off --------------------------------------------------------------------------------------
def cut(course: Course, *steps: Step, **spec: Any) -> tuple[Course, Ended | None]:
    """Return what becomes of a course that was cut off: `poison` and `canceled` are of the cut."""
    how = {name: spec.pop(name) for name in ("poison", "canceled") if name in spec}
    job = JobSpec(name="a", steps=list(steps), **spec)
    check_spec(job)
    return Program.of(job).cut_off(course, **how)


def test_a_cut_between_two_steps_changes_nothing() -> None:
    course = Course(index=1, facts={"a.ok": True})
    assert cut(course, read("a"), read("b")) == (course, None)


def test_a_cut_effect_with_nothing_to_put_in_order_ends_the_task() -> None:
    course, end = cut(Course(intent="a"), read("a", retries=3), read("b"), retry=Retry(failed=3))
    assert end is not None
    assert (end.state, end.reason) == (TaskState.FAILED, Reason.UNKNOWN_EFFECT)
    assert course.result == {"a.reason": "unknown_effect"}


@pytest.mark.parametrize("phase", [Phase.STEPS, Phase.CHECK, Phase.COMPENSATE, Phase.FINAL])
@pytest.mark.parametrize("index", [1, 2])
def test_a_cut_effect_that_is_not_where_the_course_says_ends_the_task(phase, index) -> None:
    more = {"final_steps": [read("x"), read("y")], "compensation": [read("u"), read("v")]}
    _, end = cut(Course(phase=phase, index=index, intent="a"), read("a"), read("b"), **more)
    assert end is not None
    assert (end.state, end.reason) == (TaskState.FAILED, Reason.UNKNOWN_EFFECT)
    assert end.detail.startswith("a: cut off")


def test_of_last_steps_and_undoing_a_cut_effect_is_not_begun_again_either() -> None:
    more = {"final_steps": [read("x"), read("y")], "compensation": [read("u"), read("v")]}
    for canceled in (False, True):
        final = Course(phase=Phase.FINAL, intent="x")
        course, end = cut(final, read("a"), canceled=canceled, **more)
        assert (course.phase, course.index, end) == (Phase.FINAL, 1, None)
        undoing = Course(phase=Phase.COMPENSATE, intent="u", reason=int(Reason.DEVICE_SILENT))
        course, end = cut(undoing, read("a"), canceled=canceled, **more)
        assert (course.phase, course.index, course.undone, end) == (Phase.FINAL, 0, False, None)


def test_an_unknown_effect_is_told_before_that_the_agent_went_down() -> None:
    more = {"final_steps": [read("x")], "poison": "it went down"}
    course, end = cut(Course(intent="a"), read("a"), **more)
    assert (course.phase, Reason(course.reason), end) == (Phase.FAILED, Reason.UNKNOWN_EFFECT, None)
    _, end = cut(course, read("a"), **more)
    assert end is not None
    assert (end.state, end.reason) == (TaskState.FAILED, Reason.UNKNOWN_EFFECT)
    course, end = cut(Course(), read("a"), **more)
    assert (course.phase, Reason(course.reason), end) == (Phase.FAILED, Reason.POISONED, None)
    _, end = cut(course, read("a"), **more)
    assert end == Ended(TaskState.QUARANTINED, Reason.POISONED, "it went down")


# --- post-check -----------------------------------------------------------------------------------
CHECK = PostCheck("device.level > 3", within_s=60, soak_s=600, every_s=30)
GOOD: dict[str, Value] = {"device.level": 4}
BAD: dict[str, Value] = {"device.level": 2}
UNSURE: dict[str, Value] = {}


def test_a_check_without_soak_is_one_look() -> None:
    walk = Walk(read("a"), post_check=PostCheck("device.level > 3")).run(facts=GOOD)
    assert walk.end == Ended(TaskState.DONE)


def test_the_check_has_its_time_to_come_true() -> None:
    for late in (BAD, UNSURE):
        walk = Walk(read("a"), post_check=PostCheck("device.level > 3", within_s=60, every_s=30))
        walk.run(facts=late)
        assert walk.rests[0].due.mono_ms == 30_000
        walk.now = at(59_999)
        walk.run(facts=late)
        assert walk.end is None
        walk.now = at(60_000)
        walk.run(facts=late)
        assert walk.end == Ended(TaskState.FAILED, Reason.POST_CHECK_FAILED, "device.level > 3")


def test_what_held_must_go_on_holding() -> None:
    walk = Walk(read("a"), post_check=CHECK, compensation=[read("undo")]).run(facts=GOOD)
    assert walk.course.phase is Phase.SOAK
    walk.now = at(599_999)
    # A device that is silent for a while has not said the opposite.
    walk.run(facts=UNSURE).run(facts=GOOD)
    assert walk.end is None
    walk.now = at(600_000)
    assert walk.run(facts=GOOD).end == Ended(TaskState.DONE)
    walk = Walk(read("a"), post_check=CHECK, compensation=[read("undo")]).run(facts=GOOD)
    walk.now = at(1)
    walk.run(facts=BAD)
    assert walk.done == ["a", "undo"]
    assert walk.end is not None
    assert walk.end.reason is Reason.UNDONE


def test_a_soak_that_cannot_be_told_at_its_end_has_failed() -> None:
    walk = Walk(read("a"), post_check=CHECK).run(facts=GOOD)
    walk.now = at(600_000)
    walk.run(facts=UNSURE)
    assert walk.end is not None
    assert walk.end.reason is Reason.POST_CHECK_FAILED
    assert "cannot be told" in walk.end.detail


def test_a_soak_goes_on_over_a_reboot_by_the_time_that_passed() -> None:
    walk = Walk(read("a"), post_check=CHECK).run(facts=GOOD)
    walk.now = at(5, b"b" * 16, wall=WALL + 599_000)
    walk.course = walk.course.on_this_boot(walk.now)
    assert walk.run(facts=GOOD).end is None
    walk.now = at(1_005, b"b" * 16, wall=WALL + 600_000)
    walk.course = walk.course.on_this_boot(walk.now)
    assert walk.run(facts=GOOD).end == Ended(TaskState.DONE)


def test_a_clock_in_1970_makes_a_soak_begin_once_more_and_not_for_ever() -> None:
    walk = Walk(read("a"), post_check=CHECK).run(facts=GOOD)
    for ms in (0, 300_000, 599_999):
        walk.now = at(ms, b"b" * 16, wall=ms)
        walk.course = walk.course.on_this_boot(walk.now)
        assert walk.run(facts=GOOD).end is None
    walk.now = at(600_000, b"b" * 16, wall=600_000)
    walk.course = walk.course.on_this_boot(walk.now)
    assert walk.run(facts=GOOD).end == Ended(TaskState.DONE)


def test_a_deadline_is_kept_over_reboots() -> None:
    from agent.core.queue import due_in

    course = Course().ending_by(due_in(10_000, at(0)))
    assert course.left_ms(at(4_000)) == 6_000
    later = at(50, b"b" * 16, wall=WALL + 9_000)
    assert course.on_this_boot(later).left_ms(later) == 1_000
    assert Course().left_ms(at(0)) is None
    assert course.left_ms(at(99_000)) == 0


# --- bounds ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [-0.0, float("inf"), 2**60, "x" * 400, True])
def test_whatever_a_step_gave_can_be_written_down_and_read_again(value: Value) -> None:
    result = {f"p{number}": value for number in range(200)}
    walk = Walk(read("a"), read("b")).run({"a": StepOutcome(result=result)})
    assert walk.end == Ended(TaskState.DONE)
    assert len(pack(walk.course)) < 2 * limits.COURSE_BYTES
    assert walk.course.facts["b.ok"] is True
