"""When contacts happen: intervals, back-off, urgency, drains and long-polls, as pure decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.settings import UplinkSettings
from agent.core.uplink import (
    COALESCE_MS,
    Answered,
    ContactPlan,
    Fault,
    LinkFailed,
    LinkState,
    after_contact,
    begun,
    first_contact,
    full_budget,
    next_contact,
    nudged,
)
from shared import limits
from shared.clock import MonoMs

QUARTER_HOUR = UplinkSettings()
QUICK = UplinkSettings(sync_interval_ms=2_000)
POLLING = UplinkSettings(long_poll=True)
METERED = UplinkSettings(metered=True)
IDLE = Answered(left=False, progress=True)
EMPTY = Answered(left=False, progress=False)
LOST = LinkFailed(fault=Fault.UNREACHABLE)
T0 = MonoMs(1_000_000)


def ms(value: int) -> MonoMs:
    return MonoMs(T0 + value)


def up(settings: UplinkSettings = QUARTER_HOUR) -> LinkState:
    """Return the state just after an answer."""
    state = first_contact(settings, T0, fraction=0)
    return meet(state, settings, IDLE, T0)


def meet(state, settings, end, now, fraction=0.5) -> LinkState:
    """Return the state once the contact that is due at `now` has ended so."""
    plan = next_contact(state, settings, now)
    assert plan.at_ms <= now, "nothing is due"
    return after_contact(begun(state), settings, end, now, plan=plan, fraction=fraction)


def test_the_first_contact_comes_soon_and_spread():
    assert next_contact(first_contact(QUARTER_HOUR, T0, fraction=0), QUARTER_HOUR, T0).at_ms == T0
    late = first_contact(QUARTER_HOUR, T0, fraction=0.999)
    assert T0 + 29_000 < late.due_ms <= T0 + 30_000
    quick = first_contact(QUICK, T0, fraction=0.999)
    assert quick.due_ms < T0 + 200, "who contacts every two seconds does not wait for thirty"


def test_contacts_repeat_at_the_interval_and_take_readings_along():
    state = up()
    plan = next_contact(state, QUARTER_HOUR, ms(5))
    assert plan == ContactPlan(ms(900_000), seal=True, wait_s=0)


# --- back-off -----------------------------------------------------------------------------------
@given(
    st.integers(1, 604_800),
    st.integers(1, 60),
    st.floats(0, 1, exclude_max=True),
)
def test_back_off_is_bounded_spread_and_never_gives_up(interval_s, failures, fraction):
    settings = UplinkSettings(sync_interval_ms=interval_s * 1000)
    state = first_contact(settings, T0, fraction=0)
    now = T0
    for count in range(1, failures + 1):
        state = meet(state, settings, LOST, now, fraction)
        assert state.failures == count
        wait_ms = state.due_ms - now
        assert 0 <= wait_ms <= min(1_800, max(30, 10 * interval_s)) * 1000
        if count == 1:
            assert wait_ms <= min(120, interval_s) * 1000
        now = state.due_ms
    assert next_contact(state, settings, now).at_ms == now


def test_a_short_interval_retries_within_seconds():
    state = meet(up(QUICK), QUICK, LOST, ms(2_000), fraction=0.999)
    assert state.due_ms - ms(2_000) <= 2_000


def test_retry_after_is_honoured_over_everything():
    busy = LinkFailed(fault=Fault.BUSY, retry_after_s=600)
    state = meet(up(QUICK), QUICK, busy, ms(2_000))
    state = nudged(state, ms(3_000), urgent=True)
    assert next_contact(state, QUICK, ms(3_000)).at_ms == ms(602_000)
    endless = LinkFailed(fault=Fault.BUSY, retry_after_s=10**9)
    state = meet(up(QUICK), QUICK, endless, ms(2_000))
    assert next_contact(state, QUICK, ms(2_000)).at_ms <= ms(2_000 + 86_400_000)
    after = meet(state, QUICK, IDLE, ms(2_000 + 86_400_000))
    assert after.blocked_until_ms is None


def test_an_answer_ends_the_back_off():
    state = meet(up(), QUARTER_HOUR, LOST, ms(900_000))
    state = meet(state, QUARTER_HOUR, IDLE, state.due_ms)
    assert (state.failures, state.fault) == (0, None)


def test_a_contact_that_we_broke_off_ourselves_is_no_failure():
    state = begun(up())
    plan = ContactPlan(T0, seal=False, wait_s=55)
    end = LinkFailed(fault=Fault.ABORTED)
    assert after_contact(state, QUARTER_HOUR, end, ms(9), plan=plan, fraction=0.5) == state


def test_an_answer_to_an_old_report_leaves_the_contact_that_was_due():
    state = meet(up(), QUARTER_HOUR, LOST, ms(900_000))
    now = state.due_ms
    state = meet(state, QUARTER_HOUR, Answered(left=False, progress=True, resent=True), now)
    assert next_contact(state, QUARTER_HOUR, now) == ContactPlan(now, seal=True, wait_s=0)
    state = meet(state, QUARTER_HOUR, IDLE, now)
    assert state.due_ms == now + 900_000


# --- something to say ---------------------------------------------------------------------------
def test_receipts_go_at_once_together_and_without_the_open_readings():
    state = nudged(up(), ms(100), urgent=False)
    later = nudged(state, ms(200), urgent=False)
    plan = next_contact(later, QUARTER_HOUR, ms(200))
    assert plan == ContactPlan(ms(100 + COALESCE_MS), seal=False, wait_s=0)


def test_receipts_wait_for_the_interval_where_bytes_cost_or_the_link_is_down():
    state = nudged(up(METERED), ms(100), urgent=False)
    assert next_contact(state, METERED, ms(100)).at_ms == ms(900_000)
    down = meet(up(), QUARTER_HOUR, LOST, ms(900_000), fraction=0.9)
    down = nudged(down, ms(900_001), urgent=False)
    assert next_contact(down, QUARTER_HOUR, ms(900_001)).at_ms == down.due_ms


@pytest.mark.parametrize("settings", [QUARTER_HOUR, METERED])
def test_an_alarm_goes_at_once_once(settings):
    down = meet(up(settings), settings, LOST, ms(900_000), fraction=0.9)
    alarmed = nudged(down, ms(900_001), urgent=True)
    assert next_contact(alarmed, settings, ms(900_001)).at_ms == ms(900_001)
    again = meet(alarmed, settings, LOST, ms(900_001), fraction=0.9)
    assert next_contact(again, settings, ms(900_002)).at_ms == again.due_ms > ms(900_002)


def test_what_comes_up_during_a_contact_is_not_forgotten():
    state = begun(nudged(up(), ms(1), urgent=False))
    assert state.prompt_ms is None
    state = nudged(state, ms(400), urgent=False)
    plan = ContactPlan(ms(300), seal=False, wait_s=0)
    state = after_contact(state, QUARTER_HOUR, IDLE, ms(500), plan=plan, fraction=0)
    assert next_contact(state, QUARTER_HOUR, ms(500)).at_ms == ms(400 + COALESCE_MS)


@pytest.mark.parametrize("settings", [QUARTER_HOUR, METERED])
def test_a_backlog_drains_contact_after_contact_while_it_shrinks(settings):
    state = meet(up(settings), settings, Answered(left=True, progress=True), ms(900_000))
    plan = next_contact(state, settings, ms(900_050))
    assert plan == ContactPlan(ms(900_050), seal=False, wait_s=0)
    stuck = meet(state, settings, Answered(left=True, progress=False), ms(900_050))
    assert next_contact(stuck, settings, ms(900_060)).at_ms == ms(1_800_000), "no livelock"


# --- long-poll ----------------------------------------------------------------------------------
def test_a_long_poll_fills_the_time_to_the_next_contact():
    plan = next_contact(up(POLLING), POLLING, ms(10))
    assert plan == ContactPlan(ms(10), seal=False, wait_s=limits.WAIT_S)
    assert next_contact(up(POLLING), POLLING, ms(890_500)).wait_s == 9
    assert next_contact(up(POLLING), POLLING, ms(899_500)) == ContactPlan(
        ms(900_000), seal=True, wait_s=0
    )


def test_a_long_poll_begins_only_on_a_link_that_answers():
    fresh = first_contact(POLLING, T0, fraction=0.5)
    assert next_contact(fresh, POLLING, T0).wait_s == 0
    down = meet(up(POLLING), POLLING, LOST, ms(10), fraction=0.9)
    assert next_contact(down, POLLING, ms(20)) == ContactPlan(down.due_ms, seal=True, wait_s=0)


def test_a_coordinator_that_does_not_hold_answers_back_is_not_asked_again_and_again():
    state, now, at_s = up(POLLING), ms(0), list[int]()
    while now < ms(4 * 900_000):
        plan = next_contact(state, POLLING, now)
        at_s.append((plan.at_ms - T0) // 1000)
        now = MonoMs(plan.at_ms + 30)
        state = after_contact(begun(state), POLLING, EMPTY, now, plan=plan, fraction=0)
    growing = [2**n - 1 for n in range(10)]
    assert at_s == [*growing, 900, 1023, 1800, 1923, 2700, 2823, 3600], "as a regular one is due"


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("readings_ms", [10_000, 60_000, 10**9])
def test_whoever_holds_nothing_or_cuts_each_hold_sees_four_contacts_an_interval_at_most(
    cut, readings_ms
):
    """However often readings that cannot wait for a contact are there to be brought."""
    state, now, brought, seen = up(POLLING), ms(0), 0, [0] * 5
    while now < ms(5 * 900_000):
        plan = next_contact(state, POLLING, now)
        seen[min(4, (plan.at_ms - T0) // 900_000)] += 1
        ready = (plan.at_ms - T0) // readings_ms
        end: Answered | LinkFailed = Answered(left=False, progress=ready > brought)
        now = MonoMs(plan.at_ms + 30)
        if cut and plan.wait_s > 1 and ready == brought:
            end, now = LinkFailed(fault=Fault.REFUSED, up=900), MonoMs(now + 1_000)
        state = after_contact(begun(state), POLLING, end, now, plan=plan, fraction=0.5)
        brought = ready
    assert seen[0] <= 40, "while it is found out"
    assert max(seen[1:4]) <= 4


def test_a_long_poll_that_ended_early_without_work_is_followed_by_the_next_in_a_second():
    """A coordinator ends it for a new policy, for a wish, and because it stops."""
    state, now = up(POLLING), ms(10)
    for _ in range(2):
        plan = next_contact(state, POLLING, now)
        now = MonoMs(plan.at_ms + 20_000)
        state = after_contact(begun(state), POLLING, EMPTY, now, plan=plan, fraction=0)
        plan = next_contact(state, POLLING, now)
        assert plan == ContactPlan(MonoMs(now + 1_000), seal=False, wait_s=limits.WAIT_S)
        # One that is held in full shows that it holds: the next pause is short again.
        now = MonoMs(plan.at_ms + 55_000)
        state = after_contact(begun(state), POLLING, EMPTY, now, plan=plan, fraction=0)
        assert next_contact(state, POLLING, now).at_ms == now


def test_a_contact_that_was_not_to_be_held_says_nothing_about_long_polls():
    state = up(POLLING)
    plan = next_contact(state, POLLING, ms(10))
    state = after_contact(begun(state), POLLING, EMPTY, ms(40), plan=plan, fraction=0)
    state = nudged(state, ms(50), urgent=True)
    plan = next_contact(state, POLLING, ms(50))
    assert (plan.at_ms, plan.wait_s) == (ms(50), 0)
    state = after_contact(begun(state), POLLING, EMPTY, ms(90), plan=plan, fraction=0)
    assert next_contact(state, POLLING, ms(90)).at_ms == ms(1_040)


def test_a_long_poll_that_was_held_or_brought_work_is_followed_by_the_next():
    state = up(POLLING)
    plan = next_contact(state, POLLING, ms(10))
    held = after_contact(
        begun(state),
        POLLING,
        Answered(left=False, progress=False),
        ms(55_010),
        plan=plan,
        fraction=0,
    )
    assert next_contact(held, POLLING, ms(55_011)).wait_s == limits.WAIT_S
    work = Answered(left=False, progress=False, ordered=True)
    ordered = after_contact(begun(state), POLLING, work, ms(40), plan=plan, fraction=0)
    assert next_contact(ordered, POLLING, ms(41)).wait_s == limits.WAIT_S


# --- bytes --------------------------------------------------------------------------------------
def test_a_refused_body_shrinks_and_grows_again_with_every_answer_to_what_is_sent_unproven():
    too_large = LinkFailed(fault=Fault.TOO_LARGE)
    state = up()
    whole = full_budget(QUARTER_HOUR)
    for _ in range(20):
        state = meet(state, QUARTER_HOUR, too_large, max(state.due_ms, T0), fraction=0)
    assert 0 < state.budget < whole // 8
    small = state.budget
    state = meet(state, QUARTER_HOUR, IDLE, state.due_ms)
    assert state.budget == 2 * small
    for _ in range(20):
        state = meet(state, QUARTER_HOUR, IDLE, state.due_ms)
    assert state.budget == first_contact(QUARTER_HOUR, T0, fraction=0).budget
    full = Answered(left=False, progress=True, up=state.budget, took_ms=1_000)
    assert meet(state, QUARTER_HOUR, full, state.due_ms).budget == whole
    assert full_budget(METERED) == 65_536
