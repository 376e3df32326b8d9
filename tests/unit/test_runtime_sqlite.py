"""A connection that obeys or is refused; a damaged file that is set aside."""

import sqlite3
from pathlib import Path

import pytest

from shared import limits
from shared.errors import Reason, WorldError
from shared.runtime.migrations import Migration, MigrationSet
from shared.runtime.sqlite import SYNC_FULL, Settings, ask, connect, set_aside_corrupt

SCHEMA = MigrationSet((Migration(version=1, name="t", sql="CREATE TABLE t (x BLOB) STRICT;\n"),))


def settings(path: Path, *, exclusive: bool = True, quick_check: bool = False) -> Settings:
    return Settings(path=path, schema=SCHEMA, exclusive=exclusive, quick_check=quick_check)


def pragmas(db: sqlite3.Connection, *names: str) -> dict[str, object]:
    return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


@pytest.mark.parametrize(("exclusive", "mode"), [(True, "exclusive"), (False, "normal")])
def test_every_setting_holds_on_a_new_and_on_an_old_file(tmp_path, exclusive, mode):
    wanted = {
        "journal_mode": "wal",
        "locking_mode": mode,
        "synchronous": SYNC_FULL,
        "foreign_keys": 1,
        "temp_store": 2,
        "cache_size": -limits.DB_CACHE_BYTES // 1024,
        "mmap_size": 0,
        "busy_timeout": limits.DB_BUSY_MS,
        "trusted_schema": 0,
        "journal_size_limit": -1,
        "wal_autocheckpoint": limits.DB_CHECKPOINT_BYTES // limits.DB_PAGE_BYTES,
        "auto_vacuum": 2,
        "page_size": limits.DB_PAGE_BYTES,
    }
    for _ in ("new", "old"):
        db = connect(settings(tmp_path / "a.db", exclusive=exclusive))
        try:
            assert pragmas(db, *wanted) == wanted
            assert (tmp_path / "a.db-shm").exists() is not exclusive
        finally:
            db.close()


def test_a_setting_that_does_not_hold_is_refused():
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        # A database in memory has no log to write ahead to, and says so in its answer only.
        with pytest.raises(WorldError, match="journal_mode is") as refused:
            ask(db, "journal_mode", "wal", expect="wal")
        assert refused.value.reason is Reason.STORE_FAILED
    finally:
        db.close()


def test_a_refused_setting_closes_the_file_again(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "DB_BUSY_MS", -7)  # reads back as 0
    with pytest.raises(WorldError, match="busy_timeout"):
        connect(settings(tmp_path / "a.db"))


def test_text_is_no_database(tmp_path):
    (tmp_path / "a.db").write_text("this was a shopping list once, long enough for a header " * 9)
    with pytest.raises(WorldError) as refused:
        connect(settings(tmp_path / "a.db"))
    assert refused.value.reason is Reason.STORE_CORRUPT
    assert str(tmp_path / "a.db") in str(refused.value)


def filled(path: Path) -> bytes:
    db = connect(settings(path))
    db.execute("INSERT INTO t VALUES (zeroblob(300000))")
    db.close()
    return path.read_bytes()


def test_a_damaged_page_is_found_when_the_whole_file_is_read(tmp_path):
    path = tmp_path / "a.db"
    whole = filled(path)
    page = limits.DB_PAGE_BYTES
    path.write_bytes(whole[: 3 * page] + b"\xa5" * page + whole[4 * page :])
    with pytest.raises(WorldError) as refused:
        connect(settings(path, quick_check=True))
    assert refused.value.reason is Reason.STORE_CORRUPT


def test_a_truncated_file_is_found(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(filled(path)[: 5 * limits.DB_PAGE_BYTES])
    with pytest.raises(WorldError) as refused:
        connect(settings(path, quick_check=True))
    assert refused.value.reason is Reason.STORE_CORRUPT


def test_a_damaged_file_is_set_aside_with_its_logs_and_a_fresh_one_opens(tmp_path):
    path = tmp_path / "a.db"
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        (tmp_path / name).write_bytes(b"noise " + name.encode())
    assert set_aside_corrupt(path) == tmp_path / "a.db.corrupt-1"
    names = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert names == {
        "a.db.corrupt-1": b"noise a.db",
        "a.db.corrupt-1-wal": b"noise a.db-wal",
        "a.db.corrupt-1-shm": b"noise a.db-shm",
    }
    db = connect(settings(path))
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    db.close()


def test_damaged_files_do_not_fill_the_disk(tmp_path):
    path = tmp_path / "a.db"
    for number in range(1, 14):
        path.write_bytes(b"%d" % number)
        Path(f"{path}-wal").write_bytes(b"log")
        set_aside_corrupt(path)
    kept = sorted(int(p.name.rpartition("-")[2]) for p in tmp_path.glob("a.db.corrupt-*[0-9]"))
    assert kept == [11, 12, 13]
    assert len(list(tmp_path.iterdir())) == 2 * limits.DB_CORRUPT_KEPT


def test_another_databases_remains_are_left_alone(tmp_path):
    (tmp_path / "b.db.corrupt-7").write_bytes(b"")
    (tmp_path / "a.db.corrupt-note.txt").write_bytes(b"")
    (tmp_path / "a.db").write_bytes(b"")
    assert set_aside_corrupt(tmp_path / "a.db").name == "a.db.corrupt-1"
    assert (tmp_path / "a.db.corrupt-note.txt").exists()


def test_a_log_that_lost_its_database_is_not_replayed(tmp_path):
    path = tmp_path / "a.db"
    db = connect(settings(path, exclusive=False))
    db.execute("INSERT INTO t VALUES (x'01')")
    log = Path(f"{path}-wal").read_bytes()
    db.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(log)
    fresh = connect(settings(path, quick_check=True))
    assert fresh.execute("SELECT count(*) FROM t").fetchone() == (0,)
    fresh.close()
