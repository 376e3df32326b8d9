"""Each has a short queue of its own: a flood of one takes nobody else's turn."""

import asyncio

import pytest

from coordinator.services.turns import Turns
from shared import limits
from shared.errors import Reason, RefusedError


async def test_of_one_key_one_is_inside_at_a_time_in_the_order_of_asking():
    turns, order, inside = Turns[str](4), [], []

    async def go(number):
        async with turns.turn("a"):
            inside.append(number)
            assert len(inside) == 1
            await asyncio.sleep(0)
            order.append(inside.pop())

    await asyncio.gather(*map(go, range(4)))
    assert order == [0, 1, 2, 3]
    assert len(turns) == 0


async def test_another_key_does_not_wait():
    turns = Turns[str](1)
    async with turns.turn("a"), turns.turn("b"):
        assert len(turns) == 2


async def test_beyond_the_bound_it_is_turned_away(monkeypatch):
    monkeypatch.setattr(limits, "CROWDED_PAUSED", 0)
    turns = Turns[str](1)
    async with turns.turn("a"):
        more = asyncio.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        assert more.done(), "it does not wait"
        with pytest.raises(RefusedError) as refused:
            await more
    assert refused.value.reason is Reason.CONTACTS_CROWDED
    async with turns.turn("a"):
        pass


async def test_who_is_too_many_is_told_so_after_a_pause_while_there_is_room(monkeypatch):
    monkeypatch.setattr(limits, "CROWDED_S", 3600)
    monkeypatch.setattr(limits, "CROWDED_PAUSED", 1)
    turns = Turns[str](1)
    async with turns.turn("a"):
        paused = asyncio.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(RefusedError):
            await turns.turn("a").__aenter__()
        assert not paused.done()
    assert len(turns) == 1
    paused.cancel()
    await asyncio.wait((paused,))
    assert len(turns) == 0


async def test_who_is_cancelled_while_waiting_leaves_its_place_to_others():
    turns = Turns[str](2)
    async with turns.turn("a"):
        waiting = asyncio.create_task(turns.turn("a").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        again = turns.turn("a")
        entering = asyncio.create_task(again.__aenter__())
        await asyncio.sleep(0)
    await entering
    await again.__aexit__(None, None, None)
    assert len(turns) == 0


@pytest.fixture
def long_rests(monkeypatch):
    monkeypatch.setattr(limits, "CROWDED_REST", 1e12)
    monkeypatch.setattr(limits, "CROWDED_REST_S", 3600)


async def ticks():
    for _ in range(8):
        await asyncio.sleep(0)


async def test_whose_contacts_wait_for_each_other_rests_between_them(long_rests):
    turns, entered = Turns[str](4), []

    async def go(number):
        async with turns.turn("a"):
            entered.append(number)
            await ticks()

    tasks = [asyncio.create_task(go(number)) for number in range(2)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await ticks()
    assert entered == [0]
    async with turns.turn("b"):
        assert len(turns) == 2, "others do not wait for that"
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert len(turns) == 0


async def test_who_sends_one_after_the_other_never_rests(long_rests):
    turns = Turns[str](4)
    for _ in range(3):
        async with turns.turn("a"):
            await ticks()
    assert len(turns) == 0
