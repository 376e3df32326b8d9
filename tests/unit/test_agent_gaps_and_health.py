"""What a coordinator asks for again, and how a box says how it is."""

from pathlib import Path
from typing import Any

from agent.core.health import AGAIN, Moving, Silence, health_of_queue, is_worth_telling
from agent.core.progress import Progress
from shared import limits
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.health import Health, health_of
from shared.sync.outgoing import Candidate, Freed, choose_blocks
from shared.sync.ranges import Ranges
from tests.unit.readings_world import Plant


def candidates(*numbers: int, priority: int = 2) -> list[Candidate]:
    return [Candidate(seq, priority, 1_000, b"d" * 16) for seq in numbers]


def chosen(blocks: list[Candidate], room: int, **options: Any) -> list[int]:
    budget = room * 1_050
    return [one.seq for one in choose_blocks(blocks, budget_bytes=budget, **options)]


def test_what_is_asked_for_goes_before_the_rest_of_the_backlog_and_after_the_present():
    waiting = candidates(*range(1, 10))
    assert chosen(waiting, 4) == [9, 1, 8, 2]
    assert chosen(waiting, 4, asked=Ranges.of([5, 6])) == [9, 5, 8, 6]


def test_without_a_backlog_the_newest_go():
    assert chosen(candidates(*range(1, 10)), 3, backlog=False) == [9, 8, 7]
    assert chosen([*candidates(1, 9), *candidates(4, priority=0)], 2, backlog=False) == [4, 9]


def test_alarms_between_readings_leave_no_more_gaps_than_a_coordinator_remembers():
    """Seen: after an outage with many alarms nothing was taken in any more."""
    alarms, readings = range(2, 4_000, 2), range(1, 4_000, 2)
    waiting = {one.seq: one for one in (*candidates(*alarms, priority=0), *candidates(*readings))}
    received, contacts = Ranges(), 0
    while waiting:
        gaps, contacts = len(Ranges.of(waiting)), contacts + 1
        for one in choose_blocks(list(waiting.values()), budget_bytes=10**9, gaps=gaps):
            grown = received.add(one.seq)
            assert len(grown) <= limits.RANGES
            received = grown
            del waiting[one.seq]
    assert received == Ranges(((1, 3_999),))
    assert contacts == 8, "each was full"


async def test_the_store_tells_what_is_here_and_what_never_will_be_again(tmp_path: Path):
    plant = Plant(tmp_path)
    async with plant.running() as store:
        for _ in range(3):
            await plant.record(store, 2)
            await store.seal()
        assert [one.seq for one in await store.waiting()] == [1, 2, 3]
        here, gone = await store.asked(Ranges(((2, 3), (7, 900))))
        assert ([one.seq for one in here], gone) == ([2, 3], []), "7 was never made"
        (depth,) = await store.depths()
        assert (depth.priority, depth.readings) == (2, (await store.tally()).stored)
        await store.free(Freed(Ranges.of([2]), (), 0, 0, ()))
        here, gone = await store.asked(Ranges(((1, 3),)))
        assert ([one.seq for one in here], gone) == ([1, 3], [(2, 2)])
        assert await store.asked(Ranges()) == ([], [])


def test_health_travels_as_numbers_that_may_grow_more_later():
    health = health_of_queue({0: 1, 2: 40}, oldest_s=60, free_mb=9, today_bytes=3_999, share=501)
    assert health.numbers() == [1, 0, 40, 60, 9, 3, 501]
    assert health_of([*health.numbers(), *[0] * 6, 7, 7]) == health
    assert health_of([]) == Health()


def test_what_is_on_its_way_costs_a_report_nothing_while_nothing_is():
    still = health_of_queue({}, oldest_s=0, free_mb=9, today_bytes=0, share=0)
    assert len(still.numbers()) == 7
    assert health_of(still.numbers()) == still
    images = {DeviceId("one"): Progress(100, 1_000), DeviceId("two"): Progress(500, 1_000)}
    moving = Moving(files=2, file=Progress(1, 3), images=images)
    told = health_of_queue({}, oldest_s=0, free_mb=9, today_bytes=0, share=0, moving=moving)
    assert told.numbers()[7:] == [2, 333, 2, 300]
    assert health_of(told.numbers()) == told
    waits = health_of_queue(
        {}, oldest_s=0, free_mb=9, today_bytes=0, share=0, moving=Moving(files=1)
    )
    assert waits.numbers()[7:] == [1], "none of it is there"


def test_a_transfer_is_told_at_its_ends_and_by_quarters():
    told = [Health(images=1, image_permille=0)]
    for permille in range(0, 1_001, 10):
        now = Health(images=1, image_permille=permille)
        if is_worth_telling(told[-1], now, contacts=1):
            told.append(now)
    assert [one.image_permille for one in told] == [0, 250, 500, 750, 1_000]
    assert is_worth_telling(told[-1], Health(), contacts=1), "and that it is over"
    assert is_worth_telling(Health(), Health(files=1), contacts=1)
    assert is_worth_telling(Health(files=1), Health(files=1, file_permille=260), contacts=1)
    assert not is_worth_telling(Health(files=1), Health(files=1, file_permille=240), contacts=1)


def test_who_does_not_answer_is_told_when_it_changes_and_costs_nothing_while_all_do():
    silence = Silence({DeviceId("one"): MonoMs(500)}, now_ms=MonoMs(7_500_500))
    one = health_of_queue({}, oldest_s=0, free_mb=9, today_bytes=0, share=0, silence=silence)
    assert one.numbers()[7:] == [0, 0, 0, 0, 1, 7_500]
    assert health_of(one.numbers()) == one
    well = Health()
    assert is_worth_telling(well, Health(silent=1, silent_s=3), contacts=1)
    assert not is_worth_telling(
        Health(silent=1, silent_s=3), Health(silent=1, silent_s=9_999), contacts=1
    ), "since when is known"
    assert is_worth_telling(Health(silent=1, silent_s=3), well, contacts=1), "it is back"


def test_health_is_said_when_it_changes_and_now_and_then():
    calm = Health(waiting=40, oldest_s=300, free_mb=500)
    assert is_worth_telling(None, calm, contacts=0)
    assert not is_worth_telling(calm, Health(waiting=45, oldest_s=310, free_mb=490), contacts=3)
    assert is_worth_telling(calm, calm, contacts=AGAIN)
    for changed in (
        Health(waiting=40, oldest_s=300, free_mb=500, waiting_alarms=1),
        Health(waiting=4_000, oldest_s=300, free_mb=500),
        Health(waiting=40, oldest_s=300, free_mb=20),
        Health(waiting=40, oldest_s=300, free_mb=500, budget_permille=900),
    ):
        assert is_worth_telling(calm, changed, contacts=1), changed
