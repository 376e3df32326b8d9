"""Rows of jobs.db that hold packed values, read back as what was written.

SQLite's own check sees the structure of a file, not what a row says: a value that damage altered
shows when it is unpacked.
"""

import sqlite3
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar
from zlib import crc32

from shared import limits
from shared.errors import Reason, RefusedError, WorldError
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.runtime.queries import load_queries
from shared.trust.counters import Counters
from shared.wire.codec import pack, unpack

T = TypeVar("T")

_SQL = load_queries("agent.store", "queries/jobs.sql")
_WORDS = {
    "words_of_tasks": frozenset(TaskState),
    "words_of_executions": frozenset(ExecutionState),
    "words_of_tales": frozenset(ExecutionState),
}
_REASONS = frozenset(Reason) | {0}
_CRC_BYTES = 4


class UnreadableRowError(WorldError):
    """A row is not what was written; `JobsFile` gives the file up, whole as it looks."""


def stored(data: bytes, type_: type[T], *, bound: int) -> T:
    """Return the value that a row holds, as `shared.wire.codec.unpack`.

    Raises:
        UnreadableRowError: STORE_CORRUPT, this is not what was written.
    """
    try:
        return unpack(data, type_, bound=bound)
    except RefusedError as error:
        detail = f"jobs.db: a row that holds a {type_.__name__} is not what was written: {error}"
        raise UnreadableRowError(Reason.STORE_CORRUPT, detail) from error


def with_checksum(counters: Counters) -> bytes:
    """Return what is stored of counters: a bit that fell over would shut out every later order."""
    packed = pack(counters)
    return packed + crc32(packed).to_bytes(_CRC_BYTES)


def stored_counters(data: bytes | None) -> Counters | None:
    """Return stored counters; those that the disk damaged are as good as lost."""
    if data is None:
        return None
    packed, checksum = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if crc32(packed).to_bytes(_CRC_BYTES) != checksum:
        return None
    try:
        return unpack(packed, Counters, bound=limits.COUNTER_SLOT_BYTES)
    except RefusedError:
        return None


@lru_cache(maxsize=limits.WORKERS)
def stored_spec(packed: bytes, digest: bytes) -> JobSpec:
    """Return a job as it was admitted; the tasks of one execution share it.

    Raises:
        UnreadableRowError: as `stored`. A letter that fell over may leave a job that reads well.
    """
    if sha256(packed).digest() != digest:
        raise UnreadableRowError(Reason.STORE_CORRUPT, "jobs.db: a job is not what was admitted")
    return stored(packed, JobSpec, bound=limits.SPEC_BYTES)


def check_words(db: sqlite3.Connection) -> None:
    """Check that every state and reason in jobs.db is one that there is.

    Raises:
        UnreadableRowError: STORE_CORRUPT, one is not.
    """
    for query, states in _WORDS.items():
        for state, reason in db.execute(_SQL[query]):
            if state not in states or reason not in _REASONS:
                detail = f"jobs.db: nothing is in state {state} for reason {reason}"
                raise UnreadableRowError(Reason.STORE_CORRUPT, detail)
    for (reason,) in db.execute(_SQL["words_of_refusals"]):
        if reason not in _REASONS:
            raise UnreadableRowError(Reason.STORE_CORRUPT, f"jobs.db: there is no reason {reason}")
