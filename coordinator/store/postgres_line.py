"""How replicas on one PostgreSQL database reach each other: NOTIFY, and LISTEN.

Owns one connection outside of the pools, in no transaction: NOTIFY takes a lock of the whole server
at its commit, so it never stands in one that somebody waits for. Leaves out what is said
(`coordinator.services.hints`). A pooler has to give a session of its own to it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg

from coordinator.store.postgres_blame import blame
from coordinator.store.url import name_of
from shared import limits

_CHANNEL = "outstation"
# Texts as parameters: nobody's text becomes part of a statement. No row: a question all the same.
_SAY = "SELECT pg_notify($1, text) FROM unnest(CAST($2 AS TEXT[])) AS said (text)"


class PostgresLine:
    """`coordinator.core.ports.Line` on one database."""

    def __init__(self, url: str) -> None:
        self._url, self._name = url, name_of(url)

    @asynccontextmanager
    async def connected(
        self, heard: Callable[[str], None], ended: Callable[[], None]
    ) -> AsyncIterator[Callable[[Sequence[str]], Awaitable[None]]]:
        """Hear and say; see `coordinator.core.ports.Line.connected`.

        Raises:
            WorldError: the server cannot be reached, or not any more.
        """

        def on_hint(_connection: object, _process: int, _channel: str, text: str) -> None:
            heard(text)

        async def say(texts: Sequence[str]) -> None:
            try:
                await connection.fetch(_SAY, _CHANNEL, list(texts))
            except Exception as error:  # asyncpg's errors share no base
                raise blame(error, self._name, closed=True) from error

        try:
            connection = await asyncpg.connect(
                self._url,
                timeout=limits.POSTGRES_CONNECT_S,
                command_timeout=limits.HINT_ANSWER_S,
                server_settings={"application_name": "outstation hints"},
            )
        except Exception as error:
            raise blame(error, self._name, closed=True) from error
        try:
            connection.add_termination_listener(lambda _connection: ended())
            await self._listen(connection, on_hint)
            yield say
        finally:
            await _close(connection)

    async def _listen(
        self, connection: asyncpg.Connection, on_hint: Callable[[object, int, str, str], None]
    ) -> None:
        try:
            async with asyncio.timeout(limits.HINT_ANSWER_S):
                await connection.add_listener(_CHANNEL, on_hint)
        except Exception as error:
            raise blame(error, self._name, closed=True) from error


async def _close(connection: asyncpg.Connection) -> None:
    """Part from the server; one that does not answer is left."""
    try:
        await connection.close(timeout=limits.HINT_ANSWER_S)
    except Exception:  # noqa: BLE001  # whatever it is, the connection is of no more use
        connection.terminate()
