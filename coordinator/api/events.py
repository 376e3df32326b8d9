"""``/v1/events``: what happens in the fleet, listed, and streamed as Server-Sent Events."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial

import msgspec
from aiohttp import web

from coordinator.api.auth import authenticate
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.common import Page
from coordinator.contract.events import (
    EVENT_STREAM_TYPE,
    EventsQuery,
    EventView,
    Missed,
    StreamHeaders,
    StreamQuery,
)
from coordinator.core.events import Place, Subject, check_type, subject_of
from coordinator.services.waiting import Waiter
from coordinator.transactions.events import (
    NEWEST,
    Heard,
    Start,
    find_start,
    newest_place,
    read_events,
)
from shared import limits
from shared.errors import MistakeError, OutstationError
from shared.model.selector import parse_selector

_RETRY_MS = 2_000
"""How long a browser waits before it comes back."""
_SCOPE = "events:read"


async def get_events(call: Call, query: EventsQuery) -> Page[EventView]:
    """List what happened; the oldest first from `after` on, or the newest first."""
    heard = _heard(call, query.type, query.subject, query.selector)
    secret = call.parts.fleet.page_key
    scope = f"events {query.order} {query.type} {query.subject} {query.selector}"
    key = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    back = query.order == "newest"
    if key:
        txn, _, number = key.partition(" ")
        place = Place(int(txn), int(number))
    elif back:
        place = NEWEST
    else:
        place = (await call.parts.store.read(partial(find_start, query.after))).place
    body = partial(read_events, heard, place=place, size=query.page_size, back=back)
    heap = await call.parts.store.read(body)
    following = f"{heap.last.txn} {heap.last.number}".encode()
    token = page_token(following, scope=scope, secret=secret) if heap.more else None
    return Page(heap.events, token)


async def stream_events(
    call: Call, request: web.Request, query: StreamQuery, headers: StreamHeaders
) -> web.StreamResponse:
    """Send events as they happen; with `after` or ``Last-Event-ID`` first what was missed.

    Every 15 s without one a line shows that the stream lives. Who takes nothing for 20 s is cut,
    and goes on where he was when he comes back.
    """
    feed = call.parts.feed
    heard = _heard(call, query.type, query.subject, query.selector)
    if len(feed) >= limits.EVENT_STREAMS or feed.closed:
        raise ProblemError(
            Kind.UNAVAILABLE, "too many listen already", headers={"Retry-After": "10"}
        )
    known = headers.last_event_id if headers.last_event_id is not None else query.after
    with feed.listen() as waiter:
        if known is None:
            start = Start(await call.parts.store.read(newest_place))
        else:
            start = await call.parts.store.read(partial(find_start, known))
        stream = _Stream(call, request, heard, waiter)
        return await stream.run(start, known or 0, query.seconds)


class _Stream:
    """One listener's stream: what it holds in memory is one page."""

    def __init__(self, call: Call, request: web.Request, heard: Heard, waiter: Waiter) -> None:
        self._call, self._request, self._heard = call, request, heard
        self._waiter = waiter
        # The request itself was looked at just now.
        self._checked_s = self._said_s = asyncio.get_running_loop().time()
        self._response = web.StreamResponse(
            headers={
                "Content-Type": EVENT_STREAM_TYPE,
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # a proxy must not collect what is to be seen at once
            }
        )

    async def run(self, start: Start, known: int, seconds: int) -> web.StreamResponse:
        """Send until the listener goes, is cut, the time is over, or the program stops."""
        await self._response.prepare(self._request)
        opening = b"retry: %d\n\n" % _RETRY_MS
        if start.missed:
            opening += b"event: missed\ndata: " + msgspec.json.encode(Missed(known)) + b"\n\n"
        try:
            await self._send(opening)
            end = await self._follow(start.place, seconds)
        except _SlowError:
            await self._cut()
            return self._response
        except TimeoutError:
            end = "come back: a stream ends after six hours"
        except ProblemError as error:
            end = f"{error.kind.title}; come back then"
        except OutstationError as error:
            end = f"come back later: {error}"
        except ConnectionError:
            return self._response
        with contextlib.suppress(_SlowError, ConnectionError):
            await self._send(_comment(end))
        return self._response

    async def _follow(self, place: Place, seconds: int) -> str:
        parts, clock = self._call.parts, asyncio.get_running_loop().time
        ends = clock() + seconds
        while True:
            # Every event of the fleet wakes a listener, also what it may not see: whatever did.
            if clock() >= self._checked_s + limits.EVENT_BEAT_S and not await self._may_hear():
                return "come back: your token is another one now"
            body = partial(read_events, self._heard, place=place, size=limits.EVENT_PAGE)
            heap = await parts.store.read(body)
            place = heap.last
            if heap.events:
                await self._send(_lines(heap.events))
            elif clock() >= self._said_s + limits.EVENT_BEAT_S:
                # A number without data moves on where the listener will resume, and shows nothing.
                await self._send(b": nothing new\nid: %d\n\n" % max(0, place.number))
            if heap.more:
                continue
            if parts.feed.closed:
                return "come back: the coordinator stops"
            if clock() >= ends:
                return "come back: the stream's time is over"
            next_s = min(self._checked_s, self._said_s) + limits.EVENT_BEAT_S
            await self._waiter.wait(max(0.0, min(ends, next_s) - clock()))

    async def _may_hear(self) -> bool:
        """Look at the token again: whose ended meanwhile hears nothing more."""
        principal = await authenticate(self._request, self._call.parts, _SCOPE, limited=True)
        self._checked_s = asyncio.get_running_loop().time()
        return principal.limit == self._call.limit

    async def _send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(limits.EVENT_WRITE_S):
                await self._response.write(data)
        except TimeoutError:
            raise _SlowError from None
        self._said_s = asyncio.get_running_loop().time()

    async def _cut(self) -> None:
        """End the stream with a sentence behind what the listener has not taken yet."""
        said = f"cut: you took nothing for {limits.EVENT_WRITE_S} s; come back for the rest"
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(limits.EVENT_WRITE_S):
                await self._response.write(_comment(said))
                await self._response.write_eof()
                return
        if self._request.transport is not None:
            self._request.transport.abort()


class _SlowError(OutstationError):
    """The listener took nothing for too long."""


def _heard(call: Call, type_: str, subject: str, selector: str) -> Heard:
    try:
        about = subject_of(subject) if subject else Subject()
    except MistakeError as error:
        raise MistakeError(error.what, where="query.subject", mend=error.mend) from None
    return Heard(
        source=f"urn:outstation:fleet:{call.parts.fleet.fleet_id.hex()}",
        type=check_type(type_, where="query.type"),
        subject=about,
        selector=parse_selector(selector, where="query.selector") if selector else None,
        limit=call.limit,
    )


def _lines(events: Sequence[EventView]) -> bytes:
    return b"".join(
        b"id: %s\ndata: %s\n\n" % (event.id.encode(), msgspec.json.encode(event))
        for event in events
    )


def _comment(sentence: str) -> bytes:
    return f": {sentence}\n\n".encode()
