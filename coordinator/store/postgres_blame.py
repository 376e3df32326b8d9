"""Whose fault an error of PostgreSQL's is, and whether the transaction may simply run again."""

import os
import socket
from enum import Enum

import asyncpg

from shared.errors import MistakeError, Reason, WorldError


class Fate(Enum):
    """What an error says of the transaction that it ended."""

    MET_ANOTHER = "met another"
    """Undone because of others that ran beside it: run it again."""
    LOST = "lost"
    """The connection is gone: undone if COMMIT was not asked for."""
    OURS = "ours"
    """Undone, and would fail again."""


_MET_ANOTHER = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    # Another replica's step changed a table between two uses of a prepared statement.
    asyncpg.InvalidCachedStatementError,
    # Two transactions that did not see each other may choose the same key: alone, the second one
    # sees the first. One that fails alone, too, is a defect.
    asyncpg.UniqueViolationError,
)
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    OSError,  # with it TimeoutError, ConnectionError and ssl.SSLError
)
_REASONS = (
    (asyncpg.DiskFullError, Reason.STORE_FULL),
    (asyncpg.TooManyConnectionsError, Reason.STORE_BUSY),
    (asyncpg.LockNotAvailableError, Reason.STORE_BUSY),
    (asyncpg.QueryCanceledError, Reason.STORE_BUSY),
    (asyncpg.DataCorruptedError, Reason.STORE_CORRUPT),
    (asyncpg.IndexCorruptedError, Reason.STORE_CORRUPT),
    (asyncpg.InsufficientResourcesError, Reason.STORE_FAILED),
    (asyncpg.OperatorInterventionError, Reason.STORE_FAILED),
    (asyncpg.InternalServerError, Reason.STORE_FAILED),
    (asyncpg.PostgresSystemError, Reason.STORE_FAILED),
)
_WRONG_PLACE = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)


def fate(error: BaseException, *, closed: bool = False) -> Fate:
    """Return what became of the transaction in hand; `closed`: its connection ended meanwhile."""
    if closed or isinstance(error, _LOST):
        return Fate.LOST
    return Fate.MET_ANOTHER if isinstance(error, _MET_ANOTHER) else Fate.OURS


def blame(error: Exception, where: str, *, closed: bool = False) -> Exception:
    """Return the error that callers get: the world's where it is, else `error` itself."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return WorldError(reason, f"{where}: {error}")
    if isinstance(error, asyncpg.SerializationError | asyncpg.DeadlockDetectedError):
        return WorldError(Reason.STORE_BUSY, f"{where}: {error}")
    if fate(error, closed=closed) is Fate.LOST:
        return WorldError(Reason.STORE_FAILED, f"{where}: {str(error) or type(error).__name__}")
    if isinstance(error, asyncpg.DataError | OverflowError):
        return OverflowError(f"{where}: a value does not fit its column ({error})")
    return error


def blame_opening(error: Exception, where: str) -> Exception:
    """Return the error of a database that cannot be opened: a person's where it is one's."""
    if isinstance(error, _WRONG_PLACE):
        return MistakeError(
            f"PostgreSQL refused: {error}",
            where=f"--database {where}",
            mend="createdb makes an empty database; its owner's name and password go into the URL",
        )
    if isinstance(error, OSError):
        why = "no such host" if isinstance(error, socket.gaierror) else _in_words(error)
        return WorldError(
            Reason.STORE_FAILED,
            f"{where}: PostgreSQL does not answer ({why}); is it running there, and does this"
            " machine reach it?",
        )
    return blame(error, where)


def _in_words(error: OSError) -> str:
    """Return what the system calls an error; asyncpg's text is a tuple's."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return os.strerror(error.errno).lower() if error.errno else str(error)
