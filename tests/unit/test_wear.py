"""The flash's budget: how often commits come, and how long a card lasts."""

from agent.core.wear import DAY_MS, Wear, life_years
from shared import limits

WANTED_MS, BUDGET = 300_000, 20 << 20


def test_commits_within_the_budget_come_as_often_as_wanted():
    wear = Wear().after(BUDGET * WANTED_MS // DAY_MS)
    assert Wear().interval_ms(WANTED_MS, BUDGET) == WANTED_MS
    assert wear.interval_ms(WANTED_MS, BUDGET) == WANTED_MS


def test_dear_commits_come_less_often_and_keep_the_budget():
    wear = Wear().after(200_000)
    interval_ms = wear.interval_ms(WANTED_MS, BUDGET)
    assert interval_ms > WANTED_MS
    assert DAY_MS / interval_ms * 200_000 <= BUDGET * 1.001


def test_a_power_cut_never_takes_more_than_an_hour_whatever_a_commit_costs():
    assert Wear().after(1 << 40).interval_ms(WANTED_MS, BUDGET) == limits.COMMIT_MAX_MS


def test_one_large_commit_is_soon_forgotten():
    wear = Wear().after(10_000).after(10_000_000)
    for _ in range(40):
        wear = wear.after(10_000)
    assert wear.interval_ms(WANTED_MS, BUDGET) == WANTED_MS


def test_a_card_lasts_longer_the_less_is_written():
    assert life_years(16 << 30, 20 << 20) == 280
    assert life_years(16 << 30, 0) > life_years(16 << 30, 1 << 30) >= 5
