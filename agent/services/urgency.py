"""Seals readings that cannot wait, and tells the uplink about alarms.

Owns the waiting. One timer, set by the first such reading: an agent whose points are all routine
never wakes up for it. Leaves out what is due when (`agent.core.urgency`) and what a contact does.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from agent.core.urgency import Deadlines
from shared.clock import Clock
from shared.ids import DeviceId


class Sealing(Protocol):
    """The part of a store that a hurry needs."""

    async def hasten(self) -> bool:
        """Make durable blocks of the open readings that are not routine; tell whether they are.

        It never raises.
        """


class Urgency:
    """The service behind priorities 0 and 1."""

    name = "urgency"

    def __init__(self, store: Sealing, *, clock: Clock, nudge: Callable[[], None]) -> None:
        """Seal in `store`; `nudge` is called once an urgent block is there to be sent."""
        self._store, self._clock, self._nudge = store, clock, nudge
        self._deadlines = Deadlines()
        self._changed = asyncio.Event()

    def note(self, priority: int, device: DeviceId) -> None:
        """Take note of a row that was recorded."""
        if self._deadlines.note(priority, device, self._clock.mono_ms()):
            self._changed.set()

    async def run(self) -> None:
        """Seal until cancelled."""
        while True:
            await self._until_due()
            # First of all: what is recorded while the disk is at work is not part of it.
            urgent = self._deadlines.sealed(self._clock.mono_ms())
            if not await self._store.hasten():
                self._deadlines.refused(urgent, self._clock.mono_ms())
            elif urgent:
                self._nudge()

    async def _until_due(self) -> None:
        """Return once something is due; a row may bring the moment nearer."""
        while True:
            self._changed.clear()
            due_ms = self._deadlines.next_due()
            now_ms = self._clock.mono_ms()
            if due_ms is not None and due_ms <= now_ms:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due_ms is None else (due_ms - now_ms) / 1000):
                    await self._changed.wait()
