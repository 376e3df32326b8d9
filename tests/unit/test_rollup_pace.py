"""Rollups look for work again when a step's worth of it has come, and not for each block."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.services.bell import Bell
from coordinator.services.rollups import COLLECT_S, Rollups, collect_s
from coordinator.transactions.rollups import due_work
from shared import limits
from shared.ids import AgentId
from tests.agent_parts import HandClock
from tests.readings_office import NOW, add_agent, block, bring, group, rows, settle_times
from tests.stores import open_store

FULL = limits.ROLLUP_AGENTS


@given(st.integers(1, FULL - 1), st.floats(0.001, 10))
def test_at_the_rate_that_orders_come_a_step_is_full_after_the_pause(orders, since_s):
    pause_s = collect_s(orders, since_s)
    come = orders / since_s * pause_s
    assert 0 < pause_s <= COLLECT_S
    assert come == pytest.approx(FULL) or (come < FULL and pause_s == COLLECT_S)


@pytest.mark.parametrize("orders", [0, FULL, FULL + 9])
def test_who_found_nothing_or_too_much_for_one_step_collects_nothing(orders):
    assert collect_s(orders, 0.1) == 0.0


async def test_the_pause_follows_from_what_came_since_the_look_before(tmp_path):
    clock, pauses, seq = HandClock(), [], 0
    async with open_store("sqlite", tmp_path) as store:
        await add_agent(store)
        loop = Rollups(store, clock, Bell())
        for passed_ms, blocks in ((3_600_000, 1), (20, 8), (50, 16), (50, 0)):
            for _ in range(blocks):
                seq += 1
                await bring(store, block(seq, group([NOW + seq], [1.5])))
            await settle_times(store)
            clock.advance(passed_ms)
            assert await loop.step() == bool(blocks)
            pauses.append(loop._collect_s)
    assert pauses == [COLLECT_S, pytest.approx(0.16), pytest.approx(0.2), 0.0]


async def test_a_full_steps_last_write_waits_for_the_next_step_which_leaves_its_agents_out(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(limits, "ROLLUP_AGENTS", 1)
    async with open_store("sqlite", tmp_path) as store:
        for agent in ("one", "two"):
            await add_agent(store, agent)
            await bring(store, block(1, group([NOW], [1.5])), agent=agent)
        await settle_times(store)
        loop = Rollups(store, HandClock(), Bell())
        left = []
        while await loop.step():
            left.append(
                (len(await rows(store, "SELECT * FROM rollup_due")), loop.waiting_since_ms == NOW)
            )
            work = await store.read(partial(due_work, frozenset({AgentId("two")})))
            assert {one.agent for one in work.orders} <= {"one"}
        # Nothing is taken off before the second step has looked, and all after the third.
        assert left == [(2, True), (1, True), (0, True)]
        assert len(await rows(store, "SELECT * FROM rollup WHERE width_s = 60")) == 2
        assert loop.waiting_since_ms is None
