"""One life of a link, from open to lost, on whatever asyncio transport.

Owns matching what comes in to the one request that waits for it, and knows when the line was last
busy. Leaves out whose turn it is and what happens after a fault (`agent.buses.line`).
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from agent.core.patient import Patient
from agent.core.ports import FrameDecoder
from agent.core.talk import Talk
from shared.errors import RefusedError

T = TypeVar("T")

_STEPS_OF_THE_LOOP = 2
"""A task that yields once still runs before the callbacks of what has just become readable."""


class SilentError(Exception):
    """No answer in time; `heard` tells silence from noise."""

    def __init__(self, heard: int) -> None:
        self.heard = heard
        super().__init__()


class Connection(asyncio.Protocol):
    """A protocol for asyncio's transports: ask and wait, and notice when the link is lost."""

    def __init__(self, on_lost: "Callable[[Connection, str], None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._on_lost = on_lost
        self._transport: asyncio.WriteTransport | None = None
        self._decoder: FrameDecoder[Any] | None = None
        self._answer: asyncio.Future[Any] | None = None
        self._heard = 0
        self._answered = 0
        self._pace = (0.0, 0.0)
        self._timer: asyncio.TimerHandle | None = None
        self._busy_until = self._loop.time()

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.WriteTransport), "a port can be written to"
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Feed whoever waits; what nobody waits for is stale and dropped."""
        self._busy_until = max(self._busy_until, self._loop.time())
        if self._answer is None or self._answer.done() or self._decoder is None:
            return
        self._heard += len(data)
        try:
            frame = self._decoder.feed(data)
        except RefusedError as error:
            self._answer.set_exception(error)
            return
        if frame is not None:
            if isinstance(self._decoder, Talk):
                # All of it was answered, so it has left: USB consoles are faster than they say.
                self._busy_until = self._loop.time()
            self._answer.set_result(frame)
        elif isinstance(self._decoder, Talk):
            self._go_on(self._decoder, self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits, and tell the owner."""
        self._transport = None
        text = str(exc) if exc else "the other side closed it"
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(text))
        if not self._closed.done():
            self._closed.set_result(None)
        self._on_lost(self, text)

    # --- for the line ----------------------------------------------------------------------------

    @property
    def lost(self) -> bool:
        """Tell whether there is nothing left to write to."""
        return self._transport is None or self._transport.is_closing()

    async def quiet(self, silence_s: float, patience_s: float) -> None:
        """Wait until nothing was on the line for `silence_s`, at most `patience_s`.

        What arrived meanwhile, or lies unread in the machine, is dropped as stale.
        """
        give_up = self._loop.time() + patience_s
        for _ in range(_STEPS_OF_THE_LOOP):
            await asyncio.sleep(0)
        wait_s = self._until(silence_s, give_up)
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = self._until(silence_s, give_up)

    async def ask(
        self,
        request: bytes,
        decoder: FrameDecoder[T],
        *,
        seconds_per_byte: float,
        timeout_s: float,
    ) -> T:
        """Send a frame and return the answer; `timeout_s` counts from the frame's last byte.

        Where a decoder has more to send (`Talk`), it counts anew from each answer.

        Raises:
            SilentError: no complete answer in time.
            RefusedError: what came can never become the answer.
            ConnectionError: the link was lost.
        """
        if self._transport is None:
            raise ConnectionError("lost before the request")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._answer, self._decoder, self._heard = answer, decoder, 0
        self._answered, self._pace = 0, (seconds_per_byte, timeout_s)
        self._busy_until = self._loop.time()
        self._send(request)
        if isinstance(decoder, Talk):
            for frame in decoder.following():
                self._send(frame)
        self._await(answer)
        try:
            return await answer
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._answer = self._decoder = self._timer = None

    def _go_on(self, talk: Talk, answer: "asyncio.Future[Any]") -> None:
        """Send what an answer made room for, and wait for the next one."""
        for frame in talk.following():
            self._send(frame)
        if talk.answered != self._answered:
            self._answered = talk.answered
            self._await(answer, talk.next_wait_ms / 1000 if isinstance(talk, Patient) else 0.0)

    def _send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._busy_until = max(self._busy_until, self._loop.time())
            self._busy_until += len(frame) * self._pace[0]
            self._transport.write(frame)

    def _await(self, answer: "asyncio.Future[Any]", least_s: float = 0.0) -> None:
        """Give up when nothing came long enough after the last byte left."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(
            self._busy_until + max(self._pace[1], least_s), self._expire, answer
        )

    def _until(self, silence_s: float, give_up: float) -> float:
        return min(self._busy_until + silence_s, give_up) - self._loop.time()

    def _expire(self, answer: "asyncio.Future[Any]") -> None:
        if answer.done():
            return
        decoder: object = self._decoder
        if isinstance(decoder, Patient) and decoder.overdue():
            for frame in decoder.following():
                self._send(frame)
            self._await(answer, decoder.next_wait_ms / 1000)
        else:
            answer.set_exception(SilentError(self._heard))

    def abort(self) -> None:
        """Drop the link without waiting."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Drop the link and wait until the transport let go of it."""
        self.abort()
        await self._closed
