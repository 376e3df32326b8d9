"""A bell at a running coordinator's door: another process tells it to look at the database again.

The command line writes to the database of a coordinator that runs. What that one keeps in memory
it reads again when the bell is rung: a named pipe in the data directory, so that nothing polls and
nobody without access to the directory can ring. A ring says nothing; it may be lost or be one too
many. Replicas ring each other's bells through `coordinator.services.hints`. Leaves out what is read
again.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.errors import MistakeError

_READ_BYTES = 4_096


class Bell:
    """The ringing end's counterpart: lets one task wait for the next ring."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._others: Callable[[], None] | None = None

    def pass_on(self, others: Callable[[], None]) -> None:
        """Call `others` at each `ring`, for this bell's like at other replicas."""
        self._others = others

    def ring(self) -> None:
        """Let `wait` return, and the same at other replicas."""
        if self._others is not None:
            self._others()
        self._rung.set()

    def ring_here(self) -> None:
        """Let `wait` return in this process."""
        self._rung.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait for a ring, or until the time is over; rings meanwhile count as one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()

    @contextlib.contextmanager
    def hung_at(self, path: Path) -> Iterator[None]:
        """Be rung by other processes while inside.

        Raises:
            MistakeError: there is something else under that name.
            OSError: the pipe cannot be made.
        """
        _make(path)
        # For writing too: a pipe whose last writer left would be readable for ever.
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        loop = asyncio.get_running_loop()

        def on_ring() -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(descriptor, _READ_BYTES)
            self._rung.set()

        loop.add_reader(descriptor, on_ring)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def ring(path: Path) -> bool:
    """Tell the coordinator behind `path` to look again; False when none runs there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # A full pipe has been rung enough.
        with contextlib.suppress(BlockingIOError):
            os.write(descriptor, b"!")
    finally:
        os.close(descriptor)
    return True


def _make(path: Path) -> None:
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise MistakeError(
                "is not the pipe that this program puts there", where=str(path), mend="remove it"
            ) from None
