"""``/v1/agents/{agent}/gaps``: what of an agent's readings is not here, and why."""

from functools import partial

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.contract.gaps import GapsQuery, GapsView
from coordinator.transactions.gap_map import view_gaps
from shared.ids import AgentId


async def get_gaps(call: Call, agent: str, query: GapsQuery) -> GapsView:
    """Return which blocks an agent made, which are here, missing or given up, and what was lost."""
    await check_sight(call, agent)
    now_ms = call.parts.clock.wall_ms()
    body = partial(view_gaps, AgentId(agent), days=query.days, slices=query.slices, now_ms=now_ms)
    return await call.parts.store.read(body)
