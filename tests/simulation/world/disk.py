"""The disk of one machine: it fills up, fails, and a process may die at any commit on it.

A shim below SQLite's Python binding and nothing else: statements run for real, a commit that is to
fail is not done and gets SQLite's own error. Owns which commit fails, and the count at which a
process dies. Leaves out what a power cut takes (tests/power does that with recorded writes).
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

_CODES = {"full": sqlite3.SQLITE_FULL, "eio": sqlite3.SQLITE_IOERR}
_WORDS = {"full": "database or disk is full", "eio": "disk I/O error"}


@dataclass
class Disk:
    """Where one process writes, and what becomes of its commits."""

    root: Path
    struck: Callable[[str], None]
    """Told the fault, each time a commit fails."""
    failing: str = ""
    """``full`` or ``eio`` while the disk refuses; empty: it works."""
    only: str = ""
    """The name of the one file that is refused; empty: each."""
    dies_in: int = 0
    """Commits until the process dies; 0: it does not."""
    dies_before: bool = False
    """The last of them is not done any more."""
    die: Callable[[], None] = lambda: None
    commits: int = 0
    look: Callable[[sqlite3.Connection, Path], None] = lambda _db, _path: None
    """Shown each database after each commit."""

    def before_commit(self, path: Path) -> None:
        """Refuse a commit, or die over it.

        Raises:
            sqlite3.OperationalError: as SQLite says it.
        """
        self.commits += 1
        if self.dies_in == 1 and self.dies_before:
            self.dies_in = 0
            self.die()
        if self.failing and self.only in {"", path.name}:
            self.struck(self.failing)
            error = sqlite3.OperationalError(_WORDS[self.failing])
            error.sqlite_errorcode = _CODES[self.failing]
            raise error

    def after_commit(self) -> None:
        """Die of a commit that nobody hears of, if this is the one."""
        if self.dies_in:
            self.dies_in -= 1
            if not self.dies_in:
                self.die()


_EXECUTE = sqlite3.Connection.execute


class _Watched(sqlite3.Connection):
    """A connection whose commits the disk decides about."""

    disk: Disk | None = None
    path = Path()

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        if sql != "COMMIT" or self.disk is None:
            return _EXECUTE(self, sql, values)
        self.disk.before_commit(self.path)
        done = _EXECUTE(self, sql)
        disk, self.disk = self.disk, None
        disk.look(self, self.path)
        self.disk = disk
        disk.after_commit()
        return done


@dataclass
class Disks:
    """Every disk of a world, by the folder it is mounted at."""

    mounted: dict[Path, Disk] = field(default_factory=dict)

    def mount(self, disk: Disk) -> Disk:
        """Let connections to files under a folder be decided by `disk`."""
        self.mounted[disk.root] = disk
        return disk

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Put the shim below every connection that is opened inside."""
        real = sqlite3.connect

        def connect(path: Any, **options: Any) -> sqlite3.Connection:
            db = real(path, factory=_Watched, **options)
            assert isinstance(db, _Watched)
            db.path = Path(str(path))
            db.disk = next((self.mounted[p] for p in db.path.parents if p in self.mounted), None)
            return db

        with mock.patch.object(sqlite3, "connect", connect):
            yield
