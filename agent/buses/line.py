"""The arbiter of one port, whatever it is made of: one exchange at a time, and what follows faults.

Owns silence between frames, timeouts, retries, reopening with a bounded pause, counters, and
knowing when an answer may still come. Leaves out whose turn it is and who is held back until then
(`turns`), how a port is opened (`serial`, `tcp`) and what a frame looks like (the drivers'
decoders).
"""

import asyncio
from abc import ABC, abstractmethod
from typing import TypeVar

from agent.buses.connection import Connection, SilentError
from agent.buses.turns import Turns
from agent.core.patience import UNKNOWN_MS, Patience
from agent.core.patient import Patient
from agent.core.ports import BusCounters, BusSettings, FrameDecoder, SlaveCounters, Urgency
from agent.core.talk import Talk
from shared import limits
from shared.errors import Reason, RefusedError, WorldError

T = TypeVar("T")


class _FaultError(WorldError):
    """A fault that another attempt may cure."""


class Line(ABC):
    """A bus (`agent.core.ports.Bus`); a subclass knows how to open its port."""

    def __init__(
        self,
        settings: BusSettings,
        *,
        seconds_per_byte: float,
        silence_s: float,
        drops_after_noise: bool = False,
        drops_when_silent: bool = False,
    ) -> None:
        """Describe the line: its speed, the pause it needs, and when its link is of no more use.

        `drops_after_noise` is for a stream that cannot find the next frame once it lost one,
        `drops_when_silent` for a network link, which may be dead without anybody telling.
        """
        self.settings = settings
        self.counters = BusCounters()
        self._seconds_per_byte = seconds_per_byte
        self._drops_after_noise = drops_after_noise
        self._drops_when_silent = drops_when_silent
        self._silence_s = max(silence_s, settings.inter_frame_ms / 1000)
        self._timeout_s = (settings.response_timeout_ms or UNKNOWN_MS) / 1000
        self._patience: dict[int, Patience] = {}
        self._turns = Turns()
        self._connection: Connection | None = None
        self._closed = False
        self._opened = 0
        self._failed_opens = 0
        self._no_poll_before_s = 0.0
        self._silent_exchanges = 0
        self._heard_s = 0.0
        self._busy_s = 0.0

    @abstractmethod
    async def _open(self, connection: Connection) -> None:
        """Connect the port to `connection`.

        Raises:
            WorldError: BUS_DOWN with a sentence for people.
        """

    async def exchange(self, request: bytes, decoder: FrameDecoder[T], *, urgency: Urgency) -> T:
        """Send a request and return the answer; see `agent.core.ports.Bus`."""
        ticket = self._turns.ticket(urgency, decoder.peer)
        repeats = decoder.repeatable and urgency is not Urgency.PROBE
        attempts = 1 + self.settings.retries if repeats else 1
        for left in reversed(range(attempts)):
            # A turn is one attempt, so that a command need not wait for a poll's retries.
            try:
                async with self._turns.turn(ticket):
                    wait_s = self._wait_s(decoder, urgency, attempts - 1 - left)
                    answer = await self._attempt(request, decoder, urgency, wait_s)
                    if left < attempts - 1:
                        # Those to the earlier attempts may still come, as many timeouts later.
                        self._turns.expect_late_answer(wait_s)
                    return answer
            except _FaultError as fault:
                if not left:
                    self._note_failure(fault.reason)
                    raise
                decoder.reset()
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Release the port; idempotent. Waiting exchanges end with BUS_DOWN."""
        self._closed = True
        if self._connection is not None:
            await self._connection.close()

    # --- one attempt -----------------------------------------------------------------------------

    def _wait_s(self, decoder: FrameDecoder[T], urgency: Urgency, attempt: int) -> float:
        """Return how long this device is waited for this time."""
        patience = self._patience_with(decoder.unit)
        if isinstance(decoder, Talk) and decoder.least_wait_ms:
            return max(decoder.least_wait_ms, patience.command_ms()) / 1000
        if urgency is Urgency.PROBE:
            return patience.probe_ms() / 1000
        if urgency is Urgency.COMMAND or not decoder.repeatable:
            return patience.command_ms() / 1000
        return patience.poll_ms(attempt) / 1000

    def _patience_with(self, unit: int) -> Patience:
        fixed_ms = self.settings.response_timeout_ms
        return self._patience.setdefault(unit, Patience(fixed_ms=fixed_ms))

    async def _attempt(
        self, request: bytes, decoder: FrameDecoder[T], urgency: Urgency, wait_s: float
    ) -> T:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            connection = await self._connected(urgency)
            await connection.quiet(self._silence_s, self._timeout_s)
            return await self._ask(connection, request, decoder, urgency, wait_s)
        finally:
            self._busy_s += loop.time() - began_s
            self.counters.busy_ms = round(self._busy_s * 1000)

    async def _ask(
        self,
        connection: Connection,
        request: bytes,
        decoder: FrameDecoder[T],
        urgency: Urgency,
        wait_s: float,
    ) -> T:
        """Put the request on the wire; every fault is counted and becomes a `WorldError`."""
        slave = self.counters.slaves.setdefault(decoder.unit, SlaveCounters())
        patience = self._patience_with(decoder.unit)
        self.counters.requests += 1
        slave.requests += 1
        sending_s = len(request) * self._seconds_per_byte
        carrying_s = decoder.answer_bytes * self._seconds_per_byte
        asked_s = asyncio.get_running_loop().time()
        try:
            answer = await connection.ask(
                request,
                decoder,
                seconds_per_byte=self._seconds_per_byte,
                timeout_s=wait_s + carrying_s,
            )
        except SilentError as silence:
            self._turns.expect_late_answer(wait_s)
            self.counters.timeouts += 1
            slave.timeouts += 1
            if urgency is Urgency.PROBE:
                patience.missed_probe()
            if silence.heard:
                self.counters.bad_frames += 1
                slave.bad_frames += 1
                detail = f"{silence.heard} bytes came, but no answer among them"
                raise _FaultError(Reason.DEVICE_BAD_FRAME, detail) from None
            detail = f"no answer within {round(wait_s * 1000)} ms"
            raise _FaultError(Reason.DEVICE_SILENT, detail) from None
        except RefusedError as error:
            self.counters.bad_frames += 1
            slave.bad_frames += 1
            if self._drops_after_noise:
                await connection.close()
            raise _FaultError(Reason.DEVICE_BAD_FRAME, error.detail) from None
        except ConnectionError as error:
            raise _FaultError(Reason.BUS_DOWN, f"{self._name}: {error}") from None
        except asyncio.CancelledError:
            self._turns.expect_late_answer(wait_s)
            raise
        self._heard_s = asyncio.get_running_loop().time()
        told = isinstance(decoder, Patient)
        if not told and (not isinstance(decoder, Talk) or not decoder.least_wait_ms):
            patience.answered(max(0.0, self._heard_s - asked_s - sending_s - carrying_s) * 1000)
        self.counters.answers += 1
        slave.answers += 1
        slave.usual_ms = patience.usual_ms
        self._silent_exchanges = 0
        return answer

    def _note_failure(self, reason: Reason) -> None:
        """Drop a link on which nobody answers any more, if the line cannot tell by itself."""
        self._silent_exchanges += reason is Reason.DEVICE_SILENT
        silent = self._silent_exchanges >= limits.BUS_SILENT_EXCHANGES
        # A learned wait may be short: a network that holds its breath for a second is not dead.
        silent_s = asyncio.get_running_loop().time() - self._heard_s
        dead = silent and silent_s >= limits.BUS_SILENT_EXCHANGES * self._timeout_s
        if self._drops_when_silent and dead:
            self._silent_exchanges = 0
            if self._connection is not None:
                self._connection.abort()

    # --- the port --------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return self.settings.url.partition("?")[0]

    async def _connected(self, urgency: Urgency) -> Connection:
        """Return a connection that works as far as anybody knows, opening the port if need be."""
        self._refuse_if_closed()
        if self._connection is not None and not self._connection.lost:
            return self._connection
        loop = asyncio.get_running_loop()
        if urgency is not Urgency.COMMAND and loop.time() < self._no_poll_before_s:
            raise WorldError(Reason.BUS_DOWN, self.counters.last_error)
        connection = Connection(self._on_lost)
        try:
            await self._open(connection)
            self._refuse_if_lost(connection)
        except WorldError as error:
            self._note_failed_open(error.detail)
            raise
        try:
            self._refuse_if_closed()
        except WorldError:
            await connection.close()
            raise
        self._connection = connection
        self._opened += 1
        self._failed_opens = self._silent_exchanges = 0
        self._heard_s = loop.time()
        self.counters.reconnects = self._opened - 1
        self.counters.up = True
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise WorldError(Reason.BUS_DOWN, f"{self._name} was closed")

    def _refuse_if_lost(self, connection: Connection) -> None:
        if connection.lost:
            raise WorldError(Reason.BUS_DOWN, f"{self._name} was lost as it opened")

    def _note_failed_open(self, detail: str) -> None:
        pause_ms = min(
            limits.BUS_RETRY_INITIAL_MS << min(self._failed_opens, 16), limits.BUS_RETRY_MAX_MS
        )
        self._failed_opens += 1
        self._no_poll_before_s = asyncio.get_running_loop().time() + pause_ms / 1000
        self.counters.last_error = detail

    def _on_lost(self, connection: Connection, why: str) -> None:
        if connection is self._connection:
            self._connection = None
            self.counters.up = False
            if not self._closed:
                self.counters.last_error = f"{self._name}: {why}"
