"""The loop that places boots in true time and keeps rollups up to date with the stored blocks.

Works off orders in small steps: reads some blocks, computes in a thread, writes one hour at a
time. So a contact waits behind milliseconds of it at most, memory holds some minutes of one agent,
and a restart repeats the last step. Leaves out the arithmetic (`coordinator.core.rollup`).
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from coordinator.core.ports import Store
from coordinator.core.rollup import Minutes, minutes_touched
from coordinator.services.bell import Bell
from coordinator.transactions.readings import load_schema
from coordinator.transactions.retention import raw_gone_before
from coordinator.transactions.retime import has_walks, walk_boots
from coordinator.transactions.rollups import (
    After,
    Due,
    PlacedBlock,
    blocks_in,
    due_batch,
    oldest_order,
    settle_orders,
    write_minutes,
)
from shared import limits
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.clock import Clock
from shared.ids import AgentId
from shared.model.reading import SchemaRef

LOOK_S = 60
"""Longest sleep: another process may have taken in blocks (a stick, a second coordinator)."""

FOLLOW_S = 1.0
"""While there is work, how often another process is told so, and asked how far it has come."""


class Rollups:
    """A service; `lag_s` is what its metrics show."""

    name = "rollups"

    def __init__(self, store: Store, clock: Clock, bell: Bell) -> None:
        self._store, self._clock, self._bell = store, clock, bell
        self.waiting_since_ms: int | None = None
        """When the oldest block came whose readings are in no rollup yet."""

    def lag_s(self) -> float:
        """Return for how many seconds the oldest block has waited to be rolled up; 0: none does."""
        if self.waiting_since_ms is None:
            return 0.0
        return max(0.0, (self._clock.wall_ms() - self.waiting_since_ms) / 1000)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.step():
                pass
            await self._bell.wait(LOOK_S)

    async def follow(self, ring: Callable[[], object]) -> None:
        """Keep `lag_s` true until cancelled, and tell who does the work of new blocks."""
        while True:
            self.waiting_since_ms = await self._store.read(oldest_order)
            if self.waiting_since_ms is None:
                await self._bell.wait(LOOK_S)
            else:
                await asyncio.sleep(FOLLOW_S)
            ring()

    async def step(self) -> bool:
        """Do some of what is due; tell whether anything was."""
        if await self._store.read(has_walks):
            now_ms = self._clock.wall_ms()
            await self._store.run(partial(walk_boots, now_ms), durable=False)
            return True
        batch = await self._store.read(partial(due_batch, limits.ROLLUP_ORDERS))
        if batch is not None:
            await roll_up(self._store, batch.agent, batch.orders)
        self.waiting_since_ms = await self._store.read(oldest_order)
        return batch is not None


async def roll_up(store: Store, agent: AgentId, orders: Sequence[Due]) -> None:
    """Compute every minute that some orders of one agent touch, then take the orders off."""
    readable = [(one.data, one.shift_ms) for one in orders if one.data and one.is_readable]
    touched = await asyncio.to_thread(_touched, readable)
    schemas: dict[SchemaRef, Schema | None] = {}
    gone_ms = await store.read(partial(raw_gone_before, agent))
    # What was computed from readings that retention took away cannot be computed again.
    for hour_ms in sorted(hour_ms for hour_ms in touched if hour_ms >= gone_ms):
        await _roll_hour(store, agent, hour_ms, touched[hour_ms], schemas)
    waiting = [one.number for one in orders if one.data and not one.is_readable]
    done = [one.number for one in orders if not one.data or one.is_readable]
    # Last, and durable by its place in the log: minutes that were lost with the power are ordered
    # by rows that came back with it.
    await store.run(partial(settle_orders, done, waiting), durable=False)


async def _roll_hour(
    store: Store,
    agent: AgentId,
    hour_ms: int,
    wanted: set[int],
    schemas: dict[SchemaRef, Schema | None],
) -> None:
    minutes = Minutes(hour_ms, frozenset(wanted))
    start_ms = hour_ms + min(wanted) * 60_000
    end_ms = hour_ms + (max(wanted) + 1) * 60_000
    after: After | None = After()
    while after is not None:
        body = partial(blocks_in, agent, start_ms, end_ms, after, size=limits.READING_BLOCKS)
        blocks, after = await store.read(body)
        await _learn(store, agent, blocks, schemas)
        known = [(schema, one) for one in blocks if (schema := schemas[one.schema]) is not None]
        if known:
            await asyncio.to_thread(_add, minutes, known)
    found = await asyncio.to_thread(minutes.buckets)
    await store.run(partial(write_minutes, agent, hour_ms, wanted, found), durable=False)


async def _learn(
    store: Store,
    agent: AgentId,
    blocks: Sequence[PlacedBlock],
    schemas: dict[SchemaRef, Schema | None],
) -> None:
    for ref in {one.schema for one in blocks} - schemas.keys():
        data = await store.read(partial(load_schema, agent, ref))
        schemas[ref] = None if data is None else Schema.decode(data)


def _touched(blocks: Sequence[tuple[bytes, int]]) -> dict[int, set[int]]:
    touched: dict[int, set[int]] = {}
    for data, shift_ms in blocks:
        for hour_ms, minutes in minutes_touched(decode(data).groups, shift_ms).items():
            touched.setdefault(hour_ms, set()).update(minutes)
    return touched


def _add(minutes: Minutes, blocks: Sequence[tuple[Schema, PlacedBlock]]) -> None:
    for schema, one in blocks:
        minutes.add(schema, decode(one.data).groups, one.shift_ms, one.sureness)
