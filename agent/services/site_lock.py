"""The lock of the site: while somebody's hands are inside, nothing is written or switched.

Owns its file, which outlives a restart, and what a technician's words do. Reading goes on, orders
wait as HELD. A lock ends by itself: nobody drives there again because it was forgotten.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.core.moment import Moment
from agent.core.queue import Due, due_in, rebased
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.runtime.files import write_atomically
from shared.runtime.logs import Events

_log = Events(__name__)
_FILE_BYTES = 1_024


class LockAnswer(msgspec.Struct, frozen=True):
    """What `outstation-agent lock` and `unlock` are told."""

    locked_s: int
    error: str = ""


class _Kept(msgspec.Struct, frozen=True):
    boot_id: bytes
    mono_ms: int
    today_ms: int
    delay_ms: int


class SiteLock:
    """The lock of one site."""

    def __init__(self, path: Path, *, now: Callable[[], Moment]) -> None:
        """Find out whether the site is locked; a file that cannot be read locks nothing."""
        self._path, self._now = path, now
        self._due = _read(path)
        if self._due is not None:
            self._due = rebased(self._due, now())
        self._turn = asyncio.Lock()
        """The file is written and removed in the order in which it was said."""
        self.changed: Callable[[], None] = lambda: None
        """Called when the site was unlocked, or locked until another time."""

    def left_ms(self) -> int:
        """Return for how long the site stays locked; 0: it is not."""
        if self._due is None:
            return 0
        return max(0, self._due.mono_ms - self._now().mono_ms)

    async def lock(self, seconds: int) -> LockAnswer:
        """Lock the site for so long from now on, durably."""
        if not 1 <= seconds <= limits.SITE_LOCK_S:
            return LockAnswer(self._left_s(), f"a lock lasts 1 to {limits.SITE_LOCK_S} seconds")
        due = due_in(seconds * 1000, self._now())
        # From now on, however long the disk takes. Orders that waited for the end of a longer lock
        # wait for this one's.
        self._due = due
        self.changed()
        kept = _Kept(due.boot_id, due.mono_ms, due.today_ms, due.delay_ms)
        try:
            async with self._turn:
                await asyncio.to_thread(write_atomically, self._path, msgspec.json.encode(kept))
        except OSError as error:
            # It holds all the same, only not over a restart; whoever works there must know.
            return LockAnswer(self._left_s(), f"it will not outlive a restart ({error.strerror})")
        _log.event("site_locked", seconds=seconds)
        return LockAnswer(self._left_s())

    async def unlock(self) -> LockAnswer:
        """Unlock the site: orders that waited go on."""
        self._due = None
        async with self._turn:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        _log.event("site_unlocked")
        self.changed()
        return LockAnswer(self._left_s())

    async def talk_lock(
        self, rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer ``lock SECONDS``."""
        said = rest.strip()
        answer = await self.lock(int(said) if said.isdigit() and len(said) < 10 else 0)
        await _say(writer, answer)

    async def talk_unlock(
        self, rest: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer ``unlock``."""
        await _say(writer, await self.unlock())

    def _left_s(self) -> int:
        return -(-self.left_ms() // 1000)


async def _say(writer: asyncio.StreamWriter, answer: LockAnswer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


def _read(path: Path) -> Due | None:
    try:
        with path.open("rb") as file:
            kept = msgspec.json.decode(file.read(_FILE_BYTES), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    return Due(kept.boot_id, MonoMs(kept.mono_ms), WallMs(kept.today_ms), kept.delay_ms)
