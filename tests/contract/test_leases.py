"""Work of which one process does one piece at a time, on both engines: by rows, not by clocks."""

import asyncio

import pytest

from coordinator.core.ports import execute
from coordinator.services.leases import Leased, LeasedStore, in_turn, with_lease
from coordinator.transactions.leases import Lease, LeaseLostError
from shared.errors import MistakeError
from shared.runtime.clock import SystemEntropy
from tests.stores import ENGINES, ask, open_store, tell

OVER = "UPDATE lease SET until_ms = 0 RETURNING name"


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def first(store):
    return LeasedStore(store, Lease("rollups", b"first"))


@pytest.fixture
def second(store):
    return LeasedStore(store, Lease("rollups", b"second"))


def note(name):
    return lambda: execute("keeping_save", name, 1)


async def noted(store):
    return [row[0] for row in await ask(store, "SELECT name FROM keeping ORDER BY name")]


async def test_a_lease_is_one_process_s_until_it_lets_go(first, second):
    assert await first.take()
    assert not await second.take()
    assert not await first.take(), "not even its own: it knows that it has it"
    await first.release()
    assert await second.take()


async def test_a_lease_whose_time_is_over_by_the_database_s_clock_is_taken(store, first, second):
    assert await first.take()
    await tell(store, OVER)
    assert await second.take()
    with pytest.raises(LeaseLostError):
        await first.renew()


async def test_a_lease_that_ran_out_and_that_nobody_took_is_kept(store, first, second):
    assert await first.take()
    await tell(store, OVER)
    await first.run(note("raw.0"), durable=False)
    assert not await second.take(), "its holder's work renewed it"


async def test_what_a_process_writes_after_another_took_its_work_is_undone(store, first, second):
    assert await first.take()
    await first.run(note("raw.0"), durable=False)
    await tell(store, OVER)
    assert await second.take()
    with pytest.raises(LeaseLostError):
        await first.run(note("raw.1"), durable=False)
    await second.run(note("raw.2"), durable=False)
    assert await noted(store) == ["raw.0", "raw.2"]


async def test_two_works_have_nothing_to_do_with_each_other(store, first):
    other = LeasedStore(store, Lease("retention", b"second"))
    assert await first.take()
    assert await other.take()


class Work:
    """A service that says when it runs, and ends as it is told."""

    name = "rollups"

    def __init__(self):
        self.began = asyncio.Event()
        self.end = asyncio.get_running_loop().create_future()

    async def run(self):
        self.began.set()
        await self.end


async def test_a_service_stands_by_while_another_process_works(store, first, second):
    assert await second.take()
    work = Work()
    task = asyncio.create_task(Leased(work, first).run())
    await ask(store, "SELECT 1")
    assert not work.began.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await first.take(), "what it never had it did not let go of"


async def test_a_service_that_is_stopped_lets_the_next_one_begin_at_once(first, second):
    work = Work()
    task = asyncio.create_task(Leased(work, first).run())
    await work.began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await second.take()


class UnheardStore(LeasedStore):
    """A store whose answer to who takes the lease never comes."""

    def __init__(self, store, lease):
        super().__init__(store, lease)
        self.asked = asyncio.Event()

    async def take(self):
        await super().take()
        self.asked.set()
        await asyncio.get_running_loop().create_future()


async def test_a_service_that_is_stopped_while_it_takes_its_lease_lets_go_of_it(store, second):
    unheard = UnheardStore(store, Lease("rollups", b"first"))
    task = asyncio.create_task(Leased(Work(), unheard).run())
    await unheard.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await second.take()


async def test_what_a_service_fails_with_is_its_supervisor_s_and_its_lease_is_free(first, second):
    work = Work()
    task = asyncio.create_task(Leased(work, first).run())
    await work.began.wait()
    work.end.set_exception(MistakeError("no"))
    with pytest.raises(MistakeError):
        await task
    assert await second.take()


async def test_where_there_is_one_process_nothing_is_leased(tmp_path):
    async with open_store("sqlite", tmp_path) as store:
        assert with_lease(store, "rollups", SystemEntropy()) is store
        work = Work()
        assert in_turn(work, store) is work
