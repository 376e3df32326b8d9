"""Hints between replicas on a line of memory: what is said at once, and what is made of it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from coordinator.services.bell import Bell
from coordinator.services.hints import Hint, Hints, encode_hint
from coordinator.services.waiting import WaitingRoom
from shared import limits
from shared.errors import Reason, WorldError
from shared.ids import AgentId
from shared.runtime.clock import SystemEntropy


class Memory:
    """A line through memory; everybody hears everything, as with NOTIFY."""

    def __init__(self):
        self.ears = []
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.broken = False
        self.says = 0

    @asynccontextmanager
    async def connected(self, heard, ended):
        async def say(texts):
            if self.broken:
                raise WorldError(Reason.STORE_FAILED, "cut")
            self.says += 1
            for text in texts:
                self.said.put_nowait(text)
                for ear in self.ears:
                    ear(text)

        self.ears.append(heard)
        try:
            yield say
        finally:
            self.ears.remove(heard)


class Replica:
    """What hints wake in one process."""

    def __init__(self, line):
        self.work, self.jobs, self.bell = WaitingRoom[AgentId](), WaitingRoom[bytes](), Bell()
        self.hints = Hints(line, SystemEntropy())
        self.hints.connect(self.work, self.jobs, {"bell": self.bell})


@pytest.fixture
def line():
    return Memory()


@asynccontextmanager
async def two(line):
    """Two replicas that hear each other."""
    both = Replica(line), Replica(line)
    tasks = [asyncio.create_task(one.hints.run()) for one in both]
    while len(line.ears) < 2:
        await asyncio.sleep(0)
    try:
        yield both
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_whom_one_replica_wakes_wakes_at_the_other(line):
    async with two(line) as (here, there):
        with there.work.enter(AgentId("pump")) as waiter, there.jobs.enter(b"j" * 16) as asked:
            here.work.wake([AgentId("pump")])
            here.jobs.wake([b"j" * 16])
            assert await waiter.wait(9)
            assert await asked.wait(9)
        here.bell.ring()
        await there.bell.wait(9)


async def test_what_is_said_within_milliseconds_is_said_together(line):
    async with two(line) as (here, _):
        for number in range(40):
            here.work.wake([AgentId(f"pump-{number}")])
        here.bell.ring()
        said = await line.said.get()
        assert said.count("pump-") == 40
        assert '"bell"' in said
        assert line.said.empty()


async def test_more_keys_than_a_hint_carries_are_said_in_several(line):
    async with two(line) as (here, _):
        names = [AgentId("a" * 33 + f"{number:07}") for number in range(3 * limits.HINT_KEYS)]
        here.work.wake(names)
        here.jobs.wake([number.to_bytes(16) for number in range(3 * limits.HINT_KEYS)])
        said = [await line.said.get() for _ in range(3)]
        assert all(len(text) <= limits.HINT_BYTES for text in said)
        assert all(any(name in text for text in said) for name in names)


async def test_too_much_to_say_lets_everybody_look(line):
    async with two(line) as (here, there):
        with there.work.enter(AgentId("somebody-else")) as waiter:
            here.work.wake([AgentId(f"p-{n}") for n in range(limits.HINT_KEYS_WAITING + 1)])
            assert await waiter.wait(9)


async def test_a_hint_that_woke_somebody_is_not_passed_on(line):
    async with two(line) as (here, there):
        with there.work.enter(AgentId("pump")) as waiter:
            here.work.wake([AgentId("pump")])
            assert await waiter.wait(9)
        assert line.said.qsize() == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"jobs": ["xy"]}', '{"agents": 7}'])
async def test_what_is_no_hint_wakes_nobody_and_ends_nothing(line, text):
    async with two(line) as (_, there):
        with there.work.enter(AgentId("pump")) as waiter:
            for ear in line.ears:
                ear(text)
                ear(encode_hint(Hint(agents=["pump"], bells=["unheard-of"])))
            assert await waiter.wait(9)


async def test_a_replica_whose_line_was_broken_looks_and_lets_all_others_look(line):
    here, there = Replica(line), Replica(line)
    line.broken = True
    here.work.wake([AgentId("pump")])
    with pytest.raises(WorldError):
        await here.hints.run()
    line.broken = False
    tasks = [asyncio.create_task(there.hints.run())]
    while not line.says:  # it has looked by itself, as each does that comes
        await asyncio.sleep(0)
    tasks.append(asyncio.create_task(here.hints.run()))
    with there.work.enter(AgentId("pump")) as waiter, here.work.enter(AgentId("mill")) as own:
        assert await waiter.wait(9), "what was said into the broken line is said again"
        assert await own.wait(9)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
