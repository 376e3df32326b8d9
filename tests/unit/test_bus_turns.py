"""The waiting list of a port."""

import asyncio

import pytest

from agent.buses.turns import Turns
from agent.core.ports import Urgency
from shared import limits
from shared.errors import WorldError


async def hold(turns: Turns, log: list[str], name: str, urgency: Urgency) -> None:
    async with turns.turn(turns.ticket(urgency)):
        log.append(name)
        await asyncio.sleep(0)


async def test_the_most_urgent_goes_first_and_equals_keep_their_order():
    turns, log = Turns(), list[str]()
    async with asyncio.TaskGroup() as group:
        for name, urgency in [
            ("first", Urgency.PROBE),
            ("poll 1", Urgency.POLL),
            ("probe", Urgency.PROBE),
            ("poll 2", Urgency.POLL),
            ("command", Urgency.COMMAND),
        ]:
            group.create_task(hold(turns, log, name, urgency))
    assert log == ["first", "command", "poll 1", "poll 2", "probe"]


async def test_a_turn_handed_to_a_task_that_is_cancelled_in_that_moment_goes_on():
    turns, log = Turns(), list[str]()
    ticket = turns.ticket(Urgency.POLL)
    async with asyncio.TaskGroup() as group:
        async with turns.turn(ticket):
            doomed = group.create_task(hold(turns, log, "doomed", Urgency.COMMAND))
            group.create_task(hold(turns, log, "next", Urgency.POLL))
            await asyncio.sleep(0)
        # The turn is the doomed task's by now, but the task has not run since.
        doomed.cancel()
    assert log == ["next"]
    await hold(turns, log, "free again", Urgency.POLL)


async def test_who_stops_waiting_is_forgotten():
    turns, log = Turns(), list[str]()
    async with turns.turn(turns.ticket(Urgency.POLL)):
        waiting = [
            asyncio.create_task(hold(turns, log, "never", Urgency.POLL))
            for _ in range(limits.BUS_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(WorldError, match="1024 requests wait already"):
            await hold(turns, log, "too many", Urgency.COMMAND)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await hold(turns, log, "free", Urgency.POLL)
    assert log == ["free"]


async def test_an_exception_in_a_turn_gives_it_back():
    turns, log = Turns(), list[str]()
    with pytest.raises(ZeroDivisionError):
        async with turns.turn(turns.ticket(Urgency.POLL)):
            _ = 1 / 0
    await hold(turns, log, "free", Urgency.POLL)
    assert log == ["free"]
