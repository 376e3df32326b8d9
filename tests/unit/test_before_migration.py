"""The copy of a coordinator's file that an update leaves behind."""

import sqlite3
from contextlib import closing

import pytest

from coordinator.store import sqlite
from coordinator.store.before_migration import keep_copy
from coordinator.store.sqlite import SCHEMA, SqliteStore
from shared import limits
from shared.errors import WorldError
from shared.runtime.migrations import MigrationSet, migrate


def older(path, steps):
    """A file of a program that knew so many steps."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, MigrationSet(SCHEMA.migrations[:steps]), where="file")
        db.execute(
            "INSERT INTO audit (number, at_ms, actor, action, object, detail)"
            " VALUES (1, 2, 'a', 'b', 'c', 'd')"
        )


async def test_an_update_leaves_a_copy_that_the_older_program_can_use(tmp_path):
    path = tmp_path / "coordinator.db"
    older(path, 2)
    async with await SqliteStore.open(path):
        pass
    copy = tmp_path / "coordinator.db.before-step-003"
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT actor FROM audit").fetchone() == ("a",)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.stat().st_mode & 0o777 == 0o600


async def test_a_file_that_is_new_or_up_to_date_is_not_copied(tmp_path):
    for _ in range(2):
        async with await SqliteStore.open(tmp_path / "coordinator.db"):
            pass
    assert list(tmp_path.glob("*before*")) == []


def test_only_the_newest_copies_stay(tmp_path):
    path = tmp_path / "coordinator.db"
    for number in (1, 2, 3):
        (tmp_path / f"coordinator.db.before-step-{number:03}").touch()
    older(path, 4)
    keep_copy(path, 9)
    kept = sorted(one.name for one in tmp_path.glob("*before*"))
    assert kept == ["coordinator.db.before-step-003", "coordinator.db.before-step-005"]
    assert len(kept) == limits.MIGRATION_COPIES


async def test_without_room_for_the_copy_nothing_is_changed(tmp_path, monkeypatch):
    path = tmp_path / "coordinator.db"
    older(path, 2)

    def full(*_):
        raise OSError(28, "no space left")

    monkeypatch.setattr(sqlite, "keep_copy", full)
    with pytest.raises(WorldError, match="no copy could be made"):
        await SqliteStore.open(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
