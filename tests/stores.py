"""The coordinator's store on both engines, for tests that hold for each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from coordinator.core.ports import Row, fetch
from coordinator.store.postgres import PostgresStore
from coordinator.store.sqlite import SqliteStore
from shared.runtime.queries import for_sqlite
from tests.postgres_parts import database

ENGINES = ("sqlite", "postgres")
AnyStore = SqliteStore | PostgresStore


@asynccontextmanager
async def open_store(engine: str, folder: Path) -> AsyncIterator[AnyStore]:
    """A new store with a schema and nothing in it."""
    if engine == "sqlite":
        async with await SqliteStore.open(folder / "coordinator.db") as store:
            yield store
    else:
        async with database() as url, await PostgresStore.open(url) as store:
            yield store


async def ask(store: AnyStore, statement: str, *values: Any) -> list[Row]:
    """Ask anything."""
    _learn(store, statement)
    return list(await store.read(lambda: fetch("told", *values)))


async def tell(store: AnyStore, statement: str, *values: Any) -> list[Row]:
    """Change anything."""
    _learn(store, statement)
    return list(await store.run(lambda: fetch("told", *values), durable=False))


def _learn(store: AnyStore, statement: str) -> None:
    """Give a store a statement that nobody else may run, in the form that it takes."""
    told = {"told": statement}
    store._statements = {
        **store._statements,
        **(for_sqlite(told) if isinstance(store, SqliteStore) else told),
    }
