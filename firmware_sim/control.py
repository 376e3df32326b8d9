"""A unix socket that takes one command per line while a program runs, and one that asks it.

Owns the line protocol: `NAME ARG ARG`, answered with one line: `ok`, `ok {json}` or
`error: sentence`. Leaves out what the commands do.
"""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from firmware_sim.crew import Crew
from shared import limits
from shared.errors import MistakeError, Reason, WorldError

_Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
Command = Callable[[Sequence[str]], object]
"""Takes the words after the name; returns None or what JSON can show; raises MistakeError."""


@asynccontextmanager
async def serve_control(path: Path | str, commands: Mapping[str, Command]) -> AsyncIterator[None]:
    """Answer commands on a unix socket at `path` until the block is left.

    Raises:
        MistakeError: `path` is something else or cannot be created.
        WorldError: another program answers there.
    """
    place = Path(path)
    crew = Crew()
    _make_room(place)

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crew.start(_talk(reader, writer, commands), after=writer.close)

    try:
        server = await _listen(connected, place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MistakeError(
            f"cannot create {place}: {reason}", mend="choose another --control"
        ) from None
    try:
        yield
    finally:
        server.close()
        _remove(place)
        await crew.dismiss()


async def _listen(connected: _Connected, path: Path) -> asyncio.Server:
    """Return a server on a socket that only this user may open."""
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path, limit=limits.CONTROL_LINE_BYTES)
    finally:
        os.umask(mask)


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()


def _make_room(path: Path) -> None:
    """Remove the socket of a program that died; complain about anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise MistakeError(f"cannot use {path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise MistakeError(f"{path} exists and is no socket", mend="choose another --control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise MistakeError(f"cannot use {path}: {error.strerror}") from None
    raise WorldError(Reason.BUS_DOWN, f"another program already answers on {path}")


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Mapping[str, Command]
) -> None:
    try:
        while line := await reader.readline():
            writer.write(f"{_carried_out(line, commands)}\n".encode())
            await writer.drain()
    except (ConnectionError, ValueError):  # ValueError: a line over the limit
        return


def _carried_out(line: bytes, commands: Mapping[str, Command]) -> str:
    name, *words = line.decode(errors="replace").split() or [""]
    known = ", ".join(commands)
    if name not in commands:
        return f"error: there is no command {name!r}; there are {known}"
    try:
        result = commands[name](words)
    except MistakeError as mistake:
        return f"error: {mistake}"
    return "ok" if result is None else f"ok {json.dumps(result)}"


async def tell(path: Path | str, words: Sequence[str]) -> str:
    """Send one command to a running program; return its answer's line.

    Raises:
        MistakeError: the words are no command line.
        WorldError: nobody answers there.
    """
    line = " ".join(words)
    if not words or "\n" in line or len(line) >= limits.CONTROL_LINE_BYTES:
        raise MistakeError("a command is one line of words", mend="for example: stats")
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise WorldError(Reason.BUS_DOWN, f"nobody answers on {path}: {error.strerror}") from None
    try:
        writer.write(f"{line}\n".encode())
        answer = await reader.readline()
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    if not answer:
        raise WorldError(Reason.BUS_DOWN, f"the program on {path} hung up")
    return answer.decode().rstrip("\n")
