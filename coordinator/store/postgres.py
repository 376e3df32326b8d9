"""The store on PostgreSQL: for a coordinator that one machine is too small for.

Any number of replicas may run on one database. Each transaction is SERIALIZABLE and runs again, as
often as the limits say, when it met another one; the last attempts run alone, so that it comes to
an end. When the connection is lost before COMMIT, nothing was committed and it runs again; when it
is lost within COMMIT, the server is asked by the transaction's number what became of it. So no
transaction ever runs twice to its commit. Imported only for such a URL: asyncpg takes memory.
Leaves out one transaction on one connection (`coordinator.store.postgres_session`) and the schema.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import asyncpg

from coordinator.core.ports import Tx
from coordinator.store.partitions import drop_months, fold_totals, make_months
from coordinator.store.postgres_blame import Fate, blame, blame_opening
from coordinator.store.postgres_groups import Groups, Member, SplitError, drive_beside
from coordinator.store.postgres_line import PostgresLine
from coordinator.store.postgres_schema import SCHEMA, migrate
from coordinator.store.postgres_session import (
    SETTINGS,
    CommitLostError,
    Connection,
    QueryFailedError,
    Session,
    prepare_connection,
)
from coordinator.store.statements import load_statements
from coordinator.store.url import name_of
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, WorldError
from shared.runtime.logs import Events
from shared.runtime.migrations import Migration

T = TypeVar("T")

_ASK_AGAIN_S = 0.2
"""Between two questions to a server that comes back, or has not noticed yet that we are gone."""

_log = Events(__name__)


class PostgresStore:
    """`coordinator.core.ports.Store` on one database."""

    def __init__(self, url: str, waiting: tuple[Migration, ...]) -> None:
        self.name, self._url = name_of(url), url
        self.waiting = waiting
        """Steps of the schema that wait for the last older program to stop."""
        self._statements = dict(load_statements())
        self._writers = _pool(url, limits.POSTGRES_WRITERS)
        self._readers = _pool(url, limits.POSTGRES_READERS)
        self._groups = Groups(self._attempt_group)
        self._queued = 0
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, finish: bool = False) -> Self:
        """Bring a database's schema up to date and connect to it.

        Args:
            url: ``postgresql://user:password@host:port/database?options``.
            finish: take the steps, too, that wait for the last older program to stop.

        Raises:
            WorldError: the server does not answer.
            MistakeError: there is no such database, it belongs to somebody else or to a newer
                program.
        """
        where = name_of(url)
        try:
            connection = await _connect(url)
            try:
                waiting = await migrate(connection, SCHEMA, where=where, finish=finish)
            finally:
                await connection.close(timeout=limits.POSTGRES_CONNECT_S)
            store = cls(url, waiting)
            await store._writers  # connects
            await store._readers
        except Exception as error:
            raise blame_opening(error, where) from error
        return store

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        """Run a transaction; see `coordinator.core.ports.Store.run`.

        Raises:
            WorldError: nothing was committed, unless it is STORE_UNSURE.
        """
        if agent and self._groups.takes(agent):
            try:
                value: T = await self._groups.run(transaction, durable=durable, agent=agent)
            except SplitError:
                _log.event("group_split", level=logging.DEBUG, agent=agent)
            else:
                return value
        tries = limits.POSTGRES_TRIES + limits.POSTGRES_TRIES_ALONE
        for number in range(1, tries + 1):
            alone = number > limits.POSTGRES_TRIES
            try:
                return await self._attempt(transaction, durable=durable, alone=alone)
            except QueryFailedError as failed:
                if failed.fate is Fate.OURS or number == tries:
                    raise blame(failed.error, self.name, closed=failed.closed) from failed.error
                _log.event("transaction_again", attempt=number, cause=repr(failed.error))
        raise AssertionError("the last attempt returned or raised")

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        """Run a body that only reads; see `coordinator.core.ports.Store.read`."""
        for is_last in (False, True):
            try:
                async with self._session(self._readers) as session:
                    await session.begin_reading()
                    return await session.drive(transaction())
            except QueryFailedError as failed:
                if failed.fate is not Fate.LOST or is_last:
                    raise blame(failed.error, self.name, closed=failed.closed) from failed.error
        raise AssertionError("the last attempt returned or raised")

    async def until_failed(self) -> None:
        """Never return: a connection that failed is replaced by the next one that is asked for."""
        await asyncio.Event().wait()

    async def recover(self) -> None:
        """Do nothing; see `until_failed`."""

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        """Keep the partitions of the blocks; see `coordinator.store.partitions`.

        Raises:
            WorldError: the server does not answer.
        """
        try:
            async with self._writers.acquire(timeout=limits.POSTGRES_LOCK_S) as connection:
                await make_months(connection, now_ms)
                dropped = await drop_months(connection, now_ms)
                await fold_totals(connection)
        except Exception as error:
            raise blame(error, self.name) from error
        return dropped

    def line(self) -> PostgresLine:
        """Return what reaches the other replicas on this database."""
        return PostgresLine(self._url)

    async def close(self) -> None:
        """Let transactions in work end, then disconnect; harmless when repeated."""
        await self._groups.close()
        self._closed = True
        for pool in (self._writers, self._readers):
            await pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _attempt(self, transaction: Callable[[], Tx[T]], *, durable: bool, alone: bool) -> T:
        async with self._session(self._writers) as session:
            await session.begin(durable=durable, alone=alone)
            value = await session.drive(transaction())
            await self._commit(session)
            return value

    async def _attempt_group(self, members: Sequence[Member]) -> Sequence[object]:
        """Run a group once; whatever keeps it from its commit is found out one by one."""
        durable = any(member.durable for member in members)
        try:
            async with self._session(self._writers) as session:
                await session.begin_group(durable=durable)
                values = await drive_beside(session, members)
                await self._commit(session)
                return values
        except QueryFailedError as failed:
            raise SplitError from failed

    async def _commit(self, session: Session) -> None:
        try:
            await session.commit()
        except CommitLostError as lost:
            if not await self._was_committed(lost):
                raise QueryFailedError(lost.error, closed=True) from lost

    @asynccontextmanager
    async def _session(self, pool: asyncpg.Pool) -> AsyncIterator[Session]:
        """Lend a connection; whatever is open on it afterwards is undone."""
        if self._closed:
            raise WorldError(Reason.STORE_CLOSED, self.name)
        if self._queued >= limits.WRITER_QUEUE:
            raise WorldError(Reason.STORE_BUSY, f"{self.name}: too many transactions wait")
        self._queued += 1
        try:
            connection = await pool.acquire(timeout=limits.POSTGRES_LOCK_S)
        except TimeoutError as error:
            raise WorldError(Reason.STORE_BUSY, f"{self.name}: no connection was free") from error
        except Exception as error:
            raise blame(error, self.name) from error
        finally:
            self._queued -= 1
        session = Session(connection, self._statements)
        try:
            try:
                yield session
            finally:
                await session.undo()
        finally:
            await pool.release(connection)

    async def _was_committed(self, lost: CommitLostError) -> bool:
        """Ask what became of a transaction whose COMMIT got no answer.

        Raises:
            WorldError: STORE_UNSURE: the server did not come back in time to say.
        """
        _log.event("commit_unanswered", cause=repr(lost.error))
        try:
            async with asyncio.timeout(limits.POSTGRES_UNSURE_S):
                while True:
                    status = await self._status(lost.number)
                    if status in {"committed", "aborted"}:
                        return status == "committed"
                    await asyncio.sleep(_ASK_AGAIN_S)
        except TimeoutError as error:
            raise WorldError(
                Reason.STORE_UNSURE, f"{self.name}: lost while it committed"
            ) from error

    async def _status(self, number: str) -> str | None:
        try:
            async with self._session(self._readers) as session:
                return await session.became_of(number)
        except (QueryFailedError, WorldError):
            return None


async def _connect(url: str) -> asyncpg.Connection:
    """Connect for the schema's sake; the pools come after it.

    Raises:
        MistakeError: the URL cannot be read.
    """
    try:
        return await asyncpg.connect(url, timeout=limits.POSTGRES_CONNECT_S)
    except asyncpg.ClientConfigurationError:
        raise
    except ValueError as error:
        raise MistakeError(
            "is no address of a PostgreSQL database",
            where=f"--database {name_of(url)}",
            mend="write postgresql://USER@HOST:PORT/NAME",
        ) from error


def _pool(url: str, size: int) -> asyncpg.Pool:
    return asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        connection_class=Connection,
        init=prepare_connection,
        timeout=limits.POSTGRES_CONNECT_S,
        # The server ends a statement first; this is for a server that is no longer there.
        command_timeout=limits.POSTGRES_STATEMENT_S + limits.POSTGRES_CONNECT_S,
        statement_cache_size=limits.DB_STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings=SETTINGS,
    )
