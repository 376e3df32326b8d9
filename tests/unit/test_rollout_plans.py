"""What a step of a rollout asks costs by what happened, not by how many take part."""

import sqlite3

from coordinator.store.sqlite import SCHEMA
from coordinator.store.statements import load_statements
from shared.runtime.migrations import migrate


def test_who_comes_next_is_looked_up_by_site_and_not_among_all_members():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, SCHEMA, where="memory")
    sql = load_statements()["rollout_next_at_sites"]
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", {"1": b"", "2": 1})]
    db.close()
    (members,) = [one for one in plan if one.startswith(("SEARCH n ", "SCAN n"))]
    assert "(job_id=? AND site=? AND rank>?" in members, plan
