"""What a step of a rollout asks costs by what happened, not by how many take part."""

import sqlite3

from coordinator.core.cohorts import Candidate, plan
from coordinator.core.rollout_policy import Stage
from coordinator.store.sqlite import SCHEMA
from coordinator.store.statements import load_statements
from shared import limits
from shared.runtime.migrations import migrate


def test_who_comes_next_is_looked_up_by_site_and_not_among_all_members():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, SCHEMA, where="memory")
    sql = load_statements()["rollout_next_at_sites"]
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", {"1": b"", "2": 1})]
    db.close()
    (members,) = [one for one in plan if one.startswith(("SEARCH n ", "SCAN n"))]
    assert "(job_id=? AND site=? AND rank>?" in members, plan


def test_members_released_together_lie_together_and_who_went_first_is_a_fair_sample():
    fleet = [Candidate(f"a{number:05}", "", {}) for number in range(20_000)]
    members = sorted(plan(fleet, [Stage("all", 100)], "seed"), key=lambda one: one.place)
    places = [int(one.agent[1:]) for one in members]
    spans = []
    for first in range(0, len(places), limits.ROLLOUT_RELEASES):
        so_far = places[: first + limits.ROLLOUT_RELEASES]
        assert 0.25 < sum(number < 10_000 for number in so_far) / len(so_far) < 0.75
        step = places[first : first + limits.ROLLOUT_RELEASES]
        spans.append(max(step) - min(step))
    first_ones = places[: limits.ROLLOUT_RELEASES]
    assert first_ones != sorted(first_ones), "where a rate lets few go, chance says who"
    assert sorted(spans[-6:])[3] < 20_000 / 3, "but for where a slice ends"
