"""Damage that SQLite and its binding tell in words only is damage all the same."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.errors import Reason, WorldError
from shared.runtime.migrations import MigrationSet
from shared.runtime.sqlite import Settings, connect, reason_of

_JOBS = MigrationSet.load("agent.store", "schema/jobs")
_FORMAT_AT = 44
"""Four bytes of the header, sqlite.org/fileformat2.html 1.3: the schema's format, 4 at most."""


def _settings(path: Path, *, quick_check: bool = False) -> Settings:
    return Settings(path=path, schema=_JOBS, exclusive=True, quick_check=quick_check)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.db"
    db = connect(_settings(path))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.close()
    return path


def _refused_as(path: Path, *, quick_check: bool = False) -> Reason:
    with pytest.raises(WorldError) as refused:
        connect(_settings(path, quick_check=quick_check))
    return refused.value.reason


def test_a_schema_that_is_no_text_is_damage(whole: Path):
    data = whole.read_bytes()
    assert data.count(b"CREATE TABLE") > 1
    # Within a comment: SQLite itself does not mind.
    at = data.index(b"-- ") + 3
    whole.write_bytes(data[:at] + b"\xff\xfe" + data[at + 2 :])
    with sqlite3.connect(whole) as db, pytest.raises(sqlite3.OperationalError, match="UTF-8"):
        db.execute("SELECT sql FROM sqlite_master").fetchall()
    db.close()
    assert _refused_as(whole) is Reason.STORE_CORRUPT


def test_a_format_that_does_not_exist_is_damage(whole: Path):
    data = whole.read_bytes()
    whole.write_bytes(data[:_FORMAT_AT] + b"\0\0\0\x2a" + data[_FORMAT_AT + 4 :])
    assert _refused_as(whole) is Reason.STORE_CORRUPT


@pytest.mark.parametrize("at", [18, 19])
def test_a_format_that_no_sqlite_writes_is_damage(whole: Path, at: int):
    data = whole.read_bytes()
    whole.write_bytes(data[:at] + b"\x22" + data[at + 1 :])
    assert _refused_as(whole) is Reason.STORE_CORRUPT


def test_a_schema_that_its_parser_refuses_is_damage_whatever_code_it_ended_with():
    # Seen: a flipped bit in a table's text, told as SQLITE_TOOBIG; the parser has other codes.
    error = sqlite3.DataError('malformed database schema (contact) - unrecognized token: ""')
    error.sqlite_errorcode = sqlite3.SQLITE_ERROR
    assert reason_of(error) is Reason.STORE_CORRUPT


def test_a_header_that_a_power_cut_left_half_written_is_no_damage(tmp_path: Path):
    """Seen: the first page of a new file, torn, beside the journal that takes it back."""
    cut, torn = tmp_path / "cut.db", tmp_path / "jobs.db"
    with closing(sqlite3.connect(cut, isolation_level=None)) as db:
        for statement in ("PRAGMA cache_size = 1", "BEGIN", "CREATE TABLE one (data BLOB)"):
            db.execute(statement)
        db.execute("INSERT INTO one VALUES (zeroblob(100000))")
        data = cut.read_bytes()
        journal = cut.with_name("cut.db-journal").read_bytes()
    torn.write_bytes(data[:12] + bytes(len(data) - 12))
    torn.with_name("jobs.db-journal").write_bytes(journal)
    with closing(connect(_settings(torn))) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        assert db.execute("SELECT name FROM sqlite_schema WHERE name = 'one'").fetchall() == []


def test_a_row_that_is_longer_than_any_is_damage():
    # Seen: a damaged length in a row of the schema's own table, told so at each statement.
    error = sqlite3.DataError("string or blob too big")
    error.sqlite_errorcode = sqlite3.SQLITE_TOOBIG
    assert reason_of(error) is Reason.STORE_CORRUPT


def test_a_condition_that_names_no_function_is_damage(whole: Path):
    data, sound = whole.read_bytes(), b"length(jobs_epoch)"
    assert data.count(sound) == 1
    whole.write_bytes(data.replace(sound, b"q" + sound[1:]))
    # SQLite looks the name up where it needs it: here when it looks for damage.
    with sqlite3.connect(whole) as db, pytest.raises(sqlite3.OperationalError, match="qength"):
        db.execute("PRAGMA quick_check").fetchall()
    db.close()
    assert _refused_as(whole, quick_check=True) is Reason.STORE_CORRUPT
