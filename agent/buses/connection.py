"""One life of a link, from open to lost, on whatever asyncio transport.

Owns matching what comes in to the one request that waits for it, and knows when the line was last
busy. Leaves out whose turn it is and what happens after a fault (`agent.buses.line`).
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from agent.core.ports import FrameDecoder
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
            self._answer.set_result(frame)

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
        self, request: bytes, decoder: FrameDecoder[T], *, sending_s: float, timeout_s: float
    ) -> T:
        """Send a frame and return the answer; `timeout_s` counts from the frame's last byte.

        Raises:
            SilentError: no complete answer in time.
            RefusedError: what came can never become the answer.
            ConnectionError: the link was lost.
        """
        if self._transport is None:
            raise ConnectionError("lost before the request")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._answer, self._decoder, self._heard = answer, decoder, 0
        self._busy_until = self._loop.time() + sending_s
        timer = self._loop.call_later(sending_s + timeout_s, self._expire, answer)
        self._transport.write(request)
        try:
            return await answer
        finally:
            timer.cancel()
            self._answer = self._decoder = None

    def _until(self, silence_s: float, give_up: float) -> float:
        return min(self._busy_until + silence_s, give_up) - self._loop.time()

    def _expire(self, answer: "asyncio.Future[Any]") -> None:
        if not answer.done():
            answer.set_exception(SilentError(self._heard))

    def abort(self) -> None:
        """Drop the link without waiting."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Drop the link and wait until the transport let go of it."""
        self.abort()
        await self._closed
