"""What long-running commands share: the ready line, waiting for a signal, talking to a person."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.errors import MistakeError


def say(text: str) -> None:
    """Tell the person, on standard error: standard output is for the ready line."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def serve_until_told(where: str, ready_fd: int | None, failed: asyncio.Future[None]) -> None:
    """Print `ready WHERE`, then wait for SIGINT, SIGTERM or for trouble."""
    async with _told_to_stop() as told:
        _say_ready(where, ready_fd)
        waiter = asyncio.ensure_future(told.wait())
        try:
            await asyncio.wait((waiter, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()


@asynccontextmanager
async def _told_to_stop() -> AsyncIterator[asyncio.Event]:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _say_ready(where: str, ready_fd: int | None) -> None:
    line = f"ready {where}\n"
    sys.stdout.write(line)
    sys.stdout.flush()
    if ready_fd is not None:
        try:
            os.write(ready_fd, line.encode())
            os.close(ready_fd)
        except OSError as error:
            raise MistakeError(f"cannot write to --ready-fd {ready_fd}: {error.strerror}") from None
