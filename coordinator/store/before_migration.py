"""A copy of SQLite's file before its schema is changed: the older program can go on with it.

PostgreSQL has `pg_dump` for that, and steps that an older program does not mind.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from shared import limits
from shared.runtime.files import sync_directory

_SUFFIX = ".before-step-"


def keep_copy(path: Path, latest: int) -> Path | None:
    """Copy a database that has fewer than `latest` steps; return the copy, None if none is needed.

    The newest `limits.MIGRATION_COPIES` stay. Leaves a file that is no database to who opens it.

    Raises:
        OSError, sqlite3.Error: there is no room; nothing was changed.
    """
    version = _version(path)
    if not 0 < version < latest:
        return None
    copy = path.with_name(f"{path.name}{_SUFFIX}{version + 1:03}")
    if not copy.exists():
        fresh = copy.with_name(f".{copy.name}.partial")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with closing(_reading(path)) as old, closing(sqlite3.connect(fresh)) as new:
                old.backup(new)
                new.execute("PRAGMA journal_mode = DELETE")
            fresh.replace(copy)
        finally:
            fresh.unlink(missing_ok=True)
        sync_directory(path.parent)
    for old_copy in sorted(path.parent.glob(f"{path.name}{_SUFFIX}*"))[: -limits.MIGRATION_COPIES]:
        old_copy.unlink()
    return copy


def _version(path: Path) -> int:
    if not path.is_file():
        return 0
    try:
        with closing(_reading(path)) as db:
            version: int = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError:
        return 0
    return version


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
