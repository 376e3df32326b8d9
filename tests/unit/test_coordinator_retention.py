"""What is over its time goes, rollups stay, and one agent cannot fill the disk for all."""

from functools import partial

import pytest

from coordinator.core.retention import DEFAULTS, keeping_of, parse_setting, show_setting
from coordinator.core.rollup import DAY_MS, HOUR_MS, HOUR_S, MINUTE_S
from coordinator.services.retention import Retention
from coordinator.transactions.blocks import store_blocks
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.retention import count_excess, load_keeping, save_keeping
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState
from shared.wire.messages import Receipt
from tests.readings_office import (
    AGENT,
    NOW,
    VirtualClock,
    add_agent,
    block,
    bring,
    group,
    incoming,
    report,
    roll_everything_up,
    rolled,
    rows,
)
from tests.stores import ENGINES, open_store

OLD = NOW - 401 * DAY_MS


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        await add_agent(opened)
        yield opened


def at(seq, time_ms, *, rows=2, **changes):
    times = [time_ms + 1000 * row for row in range(rows)]
    return block(seq, group(times, [1.5 * row for row in range(rows)]), **changes)


async def keep(store, **settings):
    values = [(name.replace("_", "."), value) for name, value in settings.items()]
    body = partial(save_keeping, values, actor="me", now_ms=NOW)
    await store.run(body, durable=False)


async def fired(store, numbers, *, now_ms=NOW):
    """History of a standing job, a firing an hour."""
    told = [
        Receipt(
            *(number, b"x" * 16, "", ExecutionState.SUCCEEDED, 1, 0, now_ms),
            firing_ms=number * 3_600_000,
            last_ms=number * 3_600_000,
            count=1,
        )
        for number in numbers
    ]
    body = partial(reconcile_receipts, AGENT, b"J" * 16, told, now_ms=now_ms)
    await store.run(body, durable=False)


async def apply(store):
    return await Retention(store, VirtualClock()).round(pause_s=0)


async def stored(store):
    return [seq for (seq,) in await rows(store, "SELECT seq FROM block ORDER BY seq")]


async def test_readings_go_after_400_days_and_their_hours_stay(store):
    await bring(store, at(1, OLD), at(2, NOW - 399 * DAY_MS))
    await roll_everything_up(store)
    hours = await rolled(store, HOUR_S)
    assert (await apply(store))["raw.2"] == 1
    assert await stored(store) == [2]
    assert await rolled(store, HOUR_S) == hours
    assert len(await rolled(store, MINUTE_S)) == 1


async def test_a_dry_run_counts_what_would_go_and_takes_nothing(store):
    await bring(store, at(1, OLD, rows=3), at(2, NOW))
    await roll_everything_up(store)
    raw, minutes = await store.read(partial(count_excess, NOW))
    assert (raw.setting, raw.rows, raw.readings) == ("raw.2", 1, 3)
    assert (minutes.setting, minutes.rows) == ("1m", 1)
    assert await stored(store) == [1, 2]
    dropped = await apply(store)
    assert dropped == {"raw.2": 1, "1m": 1}
    assert await store.read(partial(count_excess, NOW)) == []


async def test_settings_that_are_only_tried_count_and_are_not_kept(store):
    await bring(store, at(1, NOW - 2 * DAY_MS), at(2, NOW))
    await roll_everything_up(store)
    assert await store.read(partial(count_excess, NOW)) == []
    tried = [parse_setting("raw.2=1d", where="--set")]
    (raw,) = await store.read(partial(count_excess, NOW, tried))
    assert (raw.setting, raw.rows) == ("raw.2", 1)
    assert (await store.read(partial(load_keeping, tried))).values["raw.2"] == tried[0][1]
    assert (await store.read(load_keeping)).values["raw.2"] == DEFAULTS["raw.2"]
    assert await apply(store) == {}


async def test_nothing_goes_that_is_in_no_rollup_yet(store):
    await bring(store, at(1, OLD))
    assert await apply(store) == {}
    await roll_everything_up(store)
    assert (await apply(store))["raw.2"] == 1


async def test_a_late_block_for_a_time_that_is_gone_leaves_its_hours_alone(store):
    await bring(store, at(1, OLD, rows=5))
    await roll_everything_up(store)
    hours = await rolled(store, HOUR_S)
    await apply(store)
    await bring(store, at(2, OLD, rows=1))
    await roll_everything_up(store)
    assert await rolled(store, HOUR_S) == hours
    assert await rolled(store, MINUTE_S) == {}, "the next hour would be of these alone"


async def test_late_readings_are_rolled_up_though_newer_ones_went_before(store):
    """Newest and oldest take turns, as after months without a link."""
    await keep(store, raw_2=30 * DAY_MS)
    days = [(40, 90), (50, 80), (35,)]
    for some in days:
        await bring(store, *(at(100 - day, NOW - day * DAY_MS) for day in some))
        await roll_everything_up(store)
        await apply(store)
    assert await stored(store) == []
    found = [(NOW - key[2] + HOUR_MS) // DAY_MS for key in await rolled(store, HOUR_S)]
    assert sorted(found) == [35, 40, 50, 80, 90]


async def test_readings_are_rolled_up_though_those_of_another_priority_went_before(store):
    await keep(store, raw_0=7 * DAY_MS)
    await bring(store, at(9, NOW - 10 * DAY_MS, priority=0))
    await roll_everything_up(store)
    assert (await apply(store))["raw.0"] == 1
    times = [NOW - day * DAY_MS for day in (30, 20, 10)]
    await bring(store, *(at(seq, time + 60_000, rows=4) for seq, time in enumerate(times, 1)))
    await roll_everything_up(store)
    assert await stored(store) == [1, 2, 3]
    found = await rolled(store, HOUR_S)
    assert [found[key].count for key in sorted(found, key=lambda key: key[2])] == [4, 4, 6]


async def test_a_block_that_goes_on_in_a_minute_that_others_left_counts_in_it(store):
    begins = (NOW - 20 * DAY_MS) // HOUR_MS * HOUR_MS
    await keep(store, raw_0=7 * DAY_MS)
    await bring(store, at(9, NOW - 10 * DAY_MS, priority=0))
    await roll_everything_up(store)
    await apply(store)
    for seq in (1, 2):
        await bring(store, block(seq, group([begins + seq * 1000], [float(seq)])))
        await roll_everything_up(store)
        await roll_everything_up(store)
    (one,) = [one for key, one in (await rolled(store, MINUTE_S)).items() if key[2] == begins]
    assert (one.count, one.low, one.high) == (2, 1.0, 2.0)


@pytest.mark.parametrize("values", [[2.0] * 9, [1.0] * 9, [1.5, 9.0], [0.5] * 2])
async def test_other_readings_do_not_take_the_place_of_those_that_are_gone(store, values):
    """`raw.2` took the minute's readings; what comes then has not all of them."""
    begins = OLD // HOUR_MS * HOUR_MS
    await keep(store, **{"1m": 500 * DAY_MS})
    await bring(store, block(1, group([begins, begins + 1, begins + 2], [1.0, 2.0, 1.5])))
    await roll_everything_up(store)
    before = await rolled(store, MINUTE_S), await rolled(store, HOUR_S)
    assert await apply(store) == {"raw.2": 1}
    await bring(store, block(2, group([begins + 9 + row for row in range(len(values))], values)))
    await roll_everything_up(store)
    assert (await rolled(store, MINUTE_S), await rolled(store, HOUR_S)) == before


async def test_a_late_block_for_an_hour_whose_minutes_are_gone_is_added_to_its_other_blocks(store):
    begins = (NOW - 40 * DAY_MS) // HOUR_MS * HOUR_MS
    await keep(store, **{"1m": 30 * DAY_MS})
    await bring(store, block(1, group([begins + 60_000 * row for row in range(30)], [10.0] * 30)))
    await bring(store, at(2, begins + HOUR_MS))
    await roll_everything_up(store)
    before = await rolled(store, HOUR_S)
    assert (await apply(store))["1m"] == 2
    await bring(store, block(3, group([begins + 60_000 * 31], [50.0])))
    await roll_everything_up(store)
    late, other = sorted((await rolled(store, HOUR_S)).items(), key=lambda item: item[0][2])
    assert (late[1].count, late[1].low, late[1].high) == (31, 10.0, 50.0)
    assert other[1] == before[other[0]]
    assert len(await rolled(store, MINUTE_S)) == 31, "until retention comes again"


async def test_a_bound_of_bytes_takes_the_oldest_of_its_priority(store):
    await bring(store, *(at(seq, NOW - (9 - seq) * DAY_MS) for seq in range(1, 9)))
    await bring(store, at(9, NOW - 300 * DAY_MS, priority=0))
    await roll_everything_up(store)
    ((size,),) = await rows(store, "SELECT sum(length(data)) FROM block WHERE priority = 2")
    await keep(store, raw_2_bytes=size // 2)
    await apply(store)
    assert await stored(store) == [5, 6, 7, 8, 9]
    totals = "SELECT priority, count(*), sum(length(data)) FROM block GROUP BY 1 ORDER BY 1"
    kept = "SELECT priority, sum(blocks), sum(bytes) FROM block_total GROUP BY 1 ORDER BY 1"
    assert await rows(store, totals) == await rows(store, kept)


async def test_over_its_quota_an_agent_waits_for_tomorrow_and_loses_nothing(store):
    await add_agent(store, "other")
    first, second, third = at(1, NOW), at(2, NOW + 5_000), at(3, NOW + 9_000, priority=0)
    await keep(store, quota=len(first) + len(second) - 1)
    said = await bring(store, first, second, third)
    assert said.acked == [(1, 1), (3, 3)], "an alarm has room of its own"
    assert said.nacked == []
    assert said.refused == {Reason.STORE_QUOTA: 1}
    left_s = (DAY_MS - NOW % DAY_MS) // 1000 + 1
    assert said.next_s == left_s
    assert (await bring(store, first, agent="other")).acked == [(1, 1)]
    tomorrow = NOW + left_s * 1000
    later = await bring(store, second, now_ms=tomorrow)
    assert (later.acked, later.next_s) == ([(2, 2)], 0)


async def test_bytes_of_the_day_are_counted_over_contacts(store):
    first, second = at(1, NOW), at(2, NOW + 5_000)
    await keep(store, quota=len(first) + len(second) - 1)
    assert (await bring(store, first)).acked == [(1, 1)]
    assert (await bring(store, second)).acked == []


@pytest.mark.parametrize(
    ("count", "apart_ms", "cost"),
    [(24, HOUR_MS, 24 * 64), (24, 2 * HOUR_MS, 24 * 64), (900, 1, 1_800)],
)
async def test_a_block_counts_for_what_it_costs_however_few_bytes_it_has(
    store, count, apart_ms, cost
):
    await add_agent(store, "other")
    data = block(1, group([NOW + apart_ms * row for row in range(count)], [1.5] * count))
    assert len(data) < 50
    await keep(store, quota=cost - 1)
    assert (await bring(store, data)).refused == {Reason.STORE_QUOTA: 1}
    await keep(store, quota=cost)
    assert (await bring(store, data, agent="other")).acked == [(1, 1)]


async def test_what_contradicts_in_a_quarantine_is_kept_up_to_a_bound_and_then_left_there(
    store, monkeypatch
):
    monkeypatch.setattr(limits, "BLOCKS_APART", 2)
    await bring(store, at(1, NOW))
    for number in range(4):
        other = at(1, NOW + 60_000 * (number + 1))
        body = partial(
            store_blocks,
            AgentId(AGENT),
            report([other]),
            [incoming(other)],
            [],
            now_ms=WallMs(NOW),
            quarantined=True,
        )
        said = await store.run(body, durable=False)
        assert said.acked == ([(1, 1)] if number < 2 else [])
        assert said.nacked == []
    assert await rows(store, "SELECT count(*) FROM block_aside") == [(2,)]


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("raw.0=30d", ("raw.0", 30 * DAY_MS)),
        ("1m=forever", ("1m", 0)),
        ("raw.2.bytes=10GB", ("raw.2.bytes", 10_000_000_000)),
        ("quota=unlimited", ("quota", 0)),
    ],
)
def test_settings_are_read_as_people_write_them(text, setting):
    assert parse_setting(text, where="--set") == setting
    assert f"{setting[0]}={show_setting(*setting)}" == text


@pytest.mark.parametrize("text", ["raw.3=4d", "1m=64MB", "quota=4d", "1m=0d", "1m=", "aside=-1d"])
def test_what_is_no_setting_gets_a_sentence(text):
    with pytest.raises(MistakeError) as caught:
        parse_setting(text, where="--set")
    assert caught.value.mend


def test_what_nobody_set_is_the_default_and_unknown_names_are_none():
    assert keeping_of({"raw.1": 5, "later": 7}).values == {**DEFAULTS, "raw.1": 5}


async def test_history_of_standing_jobs_goes_when_its_time_is_over(store):
    await fired(store, [1], now_ms=WallMs(OLD))
    await fired(store, [2])
    (excess,) = await store.read(partial(count_excess, NOW))
    assert (excess.setting, excess.rows) == ("history", 1)
    assert await apply(store) == {"history": 1}
    assert await rows(store, "SELECT number FROM firing") == [(2,)]


async def test_of_one_standing_job_only_the_newest_history_stays(store, monkeypatch):
    monkeypatch.setattr(limits, "FIRINGS_KEPT", 3)
    await fired(store, [4, 2, 5])
    await fired(store, [1, 3])
    assert await rows(store, "SELECT number FROM firing ORDER BY number") == [(3,), (4,), (5,)]
