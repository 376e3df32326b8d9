"""No agent's blocks keep the rollups of the others waiting, however many hours they have."""

from functools import partial

import pytest

from coordinator.core.rollup import HOUR_MS, HOUR_S, MINUTE_S
from coordinator.services import rolling
from coordinator.services.bell import Bell
from coordinator.services.rolling import Decoded, plan
from coordinator.services.rollups import Rollups
from coordinator.transactions.rollups import due_work
from shared import limits
from shared.block.codec import decode_groups
from shared.model.reading import Quality
from tests.agent_parts import HandClock
from tests.readings_office import (
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

BEGINS = NOW // HOUR_MS * HOUR_MS


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        for agent in ("one", "two", "zoe"):
            await add_agent(opened, agent)
        yield opened


def hourly(seq, count, *, begins_ms=BEGINS):
    times = [begins_ms + HOUR_MS * at for at in range(count)]
    return block(seq, group(times, [1.5] * count))


async def turns(store, loop):
    """Work everything off; return whose orders were left after each step."""
    left: list[str] = []
    while len(left) < 20 and await loop.step():
        found = await rows(store, "SELECT DISTINCT agent_id FROM rollup_due ORDER BY agent_id")
        left.append("".join(agent[0] for (agent,) in found))
    return left


async def counts(store, agent, width_s=HOUR_S):
    found = await rolled(store, width_s, agent=agent)
    return [found[key].count for key in sorted(found, key=lambda key: key[2])]


async def test_a_block_of_many_hours_goes_on_when_the_others_had_their_turn(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 4)
    await bring(store, hourly(1, 10), agent="one")
    await bring(store, hourly(1, 6), agent="two")
    await bring(store, hourly(1, 2), agent="zoe")
    await settle_times(store)
    assert await turns(store, Rollups(store, HandClock(), Bell())) == [
        *("otz", "otz", "ot"),  # a piece of each, and all of the last
        *("ot", "ot", ""),  # four more of the first, then all that is left together
    ]
    for agent, hours in (("one", 10), ("two", 6), ("zoe", 2)):
        assert await counts(store, agent) == [1] * hours
        assert await counts(store, agent, MINUTE_S) == [1] * hours


async def test_blocks_of_one_agent_without_end_leave_the_others_their_turn(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_ORDERS", 2)
    monkeypatch.setattr(limits, "ROLLUP_AGENTS", 2)
    for seq in range(1, 9):
        await bring(store, hourly(seq, 1, begins_ms=BEGINS + seq * HOUR_MS), agent="one")
    await bring(store, hourly(1, 1), agent="two")
    await settle_times(store)
    left = await turns(store, Rollups(store, HandClock(), Bell()))
    assert left.index("o") <= 2 < left.index(""), left
    assert await counts(store, "one") == [1] * 8


async def test_a_piece_that_is_repeated_by_another_process_changes_nothing(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 3)
    await bring(store, hourly(1, 8), hourly(2, 8, begins_ms=BEGINS + 60_000), agent="one")
    await settle_times(store)
    loop = Rollups(store, HandClock(), Bell())
    for _ in range(4):
        assert await loop.step()
    await roll_everything_up(store)
    assert await counts(store, "one") == [2] * 8
    assert not await loop.step()


async def test_a_block_that_moves_while_its_pieces_are_computed_is_where_it_belongs(
    store, monkeypatch
):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 3)
    await bring(store, hourly(1, 8), agent="one")
    await settle_times(store)
    loop = Rollups(store, HandClock(), Bell())
    assert await loop.step()
    await bring(store, hourly(2, 2, begins_ms=BEGINS + 1_000), agent="one")
    await turns(store, loop)
    assert await counts(store, "one") == [2, 2, 1, 1, 1, 1, 1, 1]


async def planned(store):
    await settle_times(store)
    return plan((await store.read(partial(due_work, frozenset()))).orders, Decoded(), {})


async def test_an_hour_of_many_channels_counts_as_several(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 4)
    monkeypatch.setattr(limits, "ROLLUP_HOUR_CHANNELS", 2)
    times = [BEGINS + HOUR_MS * at for at in range(5)]
    columns = [[1.5] * 5] * 3
    await bring(store, block(1, group(times, *columns)), agent="one")
    found = await planned(store)
    assert [hour.hour_ms for hour in found.hours] == times[:2]
    assert (found.rest.hour_ms, found.orders) == (times[2], [])


async def test_blocks_of_the_same_hours_count_once(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_HOURS", 5)
    for seq in range(1, 10):
        await bring(store, hourly(seq, 5, begins_ms=BEGINS + seq * 60_000), agent="one")
    found = await planned(store)
    assert found.is_all
    assert (len(found.orders), len(found.hours)) == (9, 5)


async def test_a_block_of_many_hours_is_decoded_once_for_all_of_them(store, monkeypatch):
    monkeypatch.setattr(limits, "ROLLUP_CELLS", 0)
    seen = []

    def counted(data):
        seen.append(data)
        return decode_groups(data)

    monkeypatch.setattr(rolling, "decode_groups", counted)
    await bring(store, hourly(1, 20), agent="one")
    await roll_everything_up(store)
    assert len(seen) == 2, "to see which hours it has, and to compute them"
    assert await counts(store, "one") == [1] * 20


async def test_a_block_of_rows_without_readings_costs_no_more_than_its_readings(store):
    times = [BEGINS + HOUR_MS * at for at in range(20)]
    values = [{3: 1.5, 9: 2.5}.get(at) for at in range(20)]
    marks = bytes([0] * 12 + [Quality.BAD_COMM] + [0] * 7)
    hollow = group(times, values, [None] * 20, qualities=[marks, bytes(20)])
    await bring(store, block(1, hollow), agent="one")
    assert [hour.hour_ms for hour in (await planned(store)).hours] == [
        times[at] for at in (3, 9, 12)
    ]
    await roll_everything_up(store)
    assert await counts(store, "one") == [1] * 3
