"""Listens at some addresses, at one port, for a few connections at a time.

Owns the sockets and a task for each connection, all of which end with `close`. asyncio's own server
owns none: what it accepted while it was closed is answered by nobody until its peer gives up, and
with several addresses each has another port. Who asks for what is `agent.services.sharing`'s.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

_BACKLOG: Final = 8
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one connection until it returns, or the connection fails."""


class Listener:
    """Sockets of one service; IPv4."""

    def __init__(self, serve: Serve, *, most: int, limit: int, failed: Callable[[], None]) -> None:
        """Wire it up.

        Args:
            serve: what to do with a connection.
            most: connections at a time; more are closed at once.
            limit: bytes that a reader holds at most until it finds what it looks for.
            failed: called when nothing can be accepted any more; `close` it then.
        """
        self._serve, self._most, self._limit, self._failed = serve, most, limit, failed
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Tell whether anybody is listened to."""
        return bool(self._sockets)

    def open(self, addresses: Sequence[str]) -> int:
        """Listen; return the port, one that is free at all of them.

        Raises:
            OSError: there is none, or an address is not this machine's.
        """
        loop, port = asyncio.get_running_loop(), 0
        for address in addresses:
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._sockets.append(one)
            one.bind((address, port))
            one.listen(_BACKLOG)
            port = one.getsockname()[1]
            loop.add_reader(one, self._accept, one)
        return port

    async def close(self) -> None:
        """Stop listening and break off what is being served; harmless when repeated."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # it went as it came
        except OSError:
            # No descriptors are left, say: it would be tried again for ever.
            asyncio.get_running_loop().remove_reader(listening)
            self._failed()
            return
        if len(self._tasks) >= self._most:
            connection.close()
            return
        connection.setblocking(False)  # noqa: FBT003 - it takes no name
        task = asyncio.create_task(self._attend(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # One that is cancelled before it begins has closed nothing.
        task.add_done_callback(lambda _: connection.close())

    async def _attend(self, connection: socket.socket) -> None:
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=self._limit)
            await self._serve(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or never asked
        finally:
            if writer is not None:
                # What a peer does not read is not waited for.
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
