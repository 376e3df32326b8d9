"""The coordinator's store: transactions as generators, readers beside the writer, recovery."""

import asyncio
import sqlite3
import sys
from functools import partial

import pytest

from coordinator.core.ports import Query, execute, fetch, fetch_one
from coordinator.store.differences import without_claims
from coordinator.store.sqlite import SqliteStore
from coordinator.store.statements import load_statements
from coordinator.transactions import rows
from coordinator.transactions.fleet import Fleet, load_fleet, ping
from shared.clock import WallMs
from shared.errors import Reason, WorldError
from shared.ids import FleetId

NOW = WallMs(1)
FLEET = Fleet(
    fleet_id=FleetId(b"f" * 16), url="u", page_key=b"k", roots=(b"r",), catalog=b"c", policy=b"p"
)


def found_fleet():
    """A fleet of bytes that nobody signed: what is stored matters here, not what it says."""
    for kind, envelope in (("root", FLEET.root), ("catalog", b"c"), ("policy", b"p")):
        yield from execute("document_insert", kind, 1, 1, envelope, NOW)
    yield from execute("fleet_insert", FLEET.fleet_id, FLEET.url, FLEET.page_key, NOW)


@pytest.fixture
async def store(tmp_path):
    async with await SqliteStore.open(tmp_path / "coordinator.db") as opened:
        yield opened


def audit(*objects):
    for name in objects:
        yield from rows.audit(WallMs(1), actor="a", action="b", object_=name, detail={})


def _entry(name):
    number = int.from_bytes(name.encode()[:6])
    return number, 1, "a", "", "b", name, "{}", b""


def audit_then(error):
    yield from audit("lost")
    raise error


async def count(store):
    """How many rows another connection sees."""
    db = sqlite3.connect(f"file:{store._writer.path}?mode=ro", uri=True)
    try:
        return db.execute("SELECT count(*) FROM audit").fetchone()[0]
    finally:
        db.close()


async def test_a_transaction_returns_what_its_body_returns(store):
    await store.run(found_fleet, durable=True)
    assert await store.run(load_fleet, durable=False) == FLEET
    assert await store.read(load_fleet) == FLEET


async def test_what_a_body_raises_undoes_all_of_it(store):
    with pytest.raises(ValueError, match="mine"):
        await store.run(partial(audit_then, ValueError("mine")), durable=True)
    assert await count(store) == 0


async def test_a_body_that_failed_leaves_its_neighbours_alone(store):
    bodies = [partial(audit, "one"), partial(audit_then, ValueError()), partial(audit, "two")]
    done = await asyncio.gather(
        *(store.run(body, durable=True) for body in bodies), return_exceptions=True
    )
    assert [type(one) for one in done] == [type(None), ValueError, type(None)]
    assert await count(store) == 2


async def test_a_body_is_closed_when_a_query_fails(store):
    closed = []

    def body():
        try:
            yield from execute("label_insert", "nobody", "k", "v")
            yield from fetch("fleet")
        finally:
            closed.append(True)

    with pytest.raises(sqlite3.IntegrityError):
        await store.run(body, durable=True)
    assert closed == [True]


async def test_a_reader_cannot_write(store):
    with pytest.raises(sqlite3.OperationalError):
        await store.read(partial(audit, "x"))
    await store.run(partial(audit, "y"), durable=False)
    assert await count(store) == 1


async def test_a_reader_sees_one_state_while_others_commit(store):
    """A commit between two queries of one body is not seen by the second of them."""
    await store.run(found_fleet, durable=True)
    loop = asyncio.get_running_loop()
    seen = []

    def body():
        seen.append((yield Query("claim_by_secret", (b"h",))))
        asyncio.run_coroutine_threadsafe(store.run(claim, durable=True), loop).result()
        seen.append((yield Query("claim_by_secret", (b"h",))))

    def claim():
        yield from execute("claim_insert", b"i", b"h", "north", 1, 2, 3, "me")

    await store.read(body)
    assert seen == [[], []]
    assert await store.read(partial(fetch_one, "claim_by_secret", b"h")) is not None


async def test_another_process_that_closes_the_file_takes_nothing_away(store):
    """A second connection in this process must not give up the locks of the first one.

    It did: the other process then believed to be the last, deleted the log on closing, and what
    was committed from then on was gone with this process.
    """
    await store.run(partial(audit, "before"), durable=True)
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        "db.execute('SELECT count(*) FROM audit').fetchone(); db.close()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(store._writer.path)
    )
    assert await process.wait() == 0
    await store.run(partial(audit, "after"), durable=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code.replace("db.close()", "print(db.execute('SELECT count(*) FROM audit').fetchone()[0])"),
        str(store._writer.path),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.strip() == b"2"


async def test_a_damaged_file_is_noticed_and_works_again_once_it_is_mended(tmp_path):
    path = tmp_path / "coordinator.db"
    async with await SqliteStore.open(path) as store:
        await store.run(found_fleet, durable=True)
    good = path.read_bytes()
    async with await SqliteStore.open(path) as store:
        path.write_bytes(good[:8192] + b"\xee" * (len(good) - 8192))
        with pytest.raises(WorldError) as caught:
            await store.read(load_fleet)
        assert caught.value.reason is Reason.STORE_CORRUPT
        assert store.failed.is_set()
        with pytest.raises(WorldError):
            await store.recover()
        assert store.failed.is_set()
        path.write_bytes(good)
        await store.recover()
        assert not store.failed.is_set()
        assert await store.read(load_fleet) == FLEET
        await store.run(partial(audit, "again"), durable=True)


async def test_a_store_that_was_closed_says_so(tmp_path):
    store = await SqliteStore.open(tmp_path / "coordinator.db")
    await store.close()
    await store.close()
    with pytest.raises(WorldError) as caught:
        await store.read(ping)
    assert caught.value.reason is Reason.STORE_CLOSED


def test_every_statement_is_what_the_schema_can_run():
    from coordinator.store.sqlite import SCHEMA
    from shared.runtime.migrations import migrate

    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, SCHEMA, where="memory")
    db.text_factory = bytes  # a literal blob is shown as it is
    for name, statement in without_claims(load_statements()).items():
        parameters = {str(number): None for number in range(1, 30)}
        assert db.execute(f"EXPLAIN {statement}", parameters).fetchall(), name
    db.close()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("agent_identity", "execution_queued"),
        ("execution_issuable", "execution_queued"),
        ("blocks_of_agent", "block_by_end"),
        ("blocks_of_all", "block_by_end_of_all"),
        ("job_counts", "execution_by_job"),
        ("job_is_over", "execution_by_job (job_id=? AND state=? AND <expr>>?)"),
        ("receipts_between", "execution_id=? AND epoch=? AND number>?"),
        ("receipts_of_execution", "agent_id=? AND execution_id=?"),
        ("gone_of_job", "execution_by_job (job_id=? AND state=?)"),
        ("rollout_next", "rollout_member_waiting (job_id=? AND stage=? AND ready=?)"),
        ("rollout_oldest", "execution_by_job (job_id=? AND state=?)"),
        ("rollout_overdue", "execution_by_job (job_id=? AND state=? AND <expr><?)"),
    ],
)
def test_what_runs_often_uses_its_index(name, index):
    from coordinator.store.sqlite import SCHEMA
    from shared.runtime.migrations import migrate

    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, SCHEMA, where="memory")
    parameters = {str(number): 1 for number in range(1, 20)}
    plan = db.execute(f"EXPLAIN QUERY PLAN {load_statements()[name]}", parameters).fetchall()
    db.close()
    assert any(index in row[3] for row in plan), plan
    assert not any(row[3].startswith(("SCAN", "USE TEMP B-TREE")) for row in plan), plan
