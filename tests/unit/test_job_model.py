"""What a job may say, which states may follow which, and how tasks fold into an execution."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MistakeError, Reason
from shared.model.job import (
    EXECUTION_TRANSITIONS,
    TASK_TRANSITIONS,
    TERMINAL_EXECUTION,
    ExecutionState,
    JobSpec,
    Retry,
    Step,
    TaskSeen,
    TaskState,
    check_task_transition,
    fold_tasks,
    may_follow,
)
from shared.model.policy import full_jitter_ms, may_retry
from shared.model.selector import parse_selector
from shared.model.spec_check import check_spec

WRITE = Step("apply", "device.write", {"setpoint": 4200})


def test_every_state_has_its_row_and_terminal_states_are_never_left() -> None:
    assert set(TASK_TRANSITIONS) == set(TaskState)
    assert set(EXECUTION_TRANSITIONS) == set(ExecutionState)
    for state in TERMINAL_EXECUTION:
        assert not EXECUTION_TRANSITIONS[state]


def test_what_is_observed_overrides_what_was_presumed() -> None:
    observed = TERMINAL_EXECUTION - {ExecutionState.REMOVED}
    assert all(may_follow(ExecutionState.OVERDUE, state) for state in observed)
    assert not any(may_follow(state, ExecutionState.OVERDUE) for state in TERMINAL_EXECUTION)


def test_an_illegal_task_transition_is_our_own_bug() -> None:
    check_task_transition(TaskState.RUNNING, TaskState.READY)
    with pytest.raises(AssertionError, match="DONE->RUNNING"):
        check_task_transition(TaskState.DONE, TaskState.RUNNING)


_T, _X = TaskState, ExecutionState


def seen(*tasks: tuple[Any, ...]) -> list[TaskSeen]:
    return [TaskSeen(*task) for task in tasks]


@pytest.mark.parametrize(
    ("tasks", "state"),
    [
        (seen(), _X.REJECTED),
        (seen((_T.READY, 0)), _X.DELIVERED),
        (seen((_T.READY, 0, Reason.WINDOW_CLOSED)), _X.HELD),
        (seen((_T.READY, 1, Reason.DEVICE_SILENT)), _X.HELD),
        (seen((_T.RUNNING, 1), (_T.READY, 0)), _X.IN_PROGRESS),
        (seen((_T.DONE, 1), (_T.READY, 0)), _X.IN_PROGRESS),
        (seen((_T.DONE, 1), (_T.READY, 1, None, True)), _X.VERIFYING),
        (seen((_T.READY, 1, None, True), (_T.READY, 0)), _X.IN_PROGRESS),
        (seen(*[(_T.DONE, 1)] * 3), _X.SUCCEEDED),
        (seen((_T.DONE, 1), (_T.FAILED, 2, Reason.VERIFY_MISMATCH)), _X.FAILED),
        (seen((_T.FAILED, 1, Reason.UNDONE), (_T.DONE, 1)), _X.ROLLED_BACK),
        (seen((_T.FAILED, 1, Reason.UNDONE), (_T.FAILED, 1, Reason.STEP_FAILED)), _X.FAILED),
        (
            seen((_T.FAILED, 1, Reason.UNDONE), (_T.FAILED, 1, Reason.UNDO_FAILED)),
            _X.ROLLBACK_FAILED,
        ),
        (seen((_T.FAILED, 1, Reason.JOB_TIMED_OUT), (_T.DONE, 1)), _X.TIMED_OUT),
        (seen((_T.FAILED, 1, Reason.UNKNOWN_EFFECT), (_T.FAILED, 1, Reason.UNDONE)), _X.FAILED),
        (seen((_T.FAILED, 1, Reason.STEP_FAILED), (_T.QUARANTINED, 3)), _X.QUARANTINED),
        (seen(*[(_T.CANCELED, 0, Reason.JOB_EXPIRED)] * 2), _X.EXPIRED),
        (seen((_T.CANCELED, 0, Reason.SUPERSEDED)), _X.SUPERSEDED),
        (seen((_T.CANCELED, 0, Reason.CANCELED)), _X.CANCELED),
        (seen((_T.CANCELED, 0, Reason.OUT_OF_TOUCH)), _X.REJECTED),
        (seen((_T.CANCELED, 0, Reason.JOB_EXPIRED), (_T.DONE, 1)), _X.CANCELED),
        (seen((_T.READY, 0), (_T.CANCELED, 0, Reason.JOB_EXPIRED)), _X.IN_PROGRESS),
        (
            seen((_T.FAILED, 1, Reason.STEP_FAILED), (_T.CANCELED, 0, Reason.CANARY_FAILED)),
            _X.FAILED,
        ),
    ],
)
def test_an_execution_is_the_fold_of_its_tasks(
    tasks: list[TaskSeen], state: ExecutionState
) -> None:
    assert fold_tasks(tasks).state is state
    assert fold_tasks(list(reversed(tasks))).state is state


def test_a_tolerated_share_may_fail() -> None:
    tasks = seen(*[(_T.DONE, 1)] * 9, (_T.FAILED, 1, Reason.DEVICE_SILENT))
    assert fold_tasks(tasks).state is _X.FAILED
    assert fold_tasks(tasks, tolerate_ppm=99_999).state is _X.FAILED
    assert fold_tasks(tasks, tolerate_ppm=100_000).state is _X.SUCCEEDED
    poisoned = seen(*[(_T.DONE, 1)] * 9, (_T.QUARANTINED, 3, Reason.POISONED))
    assert fold_tasks(poisoned, tolerate_ppm=500_000).state is _X.QUARANTINED


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        (JobSpec(name="Not A Name", steps=[WRITE]), "name"),
        (JobSpec(name="a", steps=[]), "steps"),
        (JobSpec(name="a", steps=[WRITE, WRITE]), "steps[1].id"),
        (JobSpec(name="a", steps=[Step("x", "device.explode", {"a": 1})]), "steps[0].action"),
        (JobSpec(name="a", steps=[Step("x", "device.write", {"a": "b"})]), "steps[0].params"),
        (JobSpec(name="a", steps=[Step("x", "device.write")]), "steps[0].params"),
        (JobSpec(name="a", steps=[Step("x", "device.read", {"points": []})]), "steps[0].params"),
        (JobSpec(name="a", steps=[Step("x", "device.read", {"point": "p"})]), "steps[0].params"),
        (
            JobSpec(name="a", steps=[Step("x", "device.write", {"a": 1}, timeout_s=0)]),
            "steps[0].timeout_s",
        ),
        (JobSpec(name="a", steps=[WRITE], delay_s=-1), "delay_s"),
        (JobSpec(name="a", steps=[WRITE], retry=Retry(failed=-1)), "retry.failed"),
        (JobSpec(name="a", steps=[WRITE], retry=Retry(initial_s=9, max_s=3)), "retry"),
        (JobSpec(name="a", steps=[WRITE], retry=Retry(failed=1, timed_out=2)), "retry.timed_out"),
        (JobSpec(name="a", steps=[WRITE], retry=Retry(multiplier_ppm=10)), "retry.multiplier"),
    ],
)
def test_a_bad_job_is_refused_with_the_place_of_the_mistake(spec: JobSpec, place: str) -> None:
    with pytest.raises(MistakeError) as caught:
        check_spec(spec)
    assert caught.value.where == place


def test_a_good_job_passes() -> None:
    check_spec(JobSpec(name="raise-setpoint", steps=[WRITE]))


def test_back_off_grows_to_its_cap_and_never_gives_up() -> None:
    waits = [
        full_jitter_ms(n, initial_s=60, max_s=1800, fraction=0.999) for n in range(1, 2_000, 7)
    ]
    assert waits == sorted(waits)
    assert waits[-1] == int(1800 * 1000 * 0.999)
    assert full_jitter_ms(1, initial_s=60, max_s=1800, fraction=0.0) == 0


def test_retries_stop_at_their_number_and_where_repeating_cannot_help() -> None:
    assert may_retry(Reason.DEVICE_SILENT, failures=1, allowed=1)
    assert not may_retry(Reason.DEVICE_SILENT, failures=2, allowed=1)
    assert not may_retry(Reason.VALUE_OUT_OF_RANGE, failures=1, allowed=9)


@pytest.mark.parametrize(
    ("text", "labels", "hit"),
    [
        ("", {}, True),
        ("site=north", {"site": "north"}, True),
        ("site==north", {"site": "south"}, False),
        ("site!=north", {}, True),
        ("site in (north, south),role=pump", {"site": "south", "role": "pump"}, True),
        ("site notin (north)", {"site": "north"}, False),
        ("role", {"role": ""}, True),
        ("!role", {"role": "x"}, False),
        (" ! role , site = a ", {"site": "a"}, True),
        ("in=1", {"in": "1"}, True),
    ],
)
def test_selectors_match_as_in_kubernetes(text: str, labels: dict[str, str], hit: bool) -> None:
    assert parse_selector(text).matches(labels) is hit


@pytest.mark.parametrize(
    "text", ["=", "a=b,", "a in ()x", "a in north", "a=b c=d", ",", "a" * 2000]
)
def test_what_is_no_selector_is_refused_with_the_column(text: str) -> None:
    with pytest.raises(MistakeError):
        parse_selector(text)


_KEYS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,5}[A-Za-z0-9])?", fullmatch=True)
_WORDS = st.from_regex(r'[A-Za-z0-9_.-]{0,6}|"[^"\\\x00-\x1f]{0,6}"', fullmatch=True)
_GAPS = st.sampled_from(["", " "])
_CLAUSES = st.one_of(
    st.builds("{}{}{}{}{}".format, _KEYS, _GAPS, st.sampled_from(["=", "==", "!="]), _GAPS, _WORDS),
    st.builds(
        "{} {} ({})".format,
        _KEYS,
        st.sampled_from(["in", "notin"]),
        st.lists(_WORDS, min_size=1, max_size=4).map(" , ".join),
    ),
    st.builds(
        "{}{}{}".format,
        _KEYS,
        st.sampled_from(["<", "<=", ">", ">="]),
        st.from_regex(r"v?[0-9]{1,3}(\.[0-9]){0,2}(\+[0-9])?", fullmatch=True),
    ),
    st.builds("{}{}".format, st.sampled_from(["", "!"]), _KEYS),
)


@given(st.lists(_CLAUSES, max_size=4).map(",".join))
def test_a_selector_is_written_as_it_is_read_again(text: str) -> None:
    selector = parse_selector(text)
    assert parse_selector(selector.text) == selector
    assert len(selector.text) <= len(text)
