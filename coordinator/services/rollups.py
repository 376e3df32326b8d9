"""The loop that places boots in true time and keeps rollups up to date with the stored blocks.

Works off orders in steps of many agents: one look for blocks, one thread that computes, a few small
transactions. So a contact waits behind milliseconds of it at most, memory holds some megabytes of
blocks, and a restart repeats the last step. Agents have their turns: whose blocks touch more hours
than a step takes goes on when the others had theirs. Blocks are decoded here for the first time: a
contact is acknowledged for their checksums. Leaves out the arithmetic
(`coordinator.services.rolling`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.core.ports import Store, Tx
from coordinator.core.rollup import Minutes
from coordinator.services.bell import Bell
from coordinator.services.rolling import Decoded, Planned, Rest, add, fold_all, plan
from coordinator.transactions.retime import walk_boots
from coordinator.transactions.rollup_writes import Folded, end_orders, folded, write_hours
from coordinator.transactions.rollups import (
    Due,
    Ground,
    due_work,
    ground_of,
    grounds_of,
    oldest_order,
)
from coordinator.transactions.unreadable import set_aside_unreadable
from shared import limits
from shared.clock import Clock, WallMs
from shared.ids import AgentId
from shared.runtime.logs import Events

_log = Events(__name__)

LOOK_S = 60
"""Longest sleep: another process may have taken in blocks (a stick, a second coordinator)."""

COLLECT_S = 0.5
"""After little work, until the next look, at most: one costs nearly as much for a block as for some
dozens, and contacts that come all the time would otherwise be looked for one by one."""

FOLLOW_S = 1.0
"""While there is work, how often another process is told so, and asked how far it has come."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The last write of a step, which takes its orders off."""

    agents: frozenset[AgentId]
    """Whose orders these are: they are seen until then, and done."""
    body: Callable[[], Tx[None]]


class Rollups:
    """A service; `lag_s` is what its metrics show."""

    name = "rollups"

    def __init__(self, store: Store, clock: Clock, bell: Bell) -> None:
        self._store, self._clock, self.bell = store, clock, bell
        self.waiting_since_ms: int | None = None
        """When the oldest block came whose readings are in no rollup yet."""
        self._looked_ms = clock.mono_ms()
        self._collect_s = 0.0
        self._ending: Ending | None = None
        self._last = ""
        """Whose turn it was: the agents after it are next."""
        self._walked, self._walks = "", 0
        """Whose boots were placed again, and how often in a row somebody's were."""
        self._begun: dict[AgentId, Rest] = {}
        """Of each agent the order that a piece was taken of. A restart begins with its first."""

    def lag_s(self) -> float:
        """Return for how many seconds the oldest block has waited to be rolled up; 0: none does."""
        if self.waiting_since_ms is None:
            return 0.0
        return max(0.0, (self._clock.wall_ms() - self.waiting_since_ms) / 1000)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.step():
                if self._collect_s:
                    self.waiting_since_ms = await self._store.read(oldest_order)
                    await asyncio.sleep(self._collect_s)
            await self.bell.wait(LOOK_S)

    async def follow(self, ring: Callable[[], object]) -> None:
        """Keep `lag_s` true until cancelled, and tell who does the work of new blocks."""
        while True:
            self.waiting_since_ms = await self._store.read(oldest_order)
            if self.waiting_since_ms is None:
                await self.bell.wait(LOOK_S)
            else:
                await asyncio.sleep(FOLLOW_S)
            ring()

    async def step(self) -> bool:
        """Do some of what is due; tell whether anything was.

        Where there is more, the last write waits for the next step, which decodes meanwhile:
        contacts hold the database as often as not.
        """
        ending, self._ending = self._ending, None
        busy = ending.agents if ending else frozenset()
        after_walks = self._walks >= limits.RETIME_TURNS
        work = await self._store.read(partial(due_work, busy, self._last, after_walks=after_walks))
        self.waiting_since_ms = work.since_ms
        looked_ms, self._looked_ms = self._looked_ms, self._clock.mono_ms()
        self._collect_s = collect_s(len(work.orders), (self._looked_ms - looked_ms) / 1000)
        if work.has_walks:
            self._collect_s = 0.0
        now_ms, decoded = self._clock.wall_ms(), Decoded()
        planning = asyncio.to_thread(plan, work.orders, decoded, self._begun)
        planned, had_ending = await asyncio.gather(planning, self._end(ending))
        if work.has_walks and not work.orders:
            await self._walk(now_ms)
        elif work.orders:
            self._walks = 0
            ending = await roll_up(self._store, planned, decoded, now_ms)
            if not planned.is_all:
                self._collect_s = 0.0
                await self._end(ending)
            elif self._collect_s:
                await self._end(ending)
            else:
                self._ending = ending
            self._next_turn(planned)
        return work.has_walks or bool(work.orders) or had_ending

    async def _walk(self, now_ms: WallMs) -> None:
        """Place some boots again; where none can be, it is at once the turn of the orders."""
        body = partial(walk_boots, now_ms, self._walked)
        walked = await self._store.run(body, durable=False)
        self._walked = walked or self._walked
        self._walks = self._walks + 1 if walked else limits.RETIME_TURNS

    def _next_turn(self, planned: Planned) -> None:
        """Note how far the orders went whose hours are written, or are about to be."""
        for one in planned.orders:
            self._begun.pop(one.agent, None)
        if planned.last is not None:
            self._last = planned.last
            if planned.rest is not None:
                self._begun[planned.last] = planned.rest

    async def _end(self, ending: Ending | None) -> bool:
        """Write what is left of a step; tell whether anything is.

        Durable by its place in the log: minutes that were lost with the power are ordered by rows
        that came back with it.
        """
        if ending is None:
            return False
        await self._store.run(ending.body, durable=False)
        return True


def collect_s(orders: int, since_s: float) -> float:
    """Return for how long to collect orders: until there is a step's worth, at the rate they come.

    Args:
        orders: found now, all that there are.
        since_s: since the look before this one, which left none.

    >>> collect_s(0, 60), collect_s(3, 0.5), collect_s(32, 0.05), collect_s(64, 0.05)
    (0.0, 0.5, 0.1, 0.0)
    """
    if not 0 < orders < limits.ROLLUP_AGENTS:
        return 0.0
    return min(COLLECT_S, since_s * limits.ROLLUP_AGENTS / orders)


async def roll_up(store: Store, planned: Planned, decoded: Decoded, now_ms: WallMs) -> Ending:
    """Compute every minute that was planned; return what writes the last and ends the orders."""
    hours, orders, unreadable = planned.hours, planned.orders, planned.unreadable
    found: list[Folded] = []
    while hours:
        grounds = await store.read(partial(grounds_of, hours))
        hours = hours[len(grounds) :]
        found += await _fold_some(store, grounds, decoded)
        while (size := _fitting(found)) < len(found):
            await store.run(partial(write_hours, found[:size]), durable=False)
            found = found[size:]
    for one in unreadable:
        await _set_aside(store, one, now_ms)
    settled = {one.number for one in unreadable}
    waiting = [
        one.number
        for one in orders
        if one.data and not one.is_readable and one.number not in settled
    ]
    left = set(waiting)
    done = [one.number for one in orders if one.number not in left]
    agents = frozenset(one.agent for one in orders)
    return Ending(agents, partial(end_orders, found, done, waiting))


async def _fold_some(store: Store, grounds: Sequence[Ground], decoded: Decoded) -> list[Folded]:
    whole = [one for one in grounds if one.after is None]
    found = await asyncio.to_thread(fold_all, whole, decoded)
    for one in grounds:
        if one.after is not None:
            found.append(await _fold_long(store, one, decoded))
    return found


async def _fold_long(store: Store, ground: Ground, decoded: Decoded) -> Folded:
    """Return the minutes of an hour whose blocks had no room at once."""
    hour, stored = ground.hour, ground.stored
    minutes = Minutes(hour.hour_ms, hour.minutes)
    await asyncio.to_thread(add, [(ground, minutes)], decoded)
    while ground.after is not None:
        ground = await store.read(partial(ground_of, hour, ground.after, {}, limits.ROLLUP_BYTES))
        await asyncio.to_thread(add, [(ground, minutes)], decoded)
    (one,) = await asyncio.to_thread(lambda: folded([(hour, minutes.buckets(), stored)]))
    return one


def _fitting(found: Sequence[Folded]) -> int:
    """Return how many parts go into one transaction: one at least."""
    series = 0
    for size, one in enumerate(found):
        series += max(1, sum(map(len, one.found)))
        if series > limits.ROLLUP_SERIES and size:
            return size
    return len(found)


async def _set_aside(store: Store, order: Due, now_ms: WallMs) -> None:
    """Put a block aside that was acknowledged for its checksum and says nothing, and tell."""
    assert order.data is not None, "what is gone was not decoded"
    body = partial(
        set_aside_unreadable, order.agent, order.epoch, order.seq, order.data, now_ms=now_ms
    )
    await store.run(body, durable=True)
    _log.event(
        "block_unreadable",
        level=logging.WARNING,
        agent=order.agent,
        seq=order.seq,
        mend="its bytes are kept aside; look at the program that made them",
    )
