"""One connection to PostgreSQL, and one transaction at a time on it.

Owns how a connection is set up, how a generator's queries reach it, and what is known when one of
them fails. Leaves out who gets a connection and what is tried again (`coordinator.store.postgres`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, assert_never

import asyncpg

from coordinator.core.ports import Many, Query, Row, Scalar, Step, Together, Tx
from coordinator.store.differences import CODECS, to_text
from coordinator.store.postgres_blame import Fate, fate
from coordinator.store.postgres_together import join, join_numbered
from shared import limits

T = TypeVar("T")

# LOCK asks for no snapshot, so what is seen afterwards is newer than whoever was waited for. The
# table of the schema's steps is the door: a transaction beside others keeps it ajar, one that has
# to be alone waits until nobody is in and lets nobody in.
_BEGIN = (
    "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL synchronous_commit TO {commit};"
    " LOCK TABLE schema_migration IN {door} MODE"
)
_IMPATIENT = f" SET LOCAL lock_timeout = '{limits.POSTGRES_GROUP_LOCK_MS}ms'"
_BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NUMBER = "SELECT CAST(pg_current_xact_id_if_assigned() AS TEXT)"
_STATUS = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))"

SETTINGS = {
    "application_name": "outstation",
    # Compiling a plan takes longer than any statement of ours runs.
    "jit": "off",
    "statement_timeout": f"{limits.POSTGRES_STATEMENT_S}s",
    "idle_in_transaction_session_timeout": f"{limits.POSTGRES_STATEMENT_S}s",
    "lock_timeout": f"{limits.POSTGRES_LOCK_S}s",
}


class QueryFailedError(Exception):
    """What PostgreSQL or the way to it answered instead of rows; never leaves this package."""

    def __init__(self, error: Exception, *, closed: bool) -> None:
        super().__init__(str(error))
        self.error, self.closed = error, closed

    @property
    def fate(self) -> Fate:
        """Return what became of the transaction, unless it was committing."""
        return fate(self.error, closed=self.closed)


class CommitLostError(Exception):
    """The connection ended between COMMIT and its answer; never leaves this package."""

    def __init__(self, number: str, error: Exception) -> None:
        super().__init__(str(error))
        self.number, self.error = number, error
        """The transaction's number, by which the server can be asked what became of it."""


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """asyncpg's, without the round trip after each transaction that resets what we never set."""

    def get_reset_query(self) -> str:
        """Return nothing to do."""
        return ""


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """Make a new connection answer as SQLite does."""
    for codec in CODECS:
        await connection.set_type_codec(
            codec.type,
            schema="pg_catalog",
            encoder=codec.encode,
            decoder=codec.decode,
            format="text",
        )


class Session:
    """A transaction on a connection that somebody lent."""

    def __init__(self, connection: asyncpg.Connection, statements: Mapping[str, str]) -> None:
        self._connection, self._statements = connection, statements

    async def begin(self, *, durable: bool, alone: bool) -> None:
        """Begin to write."""
        commit, door = "on" if durable else "off", "EXCLUSIVE" if alone else "ROW SHARE"
        await self._order(_BEGIN.format(commit=commit, door=door))

    async def begin_group(self, *, durable: bool) -> None:
        """Begin to write for several, none of whom may keep the others waiting for long."""
        commit = "on" if durable else "off"
        await self._order(f"{_BEGIN.format(commit=commit, door='ROW SHARE')};{_IMPATIENT}")

    async def begin_reading(self) -> None:
        """Begin to read one state."""
        await self._order(_BEGIN_READING)

    async def drive(self, body: Tx[T]) -> T:
        """Run a body's queries; return its value, or raise what it raised."""
        try:
            step = next(body)
            while True:
                step = body.send(await self._answer(step))
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            body.close()

    async def answer_all(self, steps: Sequence[Step]) -> Sequence[Sequence[Row]]:
        """Answer steps none of which touches the rows of another; alike ones in one way."""
        answers: list[Sequence[Row]] = [()] * len(steps)
        alike: dict[tuple[str, ...], list[int]] = {}
        for index, step in enumerate(steps):
            match step:
                case Query(name, _):
                    alike.setdefault((name,), []).append(index)
                case Together(queries):
                    alike.setdefault(tuple(query.name for query in queries), []).append(index)
                case Many():
                    await self._answer(step)
                case _:
                    assert_never(step)
        for names, indices in alike.items():
            found = await self._answer_alike(names, [steps[index] for index in indices])
            for index, rows in zip(indices, found, strict=True):
                answers[index] = rows
        return answers

    async def commit(self) -> None:
        """End the transaction; it is then in the log of the server.

        Raises:
            QueryFailedError: it was undone.
            CommitLostError: nobody here knows.
        """
        number = (await self._rows(_NUMBER, ()))[0][0]
        try:
            await self._order("COMMIT")
        except QueryFailedError as failed:
            if failed.fate is not Fate.LOST:
                raise
            if number is not None:
                raise CommitLostError(number, failed.error) from failed.error
            # It wrote nothing: that cannot be lost.

    async def undo(self) -> None:
        """End the transaction; nothing of it stays. A connection that is gone did so by itself."""
        if not self._is_gone() and self._connection.is_in_transaction():
            await self._order("ROLLBACK")

    async def became_of(self, number: str) -> str | None:
        """Return ``committed``, ``aborted`` or ``in progress`` for a transaction of before."""
        try:
            [(status,)] = await self._rows(_STATUS, (number,))
        except QueryFailedError as failed:
            if isinstance(failed.error, asyncpg.InvalidParameterValueError):
                return "aborted"  # a server that crashed has not come as far as this number again
            raise
        found: str | None = status
        return found

    async def _answer(self, step: Step) -> Sequence[Row]:
        match step:
            case Query(name, values):
                return await self._rows(self._statements[name], values)
            case Many(name, rows):
                await self._many(self._statements[name], rows)
                return ()
            case Together(queries):
                texts = tuple(self._statements[query.name] for query in queries)
                return await self._rows(join(texts), _values(step))
            case _:
                assert_never(step)

    async def _answer_alike(
        self, names: tuple[str, ...], steps: Sequence[Step]
    ) -> Sequence[Sequence[Row]]:
        """Answer steps that differ in their values only."""
        if len(steps) == 1:
            return [await self._answer(steps[0])]
        texts = tuple(self._statements[name] for name in names)
        answers: list[list[Row]] = [[] for _ in steps]
        statement = join_numbered(texts)
        if statement is None:
            await self._many(join(texts), [_values(step) for step in steps])
            return answers
        sets = [(*map(to_text, _values(step)), number) for number, step in enumerate(steps)]
        try:
            found = await self._connection.fetchmany(statement, sets)
        except Exception as error:  # asyncpg's errors share no base
            raise self._failed(error) from error
        for number, *row in found:
            answers[number].append(tuple(row))
        return answers

    async def _rows(self, statement: str, values: Sequence[Scalar]) -> Sequence[Row]:
        try:
            found = await self._connection.fetch(statement, *map(to_text, values))
        except Exception as error:  # asyncpg's errors share no base
            raise self._failed(error) from error
        return [tuple(row) for row in found]

    async def _many(self, statement: str, rows: Sequence[tuple[Scalar, ...]]) -> None:
        texts: list[tuple[Any, ...]] = [tuple(map(to_text, row)) for row in rows]
        try:
            await self._connection.executemany(statement, texts)
        except Exception as error:  # the same
            raise self._failed(error) from error

    async def _order(self, statement: str) -> None:
        try:
            await self._connection.execute(statement)
        except Exception as error:  # the same
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> QueryFailedError:
        failed = QueryFailedError(error, closed=self._is_gone())
        if failed.fate is Fate.LOST and not failed.closed:
            # Whatever still comes on it answers a question that nobody asks any more.
            self._connection.terminate()
        return failed

    def _is_gone(self) -> bool:
        try:
            gone: bool = self._connection.is_closed()
        except asyncpg.InterfaceError:
            return True  # a pool takes a connection back by itself when it ends
        return gone


def _values(step: Step) -> tuple[Scalar, ...]:
    """Return the values of a step that is one statement of PostgreSQL's, in their order."""
    match step:
        case Query(_, values):
            return values
        case Together(queries):
            return tuple(value for query in queries for value in query.values)
        case Many():
            raise AssertionError("many rows are no set of values")
        case _:
            assert_never(step)
