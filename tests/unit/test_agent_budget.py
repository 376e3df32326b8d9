"""Bytes of a day and a month: counted, paced, and what is left out as they run short."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.budget import (
    Bucket,
    BudgetSettings,
    Spent,
    Today,
    charged,
    drawn,
    filled,
    permille,
    turned,
    wait_ms,
)
from agent.core.ladder import RULES, UNLIMITED, Allowance, Rung, allowance
from agent.core.settings import UplinkSettings
from agent.core.uplink import (
    WORTH_BYTES,
    Answered,
    Fault,
    LinkFailed,
    LinkState,
    after_contact,
    begun,
    body_budget,
    first_contact,
    next_contact,
    nudged,
    weighed,
)
from agent.services.calendar import Calendar
from agent.services.purse import Purse
from shared.clock import ClockState, MonoMs, WallMs
from tests.agent_parts import WALL, HandClock

DAY_MS = 86_400_000
LIMITED = BudgetSettings(day_bytes=100_000, month_bytes=1_000_000)
METERED = UplinkSettings(metered=True, sync_interval_ms=21_600_000, budget=LIMITED)
T0 = MonoMs(10 * DAY_MS)
HOUR_MS = 3_600_000
LOST = LinkFailed(fault=Fault.BUSY, up=5_000, down=1_500)


def test_a_new_day_begins_at_nothing_and_the_month_goes_on():
    spent = charged(charged(Spent(), Today(5, 1), 700), Today(6, 1), 50)
    assert spent == Spent(6, 50, 1, 750)
    assert turned(spent, Today(7, 2)) == Spent(7, 0, 2, 0)


def test_a_clock_that_is_set_back_does_not_let_a_day_be_spent_twice():
    spent = charged(Spent(), Today(9, 2), 700)
    back = charged(spent, Today(3, 1), 50)
    assert back == Spent(9, 750, 2, 750)
    assert turned(back, Today(9, 2)) == Spent(9, 750, 2, 750), "nor when it comes right again"
    assert turned(back, Today(10, 3)) == Spent(10, 0, 3, 0)


def test_a_day_that_was_never_reached_does_not_hold_the_count_for_years():
    spent = charged(Spent(), Today(400, 14), 700)
    told = charged(spent, Today(9, 2, told=True), 50)
    assert told == Spent(9, 750, 2, 750), "nothing is given back"
    assert turned(told, Today(10, 2)) == Spent(10, 0, 2, 750)


@pytest.mark.parametrize("state", [ClockState.SYNCED, ClockState.UNSYNCED])
def test_no_wall_clock_turns_the_day(state: ClockState):
    clock = HandClock(state=state)
    calendar = Calendar(clock)
    calendar.raise_floor(WallMs(WALL))
    purse = Purse(LIMITED, clock=clock, calendar=calendar)
    purse.load(Spent())
    purse.charge(700)
    for days in (400, -20_000, 0):
        clock.wall = WALL + days * DAY_MS
        purse.charge(50)
    assert purse.spent.day_bytes == purse.spent.month_bytes == 850
    clock.wall = WALL + 400 * DAY_MS
    clock.mono += DAY_MS
    assert (purse.spent.day_bytes, purse.spent.month_bytes) == (0, 850), "powered time does"
    calendar.learn(WallMs(WALL + 3 * DAY_MS))
    purse.charge(20)
    assert purse.spent.day_bytes == 20, "so does who tells the time"


def test_a_count_that_is_told_to_be_ahead_turns_at_the_next_midnight():
    clock = HandClock()
    calendar = Calendar(clock)
    purse = Purse(LIMITED, clock=clock, calendar=calendar)
    ahead = datetime.fromtimestamp(WALL / 1000, UTC).toordinal() + 400
    purse.load(Spent(ahead, 90_000, 12 * 3_000, 90_000))
    calendar.raise_floor(WallMs(WALL))
    assert purse.spent.day_bytes == 90_000
    calendar.learn(WallMs(WALL))
    assert purse.spent.day_bytes == 90_000
    clock.advance(DAY_MS)
    assert purse.spent.day_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6)), max_size=20))
def test_no_byte_of_a_month_is_forgotten(steps):
    spent, day = Spent(), 1
    for later, size in steps:
        day += later
        spent = charged(spent, Today(day, 1), size)
    assert spent.month_bytes == sum(size for _, size in steps)
    assert spent.day_bytes <= spent.month_bytes


def test_the_nearer_limit_counts():
    assert permille(Spent(1, 50_000, 1, 50_000), LIMITED) == 500
    assert permille(Spent(1, 50_000, 1, 900_000), LIMITED) == 900
    assert permille(Spent(1, 10**9, 1, 10**9), BudgetSettings()) == 0


def test_a_backlog_takes_the_pace_of_the_day():
    settings = BudgetSettings(day_bytes=86_400)
    bucket = Bucket(30_000, T0)
    empty = drawn(bucket, 50_000)
    assert (empty.tokens, wait_ms(empty, 10_000, settings)) == (0, 10_000_000)
    later = filled(empty, MonoMs(T0 + 10_000_000), settings=settings, least=9_200)
    assert (later.tokens, wait_ms(later, 10_000, settings)) == (10_000, 0)
    full = filled(empty, MonoMs(T0 + 30 * DAY_MS), settings=settings, least=9_200)
    assert full.tokens == 86_400 // 4, "what was not used is not saved up"
    assert wait_ms(empty, 10_000, BudgetSettings()) == 0


def test_time_that_is_worth_less_than_a_token_is_not_lost():
    settings = BudgetSettings(day_bytes=10_000)
    bucket = Bucket(0, T0)
    for passed in range(0, DAY_MS // 100, 1_000):
        bucket = filled(bucket, MonoMs(T0 + passed), settings=settings, least=9_200)
    assert bucket.tokens >= 60


# --- the ladder ---------------------------------------------------------------------------------
def allowed(share: int) -> Allowance:
    spent = Spent(1, LIMITED.day_bytes * share // 1000, 1, 0)
    return allowance(spent, Bucket(10**6, T0), LIMITED, worth=WORTH_BYTES)


def met(end: Answered | None = None) -> LinkState:
    """Return the state after a contact at T0."""
    state = begun(first_contact(METERED, T0, fraction=0))
    plan = next_contact(state, METERED, T0)
    end = end or Answered(left=False, progress=True)
    return after_contact(state, METERED, end, T0, plan=plan, fraction=0.5)


def at(state: LinkState, share: int, now_ms: int = T0 + 60_000) -> int:
    """Return when the next contact is, from T0."""
    return next_contact(state, METERED, MonoMs(now_ms), allowed(share)).at_ms - T0


def test_each_rung_leaves_out_more_than_the_one_before():
    rules = [RULES[rung] for rung in Rung]
    assert [rule.lowest_priority for rule in rules] == [2, 2, 1, 0, 0]
    assert [rule.backlog for rule in rules] == [True, False, False, False, False]
    assert [rule.ledger for rule in rules] == [True, True, True, False, False]
    assert [rule.silence_ms // HOUR_MS for rule in rules] == [0, 0, 6, 12, 24]


def test_without_a_budget_nothing_is_left_out():
    assert allowance(Spent(1, 10**12, 1, 10**12), Bucket(0, T0), BudgetSettings(), worth=1) == (
        UNLIMITED
    )
    assert UNLIMITED.rule == RULES[Rung.ALL]


@pytest.mark.parametrize("share", [0, 500, 750, 900, 1000, 5000])
def test_an_alarm_calls_at_once_whatever_is_spent(share):
    assert at(nudged(met(), T0, urgent=True), share) == 60_000
    assert body_budget(met(), allowed(share)) >= 32_768, "and any alarm fits"


@pytest.mark.parametrize(("share", "hours"), [(0, 6), (500, 6), (750, 6), (900, 12), (1000, 24)])
def test_a_sign_of_life_never_ceases(share, hours):
    assert at(met(), share) == hours * HOUR_MS


def test_from_half_on_no_backlog_calls_and_from_three_quarters_no_readings():
    backlog = met(Answered(left=True, progress=True))
    assert at(backlog, 499) == 60_000
    assert at(backlog, 500) == 6 * HOUR_MS
    heavy = weighed(met(), WORTH_BYTES)
    assert at(heavy, 749) == 60_000
    assert at(heavy, 750) == 6 * HOUR_MS


def test_what_can_wait_waits_for_tokens_and_takes_no_more_than_there_are():
    poor = allowance(Spent(1, 0, 1, 0), Bucket(0, T0), LIMITED, worth=WORTH_BYTES)
    backlog = met(Answered(left=True, progress=True))
    plan = next_contact(backlog, METERED, T0, poor)
    assert plan.at_ms > T0 + HOUR_MS
    assert body_budget(backlog, poor) == WORTH_BYTES
    assert next_contact(nudged(backlog, T0, urgent=True), METERED, T0, poor).at_ms == T0


def failed(times: int, end: LinkFailed = LOST, *, urgent: bool = False) -> LinkState:
    """Return the state after so many contacts without an answer, the newest at T0."""
    state = met()
    for _ in range(times):
        state = begun(nudged(state, T0, urgent=True) if urgent else state)
        plan = next_contact(state, METERED, T0)
        state = after_contact(state, METERED, end, T0, plan=plan, fraction=0.5)
    return state


def test_a_failed_contact_backs_off_as_ever_where_bytes_are_left_or_it_cost_none():
    assert at(failed(3), 749) == at(failed(3), 0) <= HOUR_MS // 2
    assert at(failed(3, LinkFailed(fault=Fault.UNREACHABLE)), 1000) <= HOUR_MS // 2


@pytest.mark.parametrize(
    ("share", "hours"),
    [(750, [0.75, 1.5, 3, 6, 6]), (900, [1.5, 3, 6, 12, 12]), (1000, [3, 6, 12, 24, 24])],
)
def test_where_bytes_are_short_failed_contacts_are_as_far_apart_as_answered_ones(share, hours):
    assert [at(failed(times), share) / HOUR_MS for times in range(1, 6)] == hours


@pytest.mark.parametrize("share", [0, 500, 750, 900, 1000, 5000])
def test_an_alarm_that_failed_is_tried_again_as_ever_whatever_is_spent(share):
    state = failed(3, urgent=True)
    assert at(state, share) <= HOUR_MS // 2
    assert not state.urgent, "it is not tried without a pause"
    plan = next_contact(state, METERED, T0)
    end = Answered(left=True, progress=True)
    after = after_contact(begun(state), METERED, end, T0, plan=plan, fraction=0.5)
    assert at(after, 1000) == 24 * HOUR_MS


def test_an_alarm_goes_once_the_report_before_it_is_answered_whatever_is_spent():
    state = begun(nudged(met(), T0, urgent=True))
    plan = next_contact(state, METERED, T0)
    old = Answered(left=True, progress=True, resent=True)
    state = after_contact(state, METERED, old, T0, plan=plan, fraction=0.5)
    assert at(state, 1000) == 60_000
    again = after_contact(
        begun(state), METERED, Answered(left=False, progress=True), T0, plan=plan, fraction=0.5
    )
    assert at(again, 1000) == 24 * HOUR_MS


# --- a coordinator's wish -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wish_s", "pause_s"), [(0, 21_600), (60, 60), (43_200, 43_200), (10**9, 86_400), (-5, 21_600)]
)
def test_a_coordinators_wish_moves_the_next_contact_within_a_day(wish_s, pause_s):
    state = met(Answered(left=False, progress=True, next_s=wish_s))
    assert next_contact(state, METERED, T0).at_ms == T0 + pause_s * 1000
