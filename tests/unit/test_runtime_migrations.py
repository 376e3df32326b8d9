"""A database is brought forward one whole step at a time, or refused in one sentence."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import MistakeError, Reason
from shared.runtime.migrations import (
    Migration,
    MigrationSet,
    SchemaRefusedError,
    SchemaStrangeError,
    migrate,
    statements,
)

FIRST = Migration(version=1, name="first", sql="CREATE TABLE a (x INTEGER) STRICT;\n")
SECOND = Migration(
    version=2,
    name="second",
    sql="""
-- A trigger holds semicolons of its own.
CREATE TABLE b (x INTEGER) STRICT;
CREATE TRIGGER a_to_b AFTER INSERT ON a BEGIN
    INSERT INTO b VALUES (new.x);
    INSERT INTO b VALUES (new.x + 1);
END;
INSERT INTO a VALUES (10);
""",
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    yield connection
    connection.close()


def tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_a_fresh_database_takes_every_step_once(db):
    schema = MigrationSet((FIRST, SECOND))
    assert migrate(db, schema, where="a.db") == 2
    assert db.execute("SELECT x FROM b ORDER BY x").fetchall() == [(10,), (11,)]
    assert migrate(db, schema, where="a.db") == 0
    assert db.execute("PRAGMA user_version").fetchone() == (2,)


def test_an_old_database_takes_only_what_it_lacks(db):
    migrate(db, MigrationSet((FIRST,)), where="a.db")
    db.execute("INSERT INTO a VALUES (1)")
    assert migrate(db, MigrationSet((FIRST, SECOND)), where="a.db") == 1
    assert db.execute("SELECT x FROM a ORDER BY x").fetchall() == [(1,), (10,)]


def test_a_newer_database_is_refused_with_what_where_and_the_mend(db):
    migrate(db, MigrationSet((FIRST, SECOND)), where="jobs.db")
    with pytest.raises(SchemaRefusedError) as refused:
        migrate(db, MigrationSet((FIRST,)), where="jobs.db")
    assert isinstance(refused.value, MistakeError)
    assert refused.value.reason is Reason.SCHEMA_NEWER
    sentence = str(refused.value)
    assert sentence.startswith("jobs.db: ")
    assert "version 2" in sentence
    assert "up to 1" in sentence
    assert refused.value.mend


def test_an_edited_step_is_refused_by_name(db):
    migrate(db, MigrationSet((FIRST, SECOND)), where="a.db")
    edited = Migration(version=1, name="first", sql=FIRST.sql + "-- harmless?\n")
    with pytest.raises(SchemaRefusedError, match="001_first"):
        migrate(db, MigrationSet((edited, SECOND)), where="a.db")


def test_a_damaged_name_in_the_list_of_steps_is_told_as_what_it_is(db):
    migrate(db, MigrationSet((FIRST,)), where="a.db")
    db.execute("ALTER TABLE schema_migration RENAME COLUMN version TO wersion")
    with pytest.raises(SchemaStrangeError, match="does not say which steps made it"):
        migrate(db, MigrationSet((FIRST,)), where="a.db")


def test_somebody_elses_database_is_refused_and_not_touched(db):
    db.execute("CREATE TABLE photos (path TEXT)")
    with pytest.raises(SchemaRefusedError, match="not made by Outstation"):
        migrate(db, MigrationSet((FIRST,)), where="a.db")
    assert tables(db) == {"photos"}


def test_a_step_that_fails_leaves_the_steps_before_it(db):
    broken = Migration(
        version=2, name="broken", sql="CREATE TABLE half (x);\nINSERT INTO nowhere VALUES (1);\n"
    )
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        migrate(db, MigrationSet((FIRST, broken)), where="a.db")
    assert tables(db) == {"a", "schema_migration"}
    assert not db.in_transaction
    assert migrate(db, MigrationSet((FIRST, SECOND)), where="a.db") == 1


def test_a_step_that_commits_by_itself_is_a_defect(db):
    own = Migration(version=1, name="own", sql="CREATE TABLE c (x);\nCOMMIT;\n")
    with pytest.raises(AssertionError):
        migrate(db, MigrationSet((own,)), where="a.db")


def test_a_gap_in_the_numbers_is_a_defect():
    with pytest.raises(AssertionError):
        MigrationSet((FIRST, Migration(version=3, name="third", sql="SELECT 1;")))


def test_an_unfinished_statement_is_a_defect():
    with pytest.raises(AssertionError, match="unfinished"):
        list(statements("CREATE TABLE a (x);\nCREATE TABLE b (\n"))


def test_comments_after_the_last_statement_are_no_statement():
    assert list(statements("SELECT 1;\n-- the end\n\n")) == ["SELECT 1;"]


def test_steps_are_loaded_from_a_package_in_their_order(tmp_path, monkeypatch):
    folder = tmp_path / "outstation_test_schema" / "schema"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "002_second.sql").write_text(SECOND.sql)
    (folder / "001_first.sql").write_text(FIRST.sql)
    (folder / "README.md").write_text("not a step")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert MigrationSet.load("outstation_test_schema", "schema") == MigrationSet((FIRST, SECOND))
    (folder / "3_third.sql").write_text("SELECT 1;\n")
    with pytest.raises(AssertionError, match="3_third"):
        MigrationSet.load("outstation_test_schema", "schema")
