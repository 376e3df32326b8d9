"""Requests that wait for a port already when an answer to another one is late, on virtual time."""

import asyncio

import pytest

from agent.buses.turns import Turns
from agent.core.ports import Urgency
from shared.errors import Reason, WorldError
from tests.contract.test_bus import LineDecoder
from tests.simulation.loop import World, simulate
from tests.unit.test_bus_timing import Far, MemoryLine, outcome


def test_a_command_that_waits_already_does_not_take_the_late_answer_to_a_poll():
    async def scenario(world: World) -> None:
        delays = {b"poll": 1.2, b"set.": 0.5, b"else": 0.01}
        far = Far(lambda text: [(delays[text], text + b"\n")])
        line = MemoryLine(far)
        async with asyncio.TaskGroup() as group:
            poll = group.create_task(outcome(line, b"poll", peer=7))
            await asyncio.sleep(0.5)
            command = group.create_task(outcome(line, b"set.", Urgency.COMMAND, peer=7))
            other = group.create_task(outcome(line, b"else", peer=8))
            assert await poll is Reason.DEVICE_SILENT
            assert await other == b"else"
            assert world.loop.time() < 1.1, "another device does not wait for the late one"
            assert await command == b"set."
            assert world.loop.time() == pytest.approx(2.5, abs=0.02)
        await line.close()

    simulate(scenario, seed=1)


def test_a_poll_gives_way_to_a_command_before_it_is_repeated():
    async def scenario(world: World) -> None:
        far = Far(lambda text: [(0.1, b"ok\n")] if text == b"set." else [])
        line = MemoryLine(far, retries=2)
        async with asyncio.TaskGroup() as group:
            group.create_task(outcome(line, b"poll", peer=7))
            await asyncio.sleep(0.5)
            command = group.create_task(outcome(line, b"set.", Urgency.COMMAND, peer=7))
            assert await command == b"ok"
            assert world.loop.time() == pytest.approx(2.1, abs=0.02)
        assert [text for _, text in far.sent] == [b"poll", b"set.", b"poll", b"poll"]
        await line.close()

    simulate(scenario, seed=1)


def test_a_repeated_poll_does_not_take_the_late_answer_to_a_command_between():
    async def scenario(_: World) -> None:
        delays = {b"poll": 0.9, b"set.": 1.5}
        far = Far(lambda text: [(delays[text], text + b"\n")] if len(far.sent) > 1 else [])
        line = MemoryLine(far, retries=1)
        async with asyncio.TaskGroup() as group:
            poll = group.create_task(outcome(line, b"poll", peer=7))
            await asyncio.sleep(0.5)
            once = LineDecoder(peer=7, repeatable=False)
            with pytest.raises(WorldError, match="no answer within 1000 ms"):
                await line.exchange(b"set.", once, urgency=Urgency.COMMAND)
            assert await poll == b"poll"
        await line.close()

    simulate(scenario, seed=1)


def test_a_turn_is_its_holders_when_a_late_answer_can_no_longer_come():
    async def scenario(world: World) -> None:
        turns, log = Turns(), list[tuple[str, float]]()

        async def hold(name: str, peer: int, seconds: float) -> None:
            async with turns.turn(turns.ticket(Urgency.POLL, peer)):
                log.append((name, world.loop.time()))
                await asyncio.sleep(seconds)

        async with turns.turn(turns.ticket(Urgency.POLL, 7)):
            turns.expect_late_answer(2.0)
        async with asyncio.TaskGroup() as group:
            never = group.create_task(hold("never", 7, 0))
            await asyncio.sleep(1.0)
            never.cancel()
            await asyncio.sleep(0.5)
            group.create_task(hold("across", 8, 1.0))
            group.create_task(hold("after", 9, 0))
            group.create_task(hold("held back", 7, 0))
        assert log == [("across", 1.5), ("after", 2.5), ("held back", 2.5)]

    simulate(scenario, seed=1)
