"""The agent's own socket: how `outstation-agent status` asks a running agent.

A word a line is asked, a JSON object a line is answered; only the agent's user can connect. After
some words the connection is theirs: they answer as they like (`agent.services.stick_door`). Owns
the agent's side. Leaves out what the answers contain, and the asking (`agent.services.ask`).
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from agent.services.ask import short_name

Command = Callable[[], Awaitable[msgspec.Struct]]
Talk = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Takes the connection over; given what stood behind the word."""

_REQUEST_BYTES = 4_096
_TIMEOUT_S = 5


class Control:
    """The service that answers on the socket."""

    name = "control"

    def __init__(
        self,
        path: Path,
        commands: Mapping[str, Command],
        talks: Mapping[str, Talk] | None = None,
    ) -> None:
        self._path, self._commands, self._talks = path, commands, talks or {}

    async def run(self) -> None:
        """Answer until cancelled."""
        listener = _listen(self._path)
        try:
            # Not yet serving: a stop within the start would leave the loop watching a descriptor
            # that is closed, and blind to the next one of the same number.
            server = await asyncio.start_unix_server(
                self._serve, sock=listener, limit=_REQUEST_BYTES, start_serving=False
            )
            async with server:
                await server.serve_forever()
        finally:
            listener.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
            word, _, rest = line.decode("ascii", "replace").strip().partition(" ")
            if talk := self._talks.get(word):
                await talk(rest, reader, writer)
                return
            async with asyncio.timeout(_TIMEOUT_S):
                writer.write(await self._answer(line) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked is gone, or never said what
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, line: bytes) -> bytes:
        name = line.decode("ascii", "replace").strip()
        command = self._commands.get(name)
        if command is None:
            known = ", ".join(sorted({*self._commands, *self._talks}))
            return msgspec.json.encode({"error": f"there is no {name[:40]!r}; known: {known}"})
        return msgspec.json.encode(await command())


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The data directory is locked: a socket that is there belongs to an agent that was killed.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Linux gives the file the descriptor's mode: at no moment can others connect.
        os.fchmod(listener.fileno(), 0o600)
        with short_name(path) as name:
            listener.bind(name)
        return listener
    except BaseException:
        listener.close()
        raise
