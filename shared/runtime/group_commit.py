"""Many transactions, one commit: each stands in its own savepoint, all share one fsync.

Owns what happens in the connection's thread for one group, and for one read. Leaves out queueing
and futures, which are `shared.runtime.db`.
"""

import sqlite3
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shared import limits
from shared.errors import Reason, WorldError
from shared.runtime.sqlite import (
    BREAKING,
    SYNC_FULL,
    SYNC_NORMAL,
    blame,
    quick_check,
    reason_of,
    set_synchronous,
)

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], object]
"""One transaction's body. It may run a second time after everything it did was rolled back, so
it has no effects but on its connection; it never commits or rolls back by itself."""

_LOOK_MS = 1
"""Of waiting for another process, between two looks."""
_ALONE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT})
"""Failures of a whole group that one member causes: a full disk, a deferred constraint."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one work: its value, or the error its caller gets."""

    value: object = None
    error: Exception | None = None


@dataclass(slots=True)
class Group:
    """What became of a group."""

    outcomes: list[Outcome]
    commits: int = 0
    broken: WorldError | None = None
    """Set when the connection must not be used again before it was closed and checked."""

    @property
    def is_full(self) -> bool:
        """Tell whether SQLite said of any of it that the disk is full."""
        found = [one.error for one in self.outcomes if isinstance(one.error, WorldError)]
        return any(error.reason is Reason.STORE_FULL for error in found)


@dataclass(slots=True)
class Manner:
    """How one connection was last told to commit and to wait: it is told only what changes."""

    synchronous: int = -1
    """Nobody told it so far."""
    hasty: bool = False
    """It waits for other processes as `_begin` does; a read must not."""


class _MisuseError(Exception):
    """A work ended the transaction that it runs in: a defect of ours, nothing can be promised."""


def commit_group(
    db: sqlite3.Connection,
    manner: Manner,
    works: Sequence[Work],
    durable: bool,  # noqa: FBT001
    where: str,
) -> Group:
    """Run the works in one transaction and commit; one outcome each, in order, never raises.

    `durable` asks for `synchronous=FULL`: when this returns, a power cut loses nothing of it.
    Otherwise the order is kept and the last commits may be lost by a power cut, not by a kill.
    """
    group = Group([])
    try:
        _promise(db, manner, SYNC_FULL if durable else SYNC_NORMAL)
        try:
            group.outcomes = _transaction(db, manner, works, where)
            group.commits = 1
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)
            if len(works) == 1 or code & 0xFF not in _ALONE or db.in_transaction:
                raise
            _one_by_one(db, manner, works, where, group)
    except (sqlite3.Error, WorldError, MemoryError, UnicodeDecodeError, _MisuseError) as error:
        _fail_rest(group, len(works), error, where)
    if db.in_transaction:
        group.broken = WorldError(Reason.STORE_FAILED, f"{where}: a transaction could not be ended")
    for outcome in group.outcomes:
        if isinstance(outcome.error, WorldError) and outcome.error.reason in BREAKING:
            group.broken = outcome.error
    return group


def read_only(
    db: sqlite3.Connection, manner: Manner, query: Callable[[sqlite3.Connection], T]
) -> T:
    """Run a query in a transaction that is undone whatever it did.

    Not under ``PRAGMA query_only``: each change of that flag has SQLite compile every statement of
    the connection anew, which costs several times what the statements themselves do.

    Raises:
        sqlite3.OperationalError: as SQLite does, or SQLITE_READONLY: the query wrote, or ended its
            transaction itself.
    """
    if manner.hasty:
        db.execute(f"PRAGMA busy_timeout = {limits.DB_BUSY_MS}")
        manner.hasty = False
    before = db.total_changes
    db.execute("BEGIN")
    try:
        value = query(db)
    except Exception as error:
        # A cursor kept alive by the traceback would hold the log back from being reused.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        ended = not db.in_transaction
        if not ended:
            db.execute("ROLLBACK")
    if ended or db.total_changes != before:
        refused = sqlite3.OperationalError("a readonly transaction wrote, or ended itself")
        refused.sqlite_errorcode = sqlite3.SQLITE_READONLY
        raise refused
    return value


def damage_of(db: sqlite3.Connection, where: str) -> WorldError | None:
    """Return what is wrong with a file's structure, if anything is and the disk lets it be read."""
    try:
        quick_check(db, where)
    except WorldError as damage:
        return damage
    except (sqlite3.Error, UnicodeDecodeError) as error:
        blamed = blame(error, where)
        return blamed if isinstance(blamed, WorldError) and blamed.reason in BREAKING else None
    return None


def _promise(db: sqlite3.Connection, manner: Manner, level: int) -> None:
    if manner.synchronous != level:
        manner.synchronous = -1
        set_synchronous(db, level)
        manner.synchronous = level


def _one_by_one(
    db: sqlite3.Connection, manner: Manner, works: Sequence[Work], where: str, group: Group
) -> None:
    """Give each work a commit of its own, so that a full disk still takes what frees space."""
    for work in works:
        try:
            group.outcomes += _transaction(db, manner, [work], where)
            group.commits += 1
        except sqlite3.Error as error:
            if reason_of(error) in BREAKING or db.in_transaction:
                raise
            group.outcomes.append(Outcome(error=_blamed(error, where)))


def _transaction(
    db: sqlite3.Connection, manner: Manner, works: Sequence[Work], where: str
) -> list[Outcome]:
    _begin(db, manner)
    try:
        outcomes = [_savepoint(db, work, where) for work in works]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return outcomes


def _begin(db: sqlite3.Connection, manner: Manner) -> None:
    """Begin as the one writer of the file; another process's transaction is some milliseconds long.

    Left alone, SQLite looks again after 1, 2, 5, 10 and up to 100 ms, so that whoever waits comes
    too late again and again; here it looks every millisecond, for as long.
    """
    until_s = time.monotonic() + limits.DB_BUSY_MS / 1000
    if not manner.hasty:
        db.execute(f"PRAGMA busy_timeout = {min(_LOOK_MS, limits.DB_BUSY_MS)}")
        manner.hasty = True
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until_s:
                raise
        else:
            return


def _savepoint(db: sqlite3.Connection, work: Work, where: str) -> Outcome:
    """Run one work so that its failure undoes only what it did itself."""
    db.execute("SAVEPOINT work")
    try:
        value = work(db)
    # The border between the store and any caller's code: whatever it raises is its caller's.
    except Exception as error:
        if db.in_transaction:
            # Frames in the traceback keep cursors alive, and a half-read RETURNING would make
            # the whole group's COMMIT fail.
            traceback.clear_frames(error.__traceback__)
            db.execute("ROLLBACK TO work")
            db.execute("RELEASE work")
            return Outcome(error=_blamed(error, where))
        if isinstance(error, sqlite3.Error):
            raise  # SQLite itself rolled everything back, as it may when the disk is full
        raise _MisuseError("a transaction function must not end its transaction") from error
    if not db.in_transaction:
        raise _MisuseError("a transaction function must not end its transaction")
    db.execute("RELEASE work")
    return Outcome(value=value)


def _blamed(error: Exception, where: str) -> Exception:
    blamed = blame(error, where)
    if blamed is not error:
        blamed.__cause__ = error
    return blamed


def _fail_rest(group: Group, count: int, error: Exception, where: str) -> None:
    """Give every work without an outcome an error of its own: nothing of it was committed."""
    alone = count == 1 and isinstance(error, sqlite3.Error)
    reason = error.reason if isinstance(error, WorldError) else reason_of(error)
    while len(group.outcomes) < count:
        failed = WorldError(reason or Reason.STORE_FAILED, f"{where}: {error}")
        failed.__cause__ = error
        group.outcomes.append(Outcome(error=_blamed(error, where) if alone else failed))
