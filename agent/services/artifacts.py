"""Fetches files that jobs name, piece by piece, behind everything else that the line carries.

Owns the one download in flight and who waits for which file. A file is fetched once for all devices
and jobs; what came before a cut, a stop or a power cut is gone on with. Which bytes come next and
what an answer may be is decided in `agent.core.artifacts`; whether the line is free, by a `Gate`;
how bytes travel, by a `Source`; whether a neighbour gives them, or pulls first, by `Turn`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agent.core.artifacts import Pace, Shut, Span, Wanted, hopeless, next_span, paced, put_off
from agent.core.neighbours import Await, Says, TakeFrom
from agent.core.progress import Progress
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.artifacts_taker import Taker
from agent.services.http_connection import Take
from agent.services.turn import Adviser, Turn
from agent.store.artifacts import Shelf
from shared import limits
from shared.clock import Clock, Entropy
from shared.errors import OutstationError, Reason, RefusedError, WorldError
from shared.model.artifact import artifact_text
from shared.runtime.logs import Events

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


class Neighbours(Adviser, Protocol):
    """The other gateways of the site; see `agent.services.neighbourhood`."""

    @property
    def known(self) -> int:
        """Return how many there are."""

    def want(self, wants: Sequence[Wanted]) -> None:
        """Note what is on its way here; what there is of it is offered to them."""

    async def get(
        self, giver: TakeFrom, wanted: Wanted, span: Span, take: Take
    ) -> Delivered | LinkFailed:
        """Take a part of a file from one of them."""

    def altered(self, wanted: Wanted) -> None:
        """Note that what they had a part in was not what it is called."""

    async def close(self) -> None:
        """Let go of all connections."""


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
        self._own: dict[bytes, int] = {}
        """Bytes of parts that came over this line since the start, and from nobody else."""
        self.turn = Turn(shelf, clock)
        self._neighbours: Neighbours | None = None
        self.pulled = self.taken = 0
        """Bytes of files since the start: from the coordinator, and from neighbours."""
        self.waiting = 0
        """Files that are wanted and not here."""
        self._coming: tuple[bytes, Progress] | None = None

    @property
    def coming(self) -> Progress | None:
        """Return how far the file has come that was worked on last, as long as it is wanted."""
        return self._coming[1] if self._coming else None

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
                    await self._close()
                    await self._wait(wait_ms)
        finally:
            await self._close()

    @property
    def neighbours(self) -> Neighbours | None:
        """Return who is asked before the coordinator; None: nobody shares here."""
        return self._neighbours

    @neighbours.setter
    def neighbours(self, neighbours: Neighbours) -> None:
        self._neighbours = self.turn.adviser = neighbours

    async def says(self, wanted: Wanted) -> Says:
        """Return what neighbours may know of a file here."""
        return await self.turn.says(wanted, free=self._is_free(wanted))

    def _is_free(self, wanted: Wanted) -> bool:
        pace = self._paces.get(wanted.digest, Pace())
        rested = pace.not_before_ms <= self._clock.mono_ms()
        return rested and not isinstance(self._gate.allowed(), Shut)

    def given(self, digest: bytes, size: int) -> int:
        """Return how many bytes of a file neighbours gave; see `agent.core.ports.ArtifactShelf`."""
        return self._shelf.given(Wanted(digest, size))

    async def _close(self) -> None:
        await self._source.close()
        if self.neighbours is not None:
            await self.neighbours.close()

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
            if self.neighbours is not None:
                self.neighbours.want(wants)
            if not wants:
                return None
            found = await self._next(wants)
        except WorldError as error:
            _log.event("artifacts_failed", level=logging.ERROR, cause=str(error))
            return _DISK_WAIT_MS
        if isinstance(found, int):
            return found
        wanted, pace, giver = found
        if giver is not None:
            await self._piece(wanted, pace, limits.PIECE_BYTES, giver)
            return 0
        allowed = self._gate.allowed()
        if isinstance(allowed, Shut):
            if not allowed.passing:
                for one in wants:
                    self._give_up(one, self._not_here(one, allowed.why))
            if self.neighbours is None or not self.neighbours.known:
                return allowed.wait_ms
            # One of them may have it by then.
            return min(allowed.wait_ms or limits.SHARE_SLOW_LOOK_MS, limits.SHARE_SLOW_LOOK_MS)
        if await self.turn.lease(wanted):
            await self._piece(wanted, pace, allowed, None)
        return 0

    async def _wants(self) -> list[Wanted]:
        """Return what is wanted and not here; who waits goes first."""
        needed = await self._needed()
        self._here &= needed.keys()
        waited = {one.digest for one in self._waiters}
        self._paces = {
            one: pace for one, pace in self._paces.items() if one in needed or one in waited
        }
        self._own = {one: got for one, got in self._own.items() if one in self._paces}
        wants = [*self._waiters, *(Wanted(*one) for one in needed.items())]
        missing = [one for one in dict.fromkeys(wants) if one.digest not in self._here]
        self.waiting = len(missing)
        if self._coming and not any(one.digest == self._coming[0] for one in missing):
            self._coming = None
        return missing[: limits.SHELF_WANTS]

    async def _next(self, wants: list[Wanted]) -> tuple[Wanted, Pace, TakeFrom | None] | int:
        """Return which file is next and who gives it, or how long until one may be.

        None gives it: the coordinator is asked.
        """
        waits = []
        for wanted in wants:
            pace = self._paces.setdefault(wanted.digest, Pace())
            path = await asyncio.to_thread(self._shelf.find, wanted)
            if path is not None:
                self._arrived(wanted, path)
                continue
            advice = await self.turn.advice(wanted, free=self._is_free(wanted))
            if isinstance(advice, TakeFrom):
                return wanted, pace, advice
            now_ms = self._clock.mono_ms()
            if isinstance(advice, Await):
                waits.append(advice.wait_ms)
            elif pace.not_before_ms > now_ms:
                waits.append(pace.not_before_ms - now_ms)
                if why := hopeless(wanted, pace, now_ms):
                    self._give_up(wanted, RefusedError(Reason.ARTIFACT_ALTERED, why))
            else:
                return wanted, pace, None
        return min(waits, default=0)

    async def _piece(
        self, wanted: Wanted, pace: Pace, allowed: int, giver: TakeFrom | None
    ) -> None:
        """Fetch the next piece of a file; the last one makes it whole."""
        began_ms, got = self._clock.mono_ms(), 0
        mixed = giver is not None or await asyncio.to_thread(self._shelf.given, wanted) > 0
        try:
            held = await asyncio.to_thread(self._shelf.held, wanted)
            self._coming = wanted.digest, Progress(held, wanted.size)
            if held < wanted.size:
                await asyncio.to_thread(self._shelf.make_room, wanted, list(await self._needed()))
                if giver is None:
                    span = next_span(held, wanted.size, pace, allowed)
                    got = await self._fetch(wanted, span, pace)
                elif giver.held > held:
                    await self._take(wanted, giver, held, allowed)
                    return
            if held + got == wanted.size:
                self._arrived(wanted, await asyncio.to_thread(self._shelf.finish, wanted))
                return
        except RefusedError as error:
            if self._own.pop(wanted.digest, 0) < wanted.size and not mixed:
                return  # bytes of a stick, or of before a power cut: the line has the right ones
            if not mixed or self.neighbours is None:
                self._put_off(wanted, error)
                return
            self.neighbours.altered(wanted)
            return
        except WorldError as error:
            self._put_off(wanted, error)
            return
        now_ms, fraction = self._clock.mono_ms(), self._entropy.fraction()
        took_ms = now_ms - began_ms
        after = paced(pace, got=got, took_ms=took_ms, now_ms=now_ms, fraction=fraction)
        self._paces[wanted.digest] = after

    async def _take(self, wanted: Wanted, giver: TakeFrom, held: int, most: int) -> None:
        """Take the next piece from a neighbour; the last one makes the file whole.

        Raises:
            WorldError: the disk failed.
            RefusedError: ARTIFACT_ALTERED.
        """
        assert self.neighbours is not None, "somebody gives it"
        self.turn.let_go()
        span = Span(held, min(giver.held, held + most))
        taker = Taker(self._shelf, wanted, span)
        given = await asyncio.to_thread(self._shelf.given, wanted)
        # Before the first byte: one that is not noted would be believed to be the coordinator's.
        await asyncio.to_thread(self._shelf.note_given, wanted, given + span.end - span.start)
        end = await self.neighbours.get(giver, wanted, span, taker.take)
        if taker.trouble is not None:
            raise taker.trouble
        self.taken += taker.got
        # Of one that was broken off a thread may still be writing: it is noted as if all came.
        broken_off = isinstance(end, LinkFailed) and end.fault is Fault.SILENT
        if taker.got < span.end - span.start and not broken_off:
            await asyncio.to_thread(self._shelf.note_given, wanted, given + taker.got)
        if held + taker.got == wanted.size:
            self._arrived(wanted, await asyncio.to_thread(self._shelf.finish, wanted))

    async def _fetch(self, wanted: Wanted, span: Span, pace: Pace) -> int:
        """Ask for a span; return how many bytes came, whatever became of the rest.

        Raises:
            WorldError: the disk failed.
        """
        taker = Taker(self._shelf, wanted, span)
        end: Delivered | LinkFailed
        try:
            async with asyncio.timeout(limits.PIECE_MOST_S):
                end = await self._source.get(wanted, span, taker.take)
        except TimeoutError:
            detail = f"no end after {limits.PIECE_MOST_S} s"
            # Nobody hears any more what the wire carried: what came of the file is known.
            end = LinkFailed(fault=Fault.SILENT, detail=detail, down=taker.got)
        self.pulled += taker.got
        self._own[wanted.digest] = self._own.get(wanted.digest, 0) + taker.got
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
        self._own.pop(wanted.digest, None)
        self.turn.let_go(wanted)
        waiter = self._waiters.pop(wanted, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(path)
        _log.event("artifact_here", artifact=artifact_text(wanted.digest), size=wanted.size)

    def _put_off(self, wanted: Wanted, error: WorldError | RefusedError) -> None:
        """Try a file again later: the disk failed, or what came was something else."""
        self._paces[wanted.digest] = put_off(
            self._paces.get(wanted.digest, Pace()),
            altered=isinstance(error, RefusedError),
            now_ms=self._clock.mono_ms(),
            fraction=self._entropy.fraction(),
        )
        _log.event("artifact_failed", level=logging.ERROR, cause=str(error))
        self._give_up(wanted, error)

    def _give_up(self, wanted: Wanted, error: OutstationError) -> None:
        waiter = self._waiters.pop(wanted, None)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
            waiter.exception()  # who waited may have gone meanwhile
