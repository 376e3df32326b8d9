"""PostgreSQL for a world on virtual time: a real server, asked from a thread with its own loop.

Virtual time stands still while the server works, so a world with it goes as one with SQLite does.
Owns that bridge and the world's coordinator on it. Leaves out losing connections and replicas,
which have tests of their own on real time.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar
from unittest import mock

from coordinator import place
from coordinator.core.ports import Tx
from coordinator.keys.directory import DataDirectory
from coordinator.place import Place
from coordinator.store.postgres import PostgresStore
from shared.clock import WallMs
from tests.postgres_parts import create_database, drop_database
from tests.simulation.world.centre import Centre
from tests.simulation.world.disk import Disks
from tests.simulation.world.fleet import found_in, write_fleet
from tests.simulation.world.ground import Ground

T = TypeVar("T")


class Elsewhere:
    """`coordinator.core.ports.LivingStore` on a server that virtual time knows nothing of."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="elsewhere")
        self._thread.start()
        self._store = self._wait(PostgresStore.open(url))

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()

    async def _ask(self, doing: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: self._wait(doing()))

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        return await self._ask(lambda: self._store.run(transaction, durable=durable, agent=agent))

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        return await self._ask(lambda: self._store.read(transaction))

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        return await self._ask(lambda: self._store.upkeep(now_ms))

    async def until_failed(self) -> None:
        """Never return: the server is there as long as the test."""
        await asyncio.get_running_loop().create_future()

    async def recover(self) -> None:
        """Nothing fails here."""

    def line(self) -> None:
        """There is no other replica."""

    async def close(self) -> None:
        """Disconnect and end the thread."""
        self._wait(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class CentreOnPostgres(Centre):
    """The world's coordinator with its rows on a server."""

    def __init__(self, ground: Ground, disks: Disks) -> None:
        super().__init__(ground, disks)
        self.url = ""

    @property
    def place(self) -> Place:
        directory = DataDirectory(self.folder)
        return Place(directory=directory, database=directory.database, postgres=self.url)

    async def found(self) -> None:
        """Found the fleet; then it can be started."""
        self.folder.mkdir(parents=True)
        write_fleet(self.folder)
        async with _open(None, self.url) as store:
            await found_in(store, self.clock, self.ground.entropy("founding"))

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """As that of SQLite's, with a database of its own as long as it lasts."""
        self.url = create_database()
        try:
            with super().in_force(), mock.patch.object(place, "open_store", _open):
                yield
        finally:
            drop_database(self.url)


@contextlib.asynccontextmanager
async def _open(_database: object, url: str) -> AsyncIterator[Elsewhere]:
    store = Elsewhere(url)
    try:
        yield store
    finally:
        await store.close()
