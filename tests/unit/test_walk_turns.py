"""No agent's boots, placed again and again, keep rollups or the boots of others waiting."""

from functools import partial

import pytest

from coordinator.core.rollup import HOUR_MS, MINUTE_S
from coordinator.services.bell import Bell
from coordinator.services.rollups import Rollups
from coordinator.transactions.retime import walk_boots
from shared import limits
from shared.clock import ClockState, MonoMs, WallMs
from shared.wire.messages import Anchor
from tests.agent_parts import HandClock
from tests.readings_office import (
    BOOT,
    NOW,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    rolled,
    rows,
    settle_times,
)
from tests.stores import ENGINES, open_store

BOOTED = NOW // HOUR_MS * HOUR_MS - 5 * HOUR_MS
"""True time at mono 0."""


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        for agent in ("one", "two"):
            await add_agent(opened, agent)
        yield opened


async def bring_unsynced(store, agent, count):
    """Blocks of a clock that is a day behind, one in each minute."""
    said = {"clock_state": ClockState.UNSYNCED, "err_ms": 0}
    for seq in range(1, count + 1):
        mono_ms = 60_000 * seq
        wall_ms = BOOTED - 24 * HOUR_MS + mono_ms
        times = {"mono_ms": MonoMs(mono_ms), "wall_ms": WallMs(wall_ms)}
        await bring(store, block(seq, group([wall_ms], [1.5]), **said, **times), agent=agent)


async def anchored(store, agent, err_ms):
    """A contact with an anchor whose error is so large."""
    await bring(store, agent=agent, anchors=[Anchor(BOOT, 0, WallMs(BOOTED), err_ms)])


async def walked(store, last="", *, size=256):
    return await store.run(partial(walk_boots, NOW, last, size=size), durable=False)


async def ready(store):
    found = await rows(store, "SELECT agent_id, count(*) FROM rollup_due GROUP BY agent_id")
    return dict(found)


async def test_boots_that_begin_again_and_again_leave_rollups_their_turn(store, monkeypatch):
    monkeypatch.setattr(limits, "RETIME_TURNS", 3)
    await bring_unsynced(store, "one", 2)
    await bring(store, block(1, group([NOW], [1.5])), agent="two")
    loop, left = Rollups(store, HandClock(), Bell()), []
    for step in range(5):
        await anchored(store, "one", 9_000 - step)
        assert await loop.step()
        left.append(len(await rolled(store, MINUTE_S, agent="two")))
    assert left == [0, 0, 0, 0, 1], "the last write of a step waits for the next one"


async def test_agents_have_turns_to_be_placed(store):
    await bring_unsynced(store, "one", 3)
    await bring_unsynced(store, "two", 1)
    await settle_times(store)
    turns = [""]
    await anchored(store, "two", 9_000)
    for step in range(3):
        await anchored(store, "one", 9_000 - step)
        turns.append(await walked(store, turns[-1], size=1))
    assert turns == ["", "one", "two", "one"]


async def test_who_has_too_much_to_be_rolled_up_is_placed_afterwards(store, monkeypatch):
    monkeypatch.setattr(limits, "RETIME_ORDERS", 3)
    await bring_unsynced(store, "one", 3)
    await bring_unsynced(store, "two", 2)
    await settle_times(store)
    for agent in ("one", "two"):
        await anchored(store, agent, 9_000)
    assert await walked(store) == "two"
    assert await ready(store) == {"one": 3, "two": 2 + 4}
    assert await walked(store, "two") == ""
    loop = Rollups(store, HandClock(), Bell())
    assert [await loop.step() for _ in range(10)][-1] is False
    assert await ready(store) == {}
    assert await rows(store, "SELECT count(*) FROM retime") == [(0,)]
    for agent, count in (("one", 3), ("two", 2)):
        found = await rolled(store, MINUTE_S, agent=agent)
        assert sorted(at_ms - BOOTED for _, _, at_ms in found) == [
            60_000 * seq for seq in range(1, count + 1)
        ]


async def test_a_smaller_error_alone_is_nothing_to_roll_up_again(store):
    await bring_unsynced(store, "one", 2)
    for err_ms in (9_000, 500):
        await anchored(store, "one", err_ms)
        await settle_times(store)
        expected = {"one": 2 * 3} if err_ms == 9_000 else {}
        assert await ready(store) == expected
        await roll_everything_up(store)
    errors = await rows(store, "SELECT DISTINCT err_ms / 100 FROM block")
    assert errors == [(5,)]
