"""Requests are listened for: at a TLS port, or in plain HTTP behind a proxy on this machine.

Owns the socket and aiohttp's life behind the door. Leaves out which address (`coordinator.listen`),
the door itself (`coordinator.api.door`), routes and their guard (`coordinator.api.server`) and TLS
itself (`coordinator.keys.tls`).
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from coordinator.api.context import Parts
from coordinator.api.door import KEEPALIVE_S, Door
from coordinator.api.server import BadRequests, build_application
from coordinator.listen import Listen
from shared import limits
from shared.errors import MistakeError

LINGER_S = 2
"""After a refusal, how long the rest of the body is read away so that the client sees why."""
BACKLOG = 1_024
"""Connections that wait to be accepted: a fleet comes back from an outage all at once."""
_SOCKET_MODE = 0o660
"""Of a Unix socket: whoever may reach it speaks for the proxy."""


@asynccontextmanager
async def listening(parts: Parts, listen: Listen, context: ssl.SSLContext) -> AsyncIterator[str]:
    """Answer requests while inside; gives the URL.

    Raises:
        MistakeError: the address is taken, or none of this machine's.
    """
    logger = logging.getLogger("coordinator.http")
    if not logger.filters:
        logger.addFilter(BadRequests())
    runner = web.AppRunner(
        build_application(parts, behind_proxy=listen.behind_proxy),
        # A gateway that hangs up must not leave its wait behind.
        handler_cancellation=True,
        access_log=None,
        logger=logger,
        # Decompressing what nobody asked for only serves bombs.
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_S,
        lingering_time=LINGER_S,
        shutdown_timeout=limits.DRAIN_S,
    )
    await runner.setup()
    assert runner.server is not None, "a runner that was set up has one"
    door = Door(parts, runner.server, behind_proxy=listen.behind_proxy)
    try:
        opened = await _open(door, listen, context)
        try:
            yield _url(opened, listen)
        finally:
            opened.close()
    finally:
        # Both at once: what aiohttp does first wakes the contacts that are held at the door.
        async with asyncio.TaskGroup() as group:
            group.create_task(runner.cleanup())
            group.create_task(door.close())


async def _open(door: Door, listen: Listen, context: ssl.SSLContext) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        if listen.socket is not None:
            opened = await loop.create_unix_server(door, listen.socket, backlog=BACKLOG)
            listen.socket.chmod(_SOCKET_MODE)
            return opened
        tls = None if listen.behind_proxy else context
        return await loop.create_server(door, listen.host, listen.port, ssl=tls, backlog=BACKLOG)
    except OSError as error:
        raise MistakeError(
            f"cannot listen on {listen.socket or f'{listen.host} port {listen.port}'} "
            f"({error.strerror})",
            where="--listen",
            mend="choose another address or stop who has this one",
        ) from error


def _url(opened: asyncio.Server, listen: Listen) -> str:
    """Return the URL of what was opened."""
    if listen.socket is not None:
        return f"unix:{listen.socket}"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    scheme = "http" if listen.behind_proxy else "https"
    return f"{scheme}://{host}:{opened.sockets[0].getsockname()[1]}"
