"""What every store does, on both engines: transactions, values, order, and many at once."""

import asyncio
import sqlite3
from functools import partial

import asyncpg
import pytest

from coordinator.core.audit import Head
from coordinator.core.ports import Query, execute, execute_many, fetch, fetch_one
from coordinator.transactions import rows
from coordinator.transactions.audit import verify_audit
from coordinator.transactions.fleet import Fleet, load_fleet, ping
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, WorldError
from shared.ids import FleetId
from tests.stores import ENGINES, ask, open_store, tell

NOW = WallMs(1)
FLEET = Fleet(
    fleet_id=FleetId(b"f" * 16), url="u", page_key=b"k", roots=(b"r",), catalog=b"c", policy=b"p"
)
VIOLATION = (sqlite3.IntegrityError, asyncpg.IntegrityConstraintViolationError)


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        yield opened


def found_fleet():
    for kind, envelope in (("root", FLEET.root), ("catalog", b"c"), ("policy", b"p")):
        yield from execute("document_insert", kind, 1, 1, envelope, NOW)
    yield from execute("fleet_insert", FLEET.fleet_id, FLEET.url, FLEET.page_key, NOW)


def audit(*objects):
    for name in objects:
        yield from rows.audit(NOW, actor="a", action="b", object_=name, detail={})


def audit_then(error):
    yield from audit("lost")
    raise error


async def audited(store):
    return [row[0] for row in await ask(store, "SELECT object FROM audit ORDER BY number")]


# --- transactions --------------------------------------------------------------------------------
async def test_a_transaction_returns_what_its_body_returns(store):
    await store.run(found_fleet, durable=True)
    assert await store.run(load_fleet, durable=False) == FLEET
    assert await store.read(load_fleet) == FLEET


async def test_what_a_body_raises_undoes_all_of_it(store):
    with pytest.raises(ValueError, match="mine"):
        await store.run(partial(audit_then, ValueError("mine")), durable=True)
    assert await audited(store) == []


async def test_what_a_body_raises_is_never_taken_for_the_worlds(store):
    """A body's own TimeoutError is its own: it is not run again for it."""
    runs = []

    def body():
        runs.append(1)
        yield from audit("lost")
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await store.run(body, durable=True)
    assert len(runs) == 1


async def test_a_body_that_failed_leaves_its_neighbours_alone(store):
    bodies = [partial(audit, "one"), partial(audit_then, ValueError()), partial(audit, "two")]
    done = await asyncio.gather(
        *(store.run(body, durable=True) for body in bodies), return_exceptions=True
    )
    assert [type(one) for one in done] == [type(None), ValueError, type(None)]
    assert sorted(await audited(store)) == ["one", "two"]


async def test_a_body_is_closed_when_a_query_fails(store):
    closed = []

    def body():
        try:
            yield from execute("label_insert", "nobody", "k", "v")
            yield from fetch("fleet")
        finally:
            closed.append(True)

    with pytest.raises(VIOLATION):
        await store.run(body, durable=True)
    assert closed == [True]


async def test_a_key_that_is_taken_is_refused_and_the_store_goes_on(store):
    await store.run(found_fleet, durable=True)
    with pytest.raises(VIOLATION):
        await store.run(found_fleet, durable=True)
    assert await store.read(load_fleet) == FLEET


async def test_a_reader_cannot_write(store):
    with pytest.raises((sqlite3.OperationalError, asyncpg.ReadOnlySQLTransactionError)):
        await store.read(partial(audit, "x"))
    await store.run(partial(audit, "y"), durable=False)
    assert await audited(store) == ["y"]


async def test_a_reader_sees_one_state_while_others_commit(store):
    """A commit between two queries of one body is not seen by the second of them."""
    loop, seen = asyncio.get_running_loop(), []
    asked, written = asyncio.Event(), asyncio.Event()

    def claim():
        yield from execute("claim_insert", b"i", b"h", "north", 1, 2, 3, "me")

    async def write():
        await asked.wait()
        await store.run(claim, durable=True)
        written.set()

    def body():
        seen.append((yield Query("claim_by_secret", (b"h",))))
        if loop is _running():
            writing = loop.create_task(write())
            tasks.append(writing)
        else:
            asyncio.run_coroutine_threadsafe(store.run(claim, durable=True), loop).result()
        seen.append((yield Query("claim_by_secret", (b"h",))))

    tasks: list[asyncio.Task] = []
    asked.set()
    await store.read(body)
    for task in tasks:
        await task
    assert [list(one) for one in seen] == [[], []]
    assert await store.read(partial(fetch_one, "claim_by_secret", b"h")) is not None


def _running():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def test_a_store_that_was_closed_says_so(store):
    await store.close()
    await store.close()
    for use in (store.read(ping), store.run(ping, durable=False)):
        with pytest.raises(WorldError) as caught:
            await use
        assert caught.value.reason is Reason.STORE_CLOSED


async def test_a_caller_that_gives_up_leaves_the_store_usable(store):
    loop, started = asyncio.get_running_loop(), asyncio.Event()

    def body():
        yield from audit("x")
        loop.call_soon_threadsafe(started.set)
        for _ in range(200):
            yield Query("fleet", ())

    task = asyncio.create_task(store.run(body, durable=True))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.run(partial(audit, "after"), durable=True)
    assert "after" in await audited(store)


# --- values --------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), b"\\x41", bytes(100_000)])
async def test_bytes_come_back_as_they_were(store, data):
    await store.run(partial(execute, "document_insert", "root", 1, 1, data, 5), durable=False)
    [(found,)] = await store.read(partial(fetch, "documents", "root"))
    assert found == data
    assert type(found) is bytes


@pytest.mark.parametrize("text", ["", "a'b\"c\\", "Zürich ☀ 🌞", "%_\n\t", "x" * 100_000])
async def test_text_comes_back_as_it_was(store, text):
    await store.run(partial(audit, text), durable=False)
    assert await audited(store) == [text]


async def test_a_peers_text_with_nul_does_not_stop_its_contact(store):
    """PostgreSQL's text holds no NUL: a receipt with one would come again for ever."""
    await store.run(partial(audit, "a\0b"), durable=False)
    assert (await audited(store))[0] in {"a\0b", "a\N{REPLACEMENT CHARACTER}b"}


@pytest.mark.parametrize("number", [0, -1, 2**31, -(2**31) - 1, limits.INT_MAX, -limits.INT_MAX])
async def test_whole_numbers_have_64_bits(store, number):
    await store.run(partial(execute_many, "keeping_save", (("n", number),)), durable=False)
    assert await store.read(partial(fetch, "keeping")) == [("n", number)]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
async def test_a_number_that_fits_no_column_is_refused_and_the_store_goes_on(store, number):
    with pytest.raises(OverflowError):
        await store.run(partial(execute_many, "keeping_save", (("n", number),)), durable=False)
    assert await store.read(partial(fetch, "keeping")) == []


async def test_rows_are_plain_values(store):
    await store.run(
        partial(execute_many, "keeping_save", (("a", 2**40), ("b", 2**40))), durable=False
    )
    [row] = await ask(store, "SELECT sum(value), max(name), count(*) = 2, min(NULL) FROM keeping")
    assert row == (2**41, "b", 1, None)
    assert [type(value) for value in row] == [int, str, int, type(None)]
    assert type(row) is tuple


async def test_text_is_ordered_by_its_bytes(store):
    names = ["a", "B", "ä", "Z", "z", "_", "-", "10", "9", "", "a b", "ab"]
    await store.run(
        partial(execute_many, "keeping_save", tuple((name, 1) for name in names)), durable=False
    )
    found = await ask(store, "SELECT name FROM keeping ORDER BY name")
    assert [name for (name,) in found] == sorted(names, key=str.encode)


async def test_a_conflict_does_what_the_statement_says(store):
    body = partial(execute, "keeping_save", "n", 1)
    await store.run(body, durable=False)
    await store.run(partial(execute, "keeping_save", "n", 2), durable=False)
    assert await store.read(partial(fetch, "keeping")) == [("n", 2)]
    insert = (
        "INSERT INTO keeping (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING name"
    )
    assert await tell(store, insert, "n", 3) == []
    assert await tell(store, insert, "m", 3) == [("m",)]


async def test_what_was_deleted_is_returned_once(store):
    await store.run(
        partial(execute_many, "keeping_save", tuple((f"{n:04}", n) for n in range(1000))),
        durable=False,
    )
    drop = "DELETE FROM keeping WHERE value < $1 RETURNING value"
    assert sorted(await tell(store, drop, 600)) == [(n,) for n in range(600)]
    assert await tell(store, drop, 600) == []


async def test_many_rows_go_in_one_statement_or_none(store):
    several = tuple((f"{n:05}", n) for n in range(10_000))
    await store.run(partial(execute_many, "keeping_save", several), durable=False)
    assert await ask(store, "SELECT count(*), sum(value) FROM keeping") == [(10_000, 49_995_000)]
    await store.run(partial(execute_many, "keeping_save", ()), durable=False)
    with pytest.raises(OverflowError):
        await store.run(
            partial(execute_many, "keeping_save", (("x", 1), ("y", 2**70))), durable=False
        )
    assert await ask(store, "SELECT count(*) FROM keeping") == [(10_000,)]


# --- many at once --------------------------------------------------------------------------------
async def test_changes_at_the_same_time_are_all_counted(store):
    """Each reads a number and writes the next: whoever is not alone loses one."""
    await store.run(partial(execute, "keeping_save", "n", 0), durable=False)

    def grow():
        [(_, value)] = yield from fetch("keeping")
        yield from execute("keeping_save", "n", value + 1)

    await asyncio.gather(*(store.run(grow, durable=False) for _ in range(40)))
    assert await store.read(partial(fetch, "keeping")) == [("n", 40)]


async def test_a_sum_that_two_read_is_not_overdrawn(store):
    """Write skew: each sees room for one more, both together are too many."""
    await store.run(partial(execute, "keeping_save", "base", 0), durable=False)

    def take(name):
        found = yield from fetch("keeping")
        if len(found) < 2:
            yield from execute("keeping_save", name, 1)

    await asyncio.gather(*(store.run(partial(take, f"n{n}"), durable=False) for n in range(20)))
    assert len(await store.read(partial(fetch, "keeping"))) == 2


async def test_the_audit_log_is_one_chain_whoever_writes_at_once(store):
    await asyncio.gather(*(store.run(partial(audit, f"o{n}"), durable=True) for n in range(40)))
    head = await store.read(partial(verify_audit, None))
    assert isinstance(head, Head)
    assert head.number == 40


async def test_nothing_changes_or_forgets_the_audit_log(store):
    await store.run(partial(audit, "kept"), durable=True)
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises((sqlite3.IntegrityError, asyncpg.RaiseError)):
            await tell(store, statement)
    assert await audited(store) == ["kept"]
