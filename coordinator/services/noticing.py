"""A store whose every user tells, without a word of his own, that he committed an event.

Events are written deep in transactions, by deeds that are audited and by changes of executions;
whoever had to say so after each of them would forget one. So what passes through here on its way
to the store is looked at by its statement's name. Leaves out who listens
(`coordinator.services.events`).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

from coordinator.core.ports import Line, LivingStore, Together, Tx
from coordinator.store.statements import load_statements
from shared.clock import WallMs

T = TypeVar("T")

_TELLS = re.compile(r"\bINSERT INTO event\b|\bUPDATE execution\s+SET\s+state\b")
"""The second one tells through the schema's trigger."""


@cache
def telling_statements() -> frozenset[str]:
    """Return the names of the statements that may write events."""
    return frozenset(name for name, text in load_statements().items() if _TELLS.search(text))


class NoticingStore:
    """A store that calls back after each commit that may have brought an event."""

    def __init__(self, store: LivingStore, told: Callable[[], None]) -> None:
        self._store, self._told = store, told

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        """Run a transaction; see `coordinator.core.ports.Store.run`.

        Raises:
            WorldError: nothing was committed, unless it is STORE_UNSURE.
        """
        seen: set[str] = set()
        value = await self._store.run(
            lambda: _noted(transaction(), seen), durable=durable, agent=agent
        )
        if not seen.isdisjoint(telling_statements()):
            self._told()
        return value

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        """Run a body that only reads; see `coordinator.core.ports.Store.read`."""
        return await self._store.read(transaction)

    async def until_failed(self) -> None:
        """Return once nothing works until `recover`."""
        await self._store.until_failed()

    async def recover(self) -> None:
        """Make it work again."""
        await self._store.recover()

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        """Do what the engine needs now and then."""
        return await self._store.upkeep(now_ms)

    def line(self) -> Line | None:
        """Return what reaches other replicas."""
        return self._store.line()

    async def close(self) -> None:
        """Let go of it."""
        await self._store.close()


def _noted(body: Tx[T], seen: set[str]) -> Tx[T]:
    """Pass a body's queries on, and keep their names."""
    try:
        step = next(body)
        while True:
            if isinstance(step, Together):
                seen.update(query.name for query in step.queries)
            else:
                seen.add(step.name)
            step = body.send((yield step))
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        body.close()
