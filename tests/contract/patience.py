"""How long a test waits for a device: long where an answer comes, and shortly where none will.

Owns both times, setting them by unit, and giving up in the moment that a test means instead of
after a while. Leaves out how the agent waits (`agent.core.patience`, `agent.buses.line`).
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from agent.core.patience import Patience

T = TypeVar("T")

PATIENT_MS = 10_000
"""Where an answer will come: a busy machine must not turn it into silence."""
HASTY_MS = 40
"""Where no answer will come."""


def waited_for(bus: Any, *units: int, ms: int = PATIENT_MS) -> None:
    """Wait so long for these units; for all others as long as the port's settings say."""
    bus._patience |= {unit: Patience(fixed_ms=ms) for unit in units}


def has_heard(bus: Any) -> int:
    """Return how many bytes came that are no whole answer yet."""
    return bus._connection._heard if bus._connection else 0


def give_up(bus: Any) -> None:
    """End the wait for an answer as its time would; nothing where nobody waits."""
    connection = bus._connection
    if connection is not None and connection._answer is not None:
        connection._expire(connection._answer)


async def given_up(bus: Any, asked: "asyncio.Task[T]", *, when: Callable[[], object]) -> T:
    """Return what was asked for, given up once it is so, unless it ended before."""
    while not asked.done() and not when():
        await asyncio.sleep(0)
    give_up(bus)
    return await asked


async def heard_out(bus: Any, asked: "asyncio.Task[T]") -> T:
    """Return what was asked for, given up once bytes came that are no answer."""
    return await given_up(bus, asked, when=lambda: has_heard(bus))
