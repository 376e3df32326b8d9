"""The coordinator's store on both engines, for tests that hold for each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from coordinator.core.ports import Row, fetch
from coordinator.store.postgres import PostgresStore
from coordinator.store.sqlite import SqliteStore
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
    store._statements["asked"] = statement  # type: ignore[index]  # a test asks what nobody else may
    return list(await store.read(lambda: fetch("asked", *values)))


async def tell(store: AnyStore, statement: str, *values: Any) -> list[Row]:
    """Change anything."""
    store._statements["told"] = statement  # type: ignore[index]  # a test does what nobody else may
    return list(await store.run(lambda: fetch("told", *values), durable=False))
