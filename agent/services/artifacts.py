"""Fetches files that jobs name, piece by piece, behind everything else that the line carries.

Owns the one download in flight and who waits for which file. A file is fetched once for all devices
and jobs; what came before a cut, a stop or a power cut is gone on with. Which bytes come next and
what an answer may be is decided in `agent.core.artifacts`; whether the line is free, by a `Gate`;
how bytes travel, by a `Source`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from agent.core.artifacts import Pace, Shut, Span, Wanted, next_span, offence, paced
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.http_answer import Head, HttpError
from agent.services.http_connection import Take
from agent.store.artifacts import Part, Shelf
from shared import limits
from shared.clock import Clock, Entropy, MonoMs
from shared.errors import OutstationError, Reason, RefusedError, WorldError
from shared.model.artifact import artifact_text
from shared.runtime.logs import Events

_READ_BYTES = 16_384
_HOPELESS = 5
"""Requests in a row that brought nothing before whoever waits is told so."""
_DISK_WAIT_MS = 60_000
_log = Events(__name__)


class Source(Protocol):
    """Where files come from."""

    async def get(self, wanted: Wanted, span: Span, take: Take) -> Delivered | LinkFailed:
        """Ask for a part of a file; `take` gets the answer as it comes, in another thread."""

    async def close(self) -> None:
        """Let go of the connection; the next request opens another."""


class Gate(Protocol):
    """Whether the line is free for what can wait."""

    def allowed(self) -> int | Shut:
        """Return how many bytes a request may bring now, or why none may be made."""

    async def charge(self, end: Delivered | LinkFailed) -> None:
        """Count what a request cost."""


class Artifacts:
    """The service that fetches; `agent.core.ports.ArtifactShelf` for actions."""

    name = "artifacts"

    def __init__(
        self,
        shelf: Shelf,
        source: Source,
        gate: Gate,
        *,
        needed: Callable[[], Awaitable[Mapping[bytes, int]]],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Wire it up.

        Args:
            shelf: where files lie.
            source: where they come from.
            gate: says when the line is free.
            needed: returns the sizes of files that open orders name, most urgent first.
            clock: of this machine.
            entropy: spreads a fleet's retries.
        """
        self._shelf, self._source, self._gate = shelf, source, gate
        self._needed, self._clock, self._entropy = needed, clock, entropy
        self._woken = asyncio.Event()
        self._waiters: dict[Wanted, asyncio.Future[Path]] = {}
        self._paces: dict[bytes, Pace] = {}
        self._here: set[bytes] = set()
        """Files that need not be looked for again."""

    def wake(self) -> None:
        """Look again: orders came, a contact ended."""
        self._woken.set()

    async def obtain(self, digest: bytes, size: int) -> Path:
        """Return a file once all of it is here; see `agent.core.ports.ArtifactShelf`."""
        wanted = Wanted(digest, size)
        path = await asyncio.to_thread(self._shelf.find, wanted)
        if path is not None:
            return path
        self._here.discard(digest)
        waiter = self._waiters.get(wanted)
        if waiter is None:
            waiter = self._waiters[wanted] = asyncio.get_running_loop().create_future()
        self.wake()
        return await asyncio.shield(waiter)

    async def run(self) -> None:
        """Fetch until cancelled."""
        try:
            while True:
                self._woken.clear()
                wait_ms = await self._look()
                if wait_ms != 0:
                    await self._source.close()
                    await self._wait(wait_ms)
        finally:
            await self._source.close()

    async def _wait(self, wait_ms: int | None) -> None:
        if wait_ms is None:
            await self._woken.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / 1000):
                await self._woken.wait()

    async def _look(self) -> int | None:
        """Do what is next; return how long to wait then, None: until something changes."""
        try:
            wants = await self._wants()
            if not wants:
                return None
            found = await self._next(wants)
        except WorldError as error:
            _log.event("artifacts_failed", level=logging.ERROR, cause=str(error))
            return _DISK_WAIT_MS
        if isinstance(found, int):
            return found
        wanted, pace = found
        allowed = self._gate.allowed()
        if isinstance(allowed, Shut):
            if not allowed.passing:
                for one in wants:
                    self._give_up(one, self._not_here(one, allowed.why))
            return allowed.wait_ms
        await self._piece(wanted, pace, allowed)
        return 0

    async def _wants(self) -> list[Wanted]:
        """Return what is wanted and not here; who waits goes first."""
        needed = await self._needed()
        self._here &= needed.keys()
        waited = {one.digest for one in self._waiters}
        self._paces = {
            one: pace for one, pace in self._paces.items() if one in needed or one in waited
        }
        wants = [*self._waiters, *(Wanted(*one) for one in needed.items())]
        missing = [one for one in dict.fromkeys(wants) if one.digest not in self._here]
        return missing[: limits.SHELF_WANTS]

    async def _next(self, wants: list[Wanted]) -> tuple[Wanted, Pace] | int:
        """Return which file is next, or how long until one may be."""
        now_ms = self._clock.mono_ms()
        waits = []
        for wanted in wants:
            pace = self._paces.setdefault(wanted.digest, Pace())
            if pace.not_before_ms > now_ms:
                waits.append(pace.not_before_ms - now_ms)
                continue
            path = await asyncio.to_thread(self._shelf.find, wanted)
            if path is None:
                return wanted, pace
            self._arrived(wanted, path)
        return min(waits, default=0) if waits else 0

    async def _piece(self, wanted: Wanted, pace: Pace, allowed: int) -> None:
        """Fetch the next piece of a file; the last one makes it whole."""
        began_ms, got = self._clock.mono_ms(), 0
        try:
            held = await asyncio.to_thread(self._shelf.held, wanted)
            if held < wanted.size:
                await asyncio.to_thread(self._shelf.make_room, wanted, list(await self._needed()))
                got = await self._fetch(wanted, next_span(held, wanted.size, pace, allowed), pace)
            if held + got == wanted.size:
                self._arrived(wanted, await asyncio.to_thread(self._shelf.finish, wanted))
                return
        except (WorldError, RefusedError) as error:
            self._put_off(wanted, error)
            return
        now_ms, fraction = self._clock.mono_ms(), self._entropy.fraction()
        took_ms = now_ms - began_ms
        after = paced(pace, got=got, took_ms=took_ms, now_ms=now_ms, fraction=fraction)
        self._paces[wanted.digest] = after

    async def _fetch(self, wanted: Wanted, span: Span, pace: Pace) -> int:
        """Ask for a span; return how many bytes came, whatever became of the rest.

        Raises:
            WorldError: the disk failed.
        """
        taker = _Taker(self._shelf, wanted, span)
        end: Delivered | LinkFailed
        try:
            async with asyncio.timeout(limits.PIECE_MOST_S):
                end = await self._source.get(wanted, span, taker.take)
        except TimeoutError:
            end = LinkFailed(fault=Fault.SILENT, detail=f"no end after {limits.PIECE_MOST_S} s")
        await self._gate.charge(end)
        if taker.trouble is not None:
            raise taker.trouble
        if isinstance(end, LinkFailed):
            await self._source.close()
            if not taker.got:
                self._note(wanted, end, pace)
        return taker.got

    def _note(self, wanted: Wanted, end: LinkFailed, pace: Pace) -> None:
        if not pace.failures:
            _log.event(
                "fetch_failed",
                level=logging.WARNING,
                artifact=artifact_text(wanted.digest),
                fault=end.fault.name.lower(),
                detail=end.detail,
            )
        if pace.failures + 1 >= _HOPELESS or end.fault is Fault.REFUSED:
            self._give_up(wanted, self._not_here(wanted, end.detail))

    def _not_here(self, wanted: Wanted, why: str) -> WorldError:
        return WorldError(
            Reason.ARTIFACT_NOT_HERE, f"{artifact_text(wanted.digest)[:19]} has not come: {why}"
        )

    def _arrived(self, wanted: Wanted, path: Path) -> None:
        self._here.add(wanted.digest)
        self._paces.pop(wanted.digest, None)
        waiter = self._waiters.pop(wanted, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(path)
        _log.event("artifact_here", artifact=artifact_text(wanted.digest), size=wanted.size)

    def _put_off(self, wanted: Wanted, error: WorldError | RefusedError) -> None:
        """Try a file again later: the disk failed, or what came was something else."""
        now_ms = self._clock.mono_ms()
        self._paces[wanted.digest] = Pace(not_before_ms=MonoMs(now_ms + _DISK_WAIT_MS))
        _log.event("artifact_failed", level=logging.ERROR, cause=str(error))
        self._give_up(wanted, error)

    def _give_up(self, wanted: Wanted, error: OutstationError) -> None:
        waiter = self._waiters.pop(wanted, None)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
            waiter.exception()  # who waited may have gone meanwhile


class _Taker:
    """Appends one answer to a file as it comes, in the exchange's thread."""

    def __init__(self, shelf: Shelf, wanted: Wanted, span: Span) -> None:
        self._shelf, self._wanted, self._span = shelf, wanted, span
        self.got = 0
        """Bytes that were written."""
        self.trouble: WorldError | None = None
        """The disk's."""

    def take(self, head: Head, stream: BinaryIO) -> None:
        """Take an answer's body; nothing of one that is something else than what was asked for.

        Raises:
            HttpError: it is, or it broke off, or the disk did not take it.
        """
        wrong = offence(head.status, head.fields, self._span, self._wanted)
        if wrong:
            raise HttpError(wrong)
        if "transfer-encoding" in head.fields:
            raise HttpError("it answers in chunks of unknown length")
        try:
            with contextlib.closing(self._shelf.open_part(self._wanted)) as part:
                self._append(head, stream, part)
        except WorldError as error:
            self.trouble = error
            raise HttpError(str(error)) from error

    def _append(self, head: Head, stream: BinaryIO, part: Part) -> None:
        if part.size != self._span.start:
            raise HttpError("another request went on with this file meanwhile")
        most = self._span.end - self._span.start
        length = head.fields.get("content-length", "")
        said = int(length[:19]) if length.isdecimal() else most
        left = min(most, said)
        while left:
            data = stream.read1(min(left, _READ_BYTES))  # type: ignore[attr-defined]  # makefile's reader is a BufferedReader
            if not data:
                raise HttpError("the answer broke off")
            part.write(data)
            self.got += len(data)
            left -= len(data)
        if said > most:
            raise HttpError("there is more than was asked for")
