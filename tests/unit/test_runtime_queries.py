"""Named statements: parsed strictly, bound by number, loaded from a package."""

import sqlite3

import pytest

from shared.runtime.queries import bind, for_sqlite, load_queries, parse_queries

TEXT = """-- The agent's queue.

-- name: put
-- Idempotent: a second insert of the same key does nothing.
INSERT INTO job (id, body) VALUES ($1, $2)
ON CONFLICT (id) DO NOTHING;

-- name: count_bodies
SELECT count(*) FROM job WHERE body = $2 AND $1 = $1
"""


def test_statements_have_names_and_no_comments_around_them():
    queries = parse_queries(TEXT)
    assert list(queries) == ["put", "count_bodies"]
    assert queries["put"] == (
        "INSERT INTO job (id, body) VALUES ($1, $2)\nON CONFLICT (id) DO NOTHING"
    )


def test_parameters_bind_by_their_number():
    queries = for_sqlite(parse_queries(TEXT))
    db = sqlite3.connect(":memory:")
    try:
        db.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, body BLOB)")
        for _ in range(2):
            db.execute(queries["put"], bind(7, b"x"))
        assert db.execute(queries["count_bodies"], bind(0, b"x")).fetchone() == (1,)
    finally:
        db.close()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;\n-- name: late\nSELECT 2\n",
        "-- name: twice\nSELECT 1\n-- name: twice\nSELECT 2\n",
        "-- name: empty\n-- nothing here\n",
        "-- name: Not-A-Name\nSELECT 1\n",
        "-- name:\nSELECT 1\n",
    ],
    ids=["before-the-first-name", "twice", "empty", "bad-name", "no-name"],
)
def test_a_malformed_file_is_a_defect(text):
    with pytest.raises(AssertionError):
        parse_queries(text)


def test_the_result_cannot_be_changed():
    with pytest.raises(TypeError):
        parse_queries(TEXT)["put"] = "x"  # type: ignore[index]  # the point of the test


def test_files_are_loaded_from_a_package(tmp_path, monkeypatch):
    folder = tmp_path / "outstation_test_queries" / "queries"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "jobs.sql").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "put" in load_queries("outstation_test_queries", "queries/jobs.sql")
