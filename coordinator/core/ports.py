"""What the transactions ask of a store: named queries, yielded by generators.

A transaction is written once, as a generator that yields a `Step` and is sent the rows.
The store drives it: SQLite's writer in one thread hop, PostgreSQL with one await per step. So a
body has no effects but its queries, and may be run again from the start.
"""

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from shared.clock import WallMs

T = TypeVar("T")

Scalar: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Any, ...]


# Structs of msgspec: a contact makes some thirty, and looks as often for one among those it knows.
class Query(msgspec.Struct, frozen=True, gc=False):
    """One named statement with its parameters ``$1``, ``$2``, ..."""

    name: str
    values: tuple[Scalar, ...]


class Many(msgspec.Struct, frozen=True, gc=False):
    """One named statement, run once for each tuple of parameters; answers no rows."""

    name: str
    rows: tuple[tuple[Scalar, ...], ...]


class Together(msgspec.Struct, frozen=True, gc=False):
    """Statements that do not build on each other, in one way to the database and back.

    PostgreSQL runs them as one: none of them sees what another one changes, and no two change the
    same row. All but the last one only change; its rows are the answer.
    """

    queries: tuple[Query, ...]


Step: TypeAlias = Query | Many | Together
Tx: TypeAlias = Generator[Step, Sequence[Row], T]
"""A transaction's body, begun; it returns `T`."""


class Store(Protocol):
    """Whatever runs transactions: SQLite or PostgreSQL."""

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        """Run a transaction to its commit and return its value.

        It sees what it would see if it ran alone, and may be run again from the start. `durable`:
        when this returns, a power cut loses nothing of it. `agent`: whose rows alone it is likely
        to touch, so that it may share a commit with others'. What the body raises undoes it and is
        raised here.

        Raises:
            WorldError: nothing was committed; of STORE_UNSURE alone nobody knows.
        """

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        """Run a body that only reads; it sees one state, and never waits for writers.

        Raises:
            WorldError: the store does not work now.
        """


class Line(Protocol):
    """Carries short texts between the processes of one fleet; any of them may be lost."""

    def connected(
        self, heard: Callable[[str], None], ended: Callable[[], None]
    ) -> AbstractAsyncContextManager[Callable[[Sequence[str]], Awaitable[None]]]:
        """Hear what is said, oneself included, while inside; gives what says texts to all.

        `ended` is called when the line is found broken while nothing is said. Saying nothing checks
        that the others can still be reached. Both raise `WorldError` when they cannot.
        """


class LivingStore(Store, Protocol):
    """A store together with what keeps it going; whoever only runs transactions takes `Store`."""

    async def until_failed(self) -> None:
        """Return once nothing works until `recover`."""

    async def recover(self) -> None:
        """Make it work again.

        Raises:
            WorldError: it still fails.
        """

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        """Do what the engine needs now and then; return how many rows went, by setting.

        Raises:
            WorldError: it did not work now; the next time it may.
        """

    def line(self) -> Line | None:
        """Return what reaches other replicas; None where there can be none."""

    async def close(self) -> None:
        """Let go of it; harmless when repeated."""


def fetch(name: str, *values: Scalar) -> Tx[Sequence[Row]]:
    """Ask one query; return its rows."""
    return (yield Query(name, values))


def fetch_one(name: str, *values: Scalar) -> Tx[Row | None]:
    """Ask one query; return its first row, None when there is none."""
    rows = yield Query(name, values)
    return rows[0] if rows else None


def execute(name: str, *values: Scalar) -> Tx[None]:
    """Run one statement for its effect."""
    yield Query(name, values)


def fetch_together(queries: Sequence[Query]) -> Tx[Sequence[Row]]:
    """Run statements that do not build on each other; return the rows of the last one."""
    return (yield Together(tuple(queries)) if len(queries) > 1 else queries[0])


def execute_many(name: str, rows: Iterable[tuple[Scalar, ...]]) -> Tx[None]:
    """Run one statement for each row of parameters."""
    yield Many(name, tuple(rows))
