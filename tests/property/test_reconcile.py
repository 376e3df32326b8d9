"""Receipts give one outcome, however they travel: any order, any repetition, any batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.reconcile import REPORTABLE, Known, fold
from shared import limits
from shared.model.job import TERMINAL_EXECUTION, TERMINAL_TASK, ExecutionState, TaskState
from shared.wire.messages import Receipt

QUEUED = Known(state=ExecutionState.QUEUED)
DEVICES = ["", "pump-1", "pump-2", "pump-3", "pump-4"]


@st.composite
def receipts(draw, *, most=12):
    """Facts as agents number them: one receipt per number; some states no agent can know."""
    made = []
    for number in range(1, draw(st.integers(0, most)) + 1):
        device = draw(st.sampled_from(DEVICES))
        known = [int(state) for state in (TaskState if device else ExecutionState)]
        made.append(
            Receipt(
                number=number,
                execution=b"x" * 16,
                device=device,
                state=draw(st.sampled_from([*known, 99, -1])),
                attempt=draw(st.integers(0, 3)),
                reason=draw(st.sampled_from([0, 302, 402])),
                wall_ms=draw(st.integers(-(10**12), 10**12)),
                result={"step.point": draw(st.integers(0, 9))},
            )
        )
    return made


@st.composite
def journeys(draw):
    """Receipts of up to three stores, and a way they could arrive."""
    facts = [(epoch, one) for epoch in (1, 2, 3) for one in draw(receipts())]
    extra = draw(st.lists(st.sampled_from(facts), max_size=10)) if facts else []
    return facts, draw(st.permutations([*facts, *extra]))


def arrive(facts):
    known = QUEUED
    for epoch, receipt in facts:
        known = fold(known, [receipt], epoch=epoch)
    return known


@given(journeys())
def test_any_order_and_repetition_gives_the_same_outcome(journey):
    facts, arrival = journey
    assert arrive(arrival) == arrive(facts)


@given(journeys(), st.integers(1, 3))
def test_of_more_devices_than_are_kept_the_same_stay_in_any_order(journey, most):
    facts, arrival = journey
    everything = arrive(facts)
    first = sorted(everything.tasks)[:most]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "TASKS_PER_EXECUTION", most)
        known = arrive(arrival)
        assert known == arrive(facts)
    assert known.tasks == {device: everything.tasks[device] for device in first}
    assert (known.state, known.rank) == (everything.state, everything.rank)


@given(receipts(), st.data())
def test_batches_do_not_matter(facts, data):
    cut = data.draw(st.integers(0, len(facts)))
    halves = fold(fold(QUEUED, facts[cut:], epoch=1), facts[:cut], epoch=1)
    assert halves == fold(QUEUED, facts, epoch=1)


@given(receipts())
def test_a_fact_that_is_known_changes_nothing(facts):
    known = fold(QUEUED, facts, epoch=1)
    assert fold(known, facts, epoch=1) == known


@given(receipts(), st.permutations(range(12)))
def test_a_terminal_state_is_never_left_by_a_lower_number(facts, order):
    known = QUEUED
    terminal: dict[str, int] = {}
    for index in order:
        if index >= len(facts):
            continue
        known = fold(known, [facts[index]], epoch=1)
        now = {
            "": (known.state in TERMINAL_EXECUTION, known.rank),
            **{d: (task.state in TERMINAL_TASK, task.rank) for d, task in known.tasks.items()},
        }
        for device, (is_terminal, rank) in now.items():
            if rank is None:
                continue
            if device in terminal:
                assert is_terminal
                assert rank.number >= terminal[device]
            if is_terminal:
                terminal[device] = rank.number


@given(receipts())
def test_no_agent_can_report_what_only_the_coordinator_knows(facts):
    known = fold(QUEUED, facts, epoch=1)
    assert known.state in REPORTABLE or known == QUEUED
    assert known.state not in {ExecutionState.OVERDUE, ExecutionState.REMOVED}


@given(receipts())
def test_the_highest_number_wins_among_terminal_facts(facts):
    known = fold(QUEUED, facts, epoch=1)
    ends = [one for one in facts if not one.device and one.state in TERMINAL_EXECUTION & REPORTABLE]
    if ends:
        assert known.state == ends[-1].state
        assert known.reason == ends[-1].reason


def fact(number, state, device=""):
    return Receipt(number, b"x" * 16, device, state, 1, 0, 0)


def test_a_task_that_runs_shows_that_its_execution_has_begun():
    known = fold(QUEUED, [fact(2, TaskState.RUNNING, "pump-1")], epoch=1)
    assert known.state is ExecutionState.IN_PROGRESS
    assert known.rank is None


def test_the_executions_own_fact_outranks_what_its_tasks_suggest():
    task, own = fact(2, TaskState.RUNNING, "pump-1"), fact(1, ExecutionState.DELIVERED)
    known = fold(QUEUED, [task, own], epoch=1)
    assert known.state is ExecutionState.DELIVERED


def test_a_newer_store_knows_better_than_a_higher_number_of_an_older_one():
    known = fold(QUEUED, [fact(900, ExecutionState.SUCCEEDED)], epoch=1)
    known = fold(known, [fact(1, ExecutionState.FAILED)], epoch=2)
    assert known.state is ExecutionState.FAILED


def test_any_observed_fact_overrides_what_was_supposed():
    overdue = Known(state=ExecutionState.OVERDUE)
    assert fold(overdue, [fact(1, ExecutionState.HELD)], epoch=1).state is ExecutionState.HELD
