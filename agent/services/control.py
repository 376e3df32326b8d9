"""The agent's own socket: how `outstation-agent status` asks a running agent.

One JSON object a line, asked and answered; only the agent's user can connect. Owns the socket on
both sides. Leaves out what the answers contain.
"""

import asyncio
import contextlib
import hashlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from shared.runtime.logs import Events

Command = Callable[[], Awaitable[msgspec.Struct]]

_REQUEST_BYTES = 4_096
_ANSWER_BYTES = 1 << 20
"""A status with every bus and device; each is about 200 bytes."""
_TIMEOUT_S = 5
_log = Events(__name__)


def socket_path(runtime_dir: Path, data_dir: Path) -> Path:
    """Return where the agent of `data_dir` listens; several may share a runtime directory."""
    name = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:12]
    return runtime_dir / f"agent-{name}.sock"


class Control:
    """The service that answers on the socket."""

    name = "control"

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path, self._commands = path, commands

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
            known = ", ".join(sorted(self._commands))
            return msgspec.json.encode({"error": f"there is no {name[:40]!r}; known: {known}"})
        return msgspec.json.encode(await command())


def ask(path: Path, command: str) -> bytes | None:
    """Return a running agent's answer, None when none answers there. Blocks for seconds at most."""
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(_TIMEOUT_S)
        with _short(path) as name:
            connection.connect(name)
        connection.sendall(command.encode() + b"\n")
        while len(answer) < _ANSWER_BYTES and (data := connection.recv(65_536)):
            answer += data
            if answer.endswith(b"\n"):
                return bytes(answer)
    return None


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The data directory is locked: a socket that is there belongs to an agent that was killed.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Linux gives the file the descriptor's mode: at no moment can others connect.
        os.fchmod(listener.fileno(), 0o600)
        with _short(path) as name:
            listener.bind(name)
        return listener
    except BaseException:
        listener.close()
        raise


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a name of the path that fits into the 108 bytes of sockaddr_un, however long it is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
