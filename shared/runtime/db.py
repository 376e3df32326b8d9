"""One SQLite file: one connection, one writer, transactions as functions.

Owns the queue in front of the file, the futures of its callers, and how long the connection's
thread lives. Batches are whatever arrived during the previous fsync: there is no timer, so grouping
never adds latency. Leaves out what happens inside a commit (`group_commit`), the set-up of the
connection (`sqlite`), the schema (`migrations`) and the text of queries (`queries`).

    async with Database.open(path, schema=SCHEMA, exclusive=True) as db:
        job_id = await db.transact(lambda c: insert_job(c, spec), durable=True)
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from shared import limits
from shared.errors import Reason, WorldError
from shared.runtime.connection import Connection
from shared.runtime.group_commit import Group, Work, commit_group, damage_of, read_only
from shared.runtime.migrations import MigrationSet
from shared.runtime.sqlite import BREAKING, GATEWAY_ROOM, Room, Settings, blame, connect
from shared.runtime.tasks import to_the_end

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Counters:
    """What a database did since it was opened; only ever grows."""

    commits: int = 0
    durable_commits: int = 0
    """Of the commits, those that waited for the disk."""
    works: int = 0
    """Transactions asked for, failed ones included."""
    failed_works: int = 0
    reads: int = 0
    largest_group: int = 0


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of the database file without its log."""

    used_bytes: int
    free_bytes: int
    """Pages inside the file that `sqlite.give_back` returns to the file system."""


@dataclass(frozen=True, slots=True)
class _Request:
    work: Work
    durable: bool
    done: asyncio.Future[Any]


class Database:
    """A file that any task may use at once; made by `Database.open`."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.path
        self._settings = settings
        self._where = str(settings.path)
        self._connection: Connection | None = None
        self._queue: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._doubted = False
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._life = asyncio.Lock()
        self._reading = 0
        self._failure: WorldError | None = None
        self._counters = Counters()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        schema: MigrationSet,
        exclusive: bool,
        page_size: int = limits.DB_PAGE_BYTES,
        quick_check: bool = False,
        room: Room = GATEWAY_ROOM,
    ) -> "Opening":
        """Open or create a database: ``await`` it, or use it with ``async with``.

        `exclusive` keeps every other process out (the agent's files); `page_size` in bytes holds
        for a new file only; `quick_check` reads the whole file first; `room` is what it may take
        of the machine.

        Raises:
            WorldError: STORE_CORRUPT (`sqlite.set_aside_corrupt` and open again), STORE_FAILED or
                STORE_FULL.
            MistakeError: the file is open elsewhere, from a newer program, or not ours.
        """
        return Opening(
            Settings(
                path=path,
                schema=schema,
                exclusive=exclusive,
                page_size=page_size,
                quick_check=quick_check,
                room=room,
            )
        )

    @property
    def counters(self) -> Counters:
        """Return what was done so far; what is done later changes nothing in it."""
        return replace(self._counters)

    @property
    def failure(self) -> WorldError | None:
        """Return why nothing works until `reopen`, or None while all is well."""
        return self._failure

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        """Run `work` in a transaction; return its value after the commit.

        With `durable` a power cut after the return loses nothing; without, only a kill does not.
        `work` has no effects outside its connection: it may be rolled back and run again, and it
        runs even when the caller is cancelled meanwhile. What `work` raises undoes only `work`.

        Raises:
            WorldError: nothing of `work` was committed: STORE_FULL, STORE_BUSY (too many wait),
                STORE_FAILED or STORE_CORRUPT (see `failure`), STORE_CLOSED.
        """
        self._require_usable()
        if len(self._queue) >= limits.WRITER_QUEUE:
            raise WorldError(Reason.STORE_BUSY, f"{self._where}: too many transactions wait")
        request = _Request(work, durable, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        self._arrived.set()
        value: T = await request.done
        return value

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run read-only work between two commits and return its value; it sees one state.

        Raises:
            WorldError: as `transact`.
            sqlite3.OperationalError: `query` wrote; it was undone.
        """
        self._require_usable()
        if self._reading >= limits.WRITER_QUEUE:
            raise WorldError(Reason.STORE_BUSY, f"{self._where}: too many reads wait")
        assert self._connection, "usable implies connected"
        self._reading += 1
        self._counters.reads += 1
        try:
            return await self._connection.call(read_only, self._connection.manner, query)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY:
                raise  # `read_only`'s answer to a query that writes
            blamed = blame(error, self._where)
            if isinstance(blamed, WorldError) and blamed.reason in BREAKING:
                self._fail(blamed)
            raise blamed from error
        except WorldError as error:
            if error.reason in BREAKING:
                self._fail(error)
            raise
        finally:
            self._reading -= 1

    async def space(self) -> Space:
        """Return how large the file is, for retention by bytes."""
        return await self.read(_space)

    async def start(self) -> Self:
        """Open the file and start the writer; `open` does this.

        Raises:
            WorldError, MistakeError: as `open`; nothing stays open.
        """
        assert not self._connection, "a database is opened once"
        await self._connect(self._settings)
        return self

    async def reopen(self) -> None:
        """Close a failed database and open it again after a check of its structure.

        Without a failure this does nothing.

        Raises:
            WorldError: it still fails, or is damaged; `failure` stays set.
        """
        await to_the_end(self._start_again())

    async def close(self) -> None:
        """Run what is queued, close the file and end the thread; harmless when repeated.

        A cancellation meanwhile takes effect after the thread has ended.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._shut_down())
        await to_the_end(self._closing)

    async def _connect(self, settings: Settings) -> None:
        connection = Connection(partial(connect, settings))
        connection.spare_the_process()
        try:
            await connection
        except BaseException:
            connection.join()
            raise
        self._connection = connection
        self._failure = None
        self._writer = asyncio.create_task(self._write(connection), name=f"writer {self._where}")

    async def _start_again(self) -> None:
        async with self._life:
            if self._closing:
                raise WorldError(Reason.STORE_CLOSED, self._where)
            if self._failure:
                await self._disconnect()
                await self._connect(replace(self._settings, quick_check=True))

    async def _shut_down(self) -> None:
        async with self._life:
            await self._disconnect()

    async def _disconnect(self) -> None:
        """End the writer, then the thread, on every path: the thread outlives nothing."""
        writer, self._writer = self._writer, None
        connection, self._connection = self._connection, None
        self._arrived.set()
        try:
            if writer:
                await asyncio.wait((writer,))
        finally:
            if connection:
                await self._end(connection)
        if writer and not writer.cancelled():
            writer.result()  # a defect of the writer itself must not pass in silence

    async def _end(self, connection: Connection) -> None:
        try:
            await connection.close()
        except sqlite3.Error as error:
            # The last checkpoint failed; the log still holds everything that was promised.
            self._fail(WorldError(Reason.STORE_FAILED, f"{self._where}: {error}"))
        finally:
            connection.join()

    def _fail(self, error: WorldError) -> None:
        self._failure = self._failure or error
        self._arrived.set()

    def _require_usable(self) -> None:
        if self._closing:
            raise WorldError(Reason.STORE_CLOSED, self._where)
        if self._failure:
            raise WorldError(self._failure.reason, self._failure.detail) from self._failure

    async def _write(self, connection: Connection) -> None:
        """Commit groups until closed and empty, or until the connection broke."""
        group: list[_Request] = []
        try:
            while not self._failure:
                group = await self._next_group()
                if not group:
                    return
                durable = any(request.durable for request in group)
                works = [request.work for request in group]
                done = await connection.call(
                    commit_group, connection.manner, works, durable, self._where
                )
                if done.broken:
                    self._fail(done.broken)
                await self._doubt(connection, done)
                self._count(done, durable=durable)
                _settle(group, done)
                group = []
        finally:
            # Work is left only when the connection broke or the loop itself is being torn down.
            self._abandon(group)

    async def _doubt(self, connection: Connection, done: Group) -> None:
        """Look, once, whether a file whose disk is said to be full is a damaged one.

        SQLite says SQLITE_FULL, too, of a page's number that is beyond the largest there may be. A
        file that others have is not looked at: it may be larger than anybody would wait for.
        """
        if not done.is_full:
            self._doubted = False
        elif self._settings.exclusive and not self._doubted:
            self._doubted = True
            if damage := await connection.call(damage_of, self._where):
                self._fail(damage)

    async def _next_group(self) -> list[_Request]:
        while not self._queue and not self._closing and not self._failure:
            self._arrived.clear()
            await self._arrived.wait()
        size = 0 if self._failure else min(len(self._queue), limits.WRITER_BATCH)
        return [self._queue.popleft() for _ in range(size)]

    def _abandon(self, group: list[_Request]) -> None:
        requests = [*group, *self._queue]
        self._queue.clear()
        for request in requests:
            if request.done.done():
                continue
            if self._failure:
                error = WorldError(self._failure.reason, self._failure.detail)
                request.done.set_exception(error)
            else:
                request.done.cancel()  # nobody knows whether it was committed
        if not self._closing:
            self._fail(WorldError(Reason.STORE_FAILED, f"{self._where}: its writer was stopped"))

    def _count(self, done: Group, *, durable: bool) -> None:
        counters, size = self._counters, len(done.outcomes)
        counters.commits += done.commits
        counters.durable_commits += done.commits if durable else 0
        counters.works += size
        counters.failed_works += sum(1 for one in done.outcomes if one.error)
        counters.largest_group = max(counters.largest_group, size)


class Opening:
    """A database about to be opened: awaitable, and a context that closes it again."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings)

    def __await__(self) -> Generator[Any, None, Database]:
        return self._open().__await__()

    async def __aenter__(self) -> Database:
        return await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._database.close()

    async def _open(self) -> Database:
        try:
            return await to_the_end(self._database.start())
        except asyncio.CancelledError:
            await self._database.close()
            raise


def _settle(group: list[_Request], done: Group) -> None:
    for request, outcome in zip(group, done.outcomes, strict=True):
        if request.done.done():
            continue  # the caller was cancelled; its transaction was not
        if outcome.error is None:
            request.done.set_result(outcome.value)
        else:
            request.done.set_exception(outcome.error)


def _space(db: sqlite3.Connection) -> Space:
    page_size, pages, free = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return Space(used_bytes=(pages - free) * page_size, free_bytes=free * page_size)
