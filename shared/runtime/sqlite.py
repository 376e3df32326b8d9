"""One SQLite connection, set up so that a commit means what it says, or refused.

Owns the PRAGMAs and the check of each one's answer, the blame of SQLite's result codes, and
setting a damaged file aside. Leaves out transactions (`group_commit`, `db`) and the schema's
content (`migrations`). Everything here blocks and runs in the connection's own thread.
"""

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.runtime.files import sync_directory
from shared.runtime.migrations import MigrationSet, SchemaStrangeError, check_schema, migrate

SYNC_NORMAL = 1
SYNC_FULL = 2

_FLOOR = (3, 37, 0)
"""STRICT tables; RETURNING came with 3.35."""
_AUTO_VACUUM_INCREMENTAL = 2
_TEMP_STORE_MEMORY = 2
_FORMATS = slice(18, 20)
"""Where the header names the formats that are needed to write a file and to read it."""
_KNOWN_FORMATS = frozenset({1, 2})
_SUFFIXES = ("-wal", "-shm", "-journal")

_REASONS = {
    sqlite3.SQLITE_FULL: Reason.STORE_FULL,
    sqlite3.SQLITE_BUSY: Reason.STORE_BUSY,
    sqlite3.SQLITE_LOCKED: Reason.STORE_BUSY,
    sqlite3.SQLITE_CORRUPT: Reason.STORE_CORRUPT,
    sqlite3.SQLITE_NOTADB: Reason.STORE_CORRUPT,
    # Nothing that we write comes near a gigabyte: a row's damaged header says so.
    sqlite3.SQLITE_TOOBIG: Reason.STORE_CORRUPT,
    sqlite3.SQLITE_IOERR: Reason.STORE_FAILED,
    sqlite3.SQLITE_CANTOPEN: Reason.STORE_FAILED,
    sqlite3.SQLITE_READONLY: Reason.STORE_FAILED,
    sqlite3.SQLITE_PERM: Reason.STORE_FAILED,
    sqlite3.SQLITE_PROTOCOL: Reason.STORE_FAILED,
    sqlite3.SQLITE_NOLFS: Reason.STORE_FAILED,
}
_DAMAGED = ("Could not decode to UTF-8", "unsupported file format", "malformed database schema")
"""A damaged text and a damaged header have no code of their own, only these words, and a damaged
schema has whatever code its parser ended with. The format has been the same since 2005, every text
in our files was written as UTF-8, and no schema of ours is malformed."""
BREAKING = frozenset({Reason.STORE_CORRUPT, Reason.STORE_FAILED})
"""After these the connection's cache may differ from the disk: close, check, open again."""


@dataclass(frozen=True, slots=True)
class Room:
    """What one connection may take of the machine."""

    cache_bytes: int = limits.DB_CACHE_BYTES
    checkpoint_bytes: int = limits.DB_CHECKPOINT_BYTES


GATEWAY_ROOM = Room()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one database file is opened."""

    path: Path
    schema: MigrationSet
    exclusive: bool
    """True: nobody else may open the file (no -shm file, a quarter less time per commit)."""
    page_size: int = limits.DB_PAGE_BYTES
    """Of a new file; an existing one keeps its own."""
    quick_check: bool = False
    """Read the whole file once and refuse it when its structure is damaged."""
    room: Room = GATEWAY_ROOM


def connect(settings: Settings) -> sqlite3.Connection:
    """Open, check, set up and migrate one file; make its name durable.

    Raises:
        WorldError: STORE_CORRUPT when the file is damaged or no database, STORE_FAILED or
            STORE_FULL when the disk or a PRAGMA did not obey.
        MistakeError: another process has the file, or its schema must not be touched.
    """
    path = settings.path
    if sqlite3.sqlite_version_info < _FLOOR:
        raise MistakeError(
            f"SQLite {sqlite3.sqlite_version} is too old", mend="3.37 or newer is needed"
        )
    try:
        _create(path)
        if settings.exclusive:
            _check_formats(path)
        db = sqlite3.connect(path, isolation_level=None, cached_statements=limits.DB_STATEMENTS)
    except (OSError, sqlite3.Error) as error:
        raise WorldError(Reason.STORE_FAILED, f"{path} cannot be opened: {error}") from error
    try:
        _set_up(db, settings)
        migrate(db, settings.schema, where=str(path))
        if settings.exclusive:
            check_schema(db, settings.schema, where=str(path))
        # Research on injected sync errors: SQLite's own directory sync fails in silence.
        sync_directory(path.parent)
    except BaseException as error:
        db.close()
        if reason_of(error) is Reason.STORE_BUSY:
            raise MistakeError(
                "is open in another process", where=str(path), mend="stop that process first"
            ) from error
        if isinstance(error, SchemaStrangeError) and settings.exclusive:
            # Nobody else writes this file, so nobody but the disk did this.
            raise WorldError(Reason.STORE_CORRUPT, str(error)) from error
        if isinstance(error, sqlite3.Error | UnicodeDecodeError):
            raise blame(error, str(path)) from error
        if isinstance(error, OSError):
            raise WorldError(Reason.STORE_FAILED, f"{path.parent}: {error}") from error
        raise
    return db


def reason_of(error: BaseException) -> Reason | None:
    """Return why SQLite failed when the world is to blame, None when the statement is."""
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes a damaged schema in its message, and Python cannot read that.
        return Reason.STORE_CORRUPT
    if isinstance(error, sqlite3.DatabaseError) and str(error).startswith(_DAMAGED):
        return Reason.STORE_CORRUPT
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary result code (sqlite.org/rescode.html).
    return None if code is None else _REASONS.get(code & 0xFF)


def blame(error: Exception, where: str) -> Exception:
    """Return the exception a caller gets: the world's faults as WorldError, others unchanged."""
    reason = reason_of(error)
    return error if reason is None else WorldError(reason, f"{where}: {error}")


def set_synchronous(db: sqlite3.Connection, level: int) -> None:
    """Choose what the next commits cost and promise: SYNC_FULL survives a power cut.

    Raises:
        WorldError: SQLite did not take it.
        sqlite3.OperationalError: a transaction is open.
    """
    ask(db, "synchronous", level, expect=level)


def ask(db: sqlite3.Connection, pragma: str, value: str | int, *, expect: str | int) -> None:
    """Set one PRAGMA and refuse to go on unless it reads back as expected.

    Rows are fetched: an I/O error inside a PRAGMA is raised by the fetch, not by execute().

    Raises:
        WorldError: it reads back otherwise.
    """
    db.execute(f"PRAGMA {pragma} = {value}").fetchall()
    row = db.execute(f"PRAGMA {pragma}").fetchone()
    if row is None or row[0] != expect:
        raise WorldError(Reason.STORE_FAILED, f"PRAGMA {pragma} is {row}, not {expect}")


def quick_check(
    db: sqlite3.Connection, where: str, *, table: str = "", with_indexes: bool = False
) -> None:
    """Read the file's structure from end to end, or that of one table.

    What indexes hold is compared with their tables only `with_indexes`.

    Raises:
        WorldError: STORE_CORRUPT with SQLite's first complaint.
    """
    try:
        pragma = "integrity_check" if with_indexes else "quick_check"
        complaint = db.execute(f"PRAGMA {pragma}({table or 1})").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        # It evaluates what a table's definition demands of its rows: there the damage is.
        raise WorldError(Reason.STORE_CORRUPT, f"{where}: {error}") from error
    if complaint != "ok":
        raise WorldError(Reason.STORE_CORRUPT, f"{where}: {complaint}")


def give_back(db: sqlite3.Connection, pages: int) -> int:
    """Return up to `pages` free pages to the file system inside a transaction; tell how many.

    One page per statement: Python steps a statement without columns once, and one step of
    ``incremental_vacuum(n)`` frees one page whatever n says.
    """
    before: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    for _ in range(min(pages, before)):
        db.execute("PRAGMA incremental_vacuum(1)")
    after: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    return before - after


def set_aside_corrupt(path: Path) -> Path:
    """Rename a damaged database and its logs to `NAME.corrupt-N`; return the new path.

    The caller opens a fresh database at `path` at once and writes the loss down. At most
    `limits.DB_CORRUPT_KEPT` stay; the oldest goes first.

    Raises:
        OSError: the directory cannot be changed.
    """
    kept = sorted(_numbers(path))
    while len(kept) >= limits.DB_CORRUPT_KEPT:
        _remove(_aside(path, kept.pop(0)))
    target = _aside(path, kept[-1] + 1 if kept else 1)
    # Logs first: a power cut in between must not leave a log for the fresh database to find.
    for suffix in (*_SUFFIXES, ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{target}{suffix}")
    sync_directory(path.parent)
    return target


def _create(path: Path) -> None:
    """Make a file that is not there yet; an existing one is not touched.

    SQLite gives -wal and -shm the mode of the database file: nobody else may read those. And to
    close any descriptor of a file drops all POSIX locks that this process has on it: a second
    connection that merely looked would let another process take the log for abandoned, and
    delete it (sqlite.org/howtocorrupt.html, 2.2).
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _check_formats(path: Path) -> None:
    """Check that SQLite would write a file as well as read it, before anybody has it open.

    Raises:
        WorldError: STORE_CORRUPT: its header names a format that does not exist, which SQLite
            takes for one of a later version (sqlite.org/fileformat2.html, 1.3.3).
        OSError: it cannot be read.
    """
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and journal.stat().st_size > 0:
        return  # a power cut left it half-written: SQLite first takes that back
    with path.open("rb") as file:
        formats = file.read(_FORMATS.stop)[_FORMATS]
    if any(one not in _KNOWN_FORMATS for one in formats):
        raise WorldError(Reason.STORE_CORRUPT, f"{path}: its header names no format of SQLite")


def _set_up(db: sqlite3.Connection, settings: Settings) -> None:
    """Set the PRAGMAs; those that shape the file only on an empty one, and before WAL."""
    mode = "exclusive" if settings.exclusive else "normal"
    ask(db, "busy_timeout", limits.DB_BUSY_MS, expect=limits.DB_BUSY_MS)
    # Before the first look at the file: an exclusive WAL then never makes a -shm.
    ask(db, "locking_mode", mode, expect=mode)
    ask(db, "trusted_schema", 0, expect=0)
    if db.execute("PRAGMA page_count").fetchone()[0] == 0:
        ask(db, "page_size", settings.page_size, expect=settings.page_size)
        ask(db, "auto_vacuum", _AUTO_VACUUM_INCREMENTAL, expect=_AUTO_VACUUM_INCREMENTAL)
    ask(db, "journal_mode", "wal", expect="wal")
    set_synchronous(db, SYNC_FULL)
    ask(db, "foreign_keys", 1, expect=1)
    ask(db, "temp_store", _TEMP_STORE_MEMORY, expect=_TEMP_STORE_MEMORY)
    cache_kib = settings.room.cache_bytes // 1024
    ask(db, "cache_size", -cache_kib, expect=-cache_kib)
    ask(db, "mmap_size", 0, expect=0)
    # Overwriting a log in place is up to 2.3 times faster than growing it: never truncate.
    ask(db, "journal_size_limit", -1, expect=-1)
    page_size = db.execute("PRAGMA page_size").fetchone()[0]
    pages = max(1, settings.room.checkpoint_bytes // page_size)
    ask(db, "wal_autocheckpoint", pages, expect=pages)
    if settings.quick_check:
        quick_check(db, str(settings.path))


def _aside(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.corrupt-{number}")


def _numbers(path: Path) -> list[int]:
    """Return the numbers N of the `NAME.corrupt-N` beside `path`."""
    prefix = f"{path.name}.corrupt-"
    tails = (entry.name.removeprefix(prefix) for entry in path.parent.glob(f"{prefix}*"))
    return sorted(
        {int(digits) for digits in (tail.split("-")[0] for tail in tails) if digits.isdigit()}
    )


def _remove(path: Path) -> None:
    for suffix in ("", *_SUFFIXES):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
