"""Lines that are slow or break off: smaller bodies get through where large ones do not."""

from dataclasses import replace

import pytest

from agent.core.settings import UplinkSettings
from agent.core.uplink import (
    Answered,
    Fault,
    LinkFailed,
    LinkState,
    after_contact,
    begun,
    first_contact,
    full_budget,
    next_contact,
)
from agent.services.http_connection import ANSWER_S, SLOWEST_BYTES_PER_S, Request, patience_s
from agent.services.uplink import CONTACT_MAX_S
from shared import limits
from shared.clock import MonoMs

SETTINGS = UplinkSettings()
WHOLE = full_budget(SETTINGS)
T0 = MonoMs(1_000_000)


START = first_contact(SETTINGS, T0, fraction=0).budget


def fresh() -> LinkState:
    return replace(first_contact(SETTINGS, T0, fraction=0), budget=WHOLE)


def after(end, state: LinkState) -> LinkState:
    plan = next_contact(begun(state), SETTINGS, T0)
    return after_contact(begun(state), SETTINGS, end, T0, plan=plan, fraction=0)


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.UNREACHABLE])
def test_a_line_that_broke_off_in_a_large_body_gets_a_smaller_one(fault):
    state = fresh()
    state = after(LinkFailed(fault=fault, up=200_000), state)
    assert state.budget == WHOLE // 2
    for _ in range(10):
        state = after(LinkFailed(fault=fault, up=200_000), state)
    assert 0 < state.budget < WHOLE // 8
    assert state.budget >= limits.BLOCK_POINTS * 8, "a block of any readings still goes"
    smallest = state.budget
    state = after(Answered(left=True, progress=True), state)
    assert state.budget == 2 * smallest, "it is tried again"


@pytest.mark.parametrize(
    "end",
    [
        LinkFailed(fault=Fault.UNREACHABLE, up=0),
        LinkFailed(fault=Fault.SILENT, up=1_500),
        LinkFailed(fault=Fault.BUSY, up=200_000),
        LinkFailed(fault=Fault.ABORTED, up=200_000),
    ],
)
def test_other_failures_say_nothing_about_the_size(end):
    assert after(end, fresh()).budget == WHOLE


def test_a_line_never_gets_more_because_it_broke_off():
    state = fresh()
    for _ in range(10):
        state = after(LinkFailed(fault=Fault.TOO_LARGE), state)
    refused = state.budget
    assert after(LinkFailed(fault=Fault.SILENT, up=200_000), state).budget == refused


def request(size: int, wait_s: int = 0) -> Request:
    return Request(path="/", body=bytes(size), content_type="x", wait_s=wait_s, keep=False)


def test_the_answer_to_a_large_body_is_waited_for_at_the_pace_of_the_slowest_line():
    assert patience_s(request(0)) == ANSWER_S
    assert patience_s(request(0, wait_s=55)) == ANSWER_S + 55
    assert patience_s(request(60 * SLOWEST_BYTES_PER_S)) == ANSWER_S + 60
    assert patience_s(request(START)) < CONTACT_MAX_S // 2, "the first body passes on any line"


def sent(size: int, took_ms: int) -> Answered:
    return Answered(left=True, progress=True, up=size, took_ms=took_ms)


def test_the_first_body_is_small_and_shows_how_large_the_next_may_be():
    start = first_contact(SETTINGS, T0, fraction=0)
    assert START == start.budget == 131_072
    assert after(sent(START, 6_000), start).budget == WHOLE, "256 kbit/s"
    slow = after(sent(START, 128_000), start)
    assert slow.budget == START // 2, "an alarm waits a minute for a body, not two"
    assert after(sent(slow.budget, 10**6), slow).budget == slow.budget, "and no smaller than that"


def test_a_body_that_was_not_full_says_nothing_about_the_line():
    state = first_contact(SETTINGS, T0, fraction=0)
    for _ in range(10):
        state = after(sent(1_500, 100), state)
    assert state.budget == START, "a backlog over a slow line would never come to its end"
    assert after(sent(1_500, 60_000), fresh()).budget == WHOLE, "nor that it became worse"


def test_a_contact_that_does_not_end_in_time_is_a_body_that_was_too_much():
    unended = LinkFailed(fault=Fault.SILENT, unended=True)
    state = after(unended, fresh())
    assert (state.budget, state.unheard) == (WHOLE // 2, 1), "and its bytes are gone"
    for _ in range(10):
        state = after(unended, state)
    assert limits.BLOCK_POINTS * 8 <= state.budget < CONTACT_MAX_S * 100, "at 100 bytes a second"
