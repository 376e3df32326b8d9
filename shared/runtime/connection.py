"""The thread that a connection to SQLite lives in, by aiosqlite.

Owns what aiosqlite has no public name for. Leaves out who may use it when (`db`), and the set-up of
the connection (`sqlite`).
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

from shared.runtime.group_commit import Manner

T = TypeVar("T")


class Connection(aiosqlite.Connection):
    """aiosqlite with a whole function per thread hop, and a thread that can be waited for."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=1)
        self.manner = Manner()

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run ``function(sqlite3 connection, *arguments)`` in the connection's thread.

        aiosqlite has no public way to do so; tests fail when these private names move.
        """
        result: T = await self._execute(function, self._connection, *arguments)  # type: ignore[no-untyped-call]  # aiosqlite leaves it untyped
        return result

    def spare_the_process(self) -> None:
        """Let the process end although nobody closed this: a kill is what SQLite is made for."""
        self._thread.daemon = True

    def join(self) -> None:
        """Wait, after close(), until the thread has let go of the file."""
        self._thread.join()
