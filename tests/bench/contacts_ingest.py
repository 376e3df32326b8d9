"""Readings a second that a database takes: blocks of 1,024 beside a row for each reading.

The same readings, on the same database, in the same run, by turns. Blocks go through the
transaction that a contact's readings go through (checksum, receipt, ranges, the order of a rollup),
read ahead, grouped and durable as contacts are, each agent's channel list with its first; rows
through one prepared INSERT into a table with a key of agent, channel and time, as many to a commit.
Signatures are left out on both sides, and rows have no rollups. Then the coordinator's own loop
rolls the blocks up, alone.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import asyncpg

from coordinator.core.intake import block_digest, examine_blocks
from coordinator.core.ports import LivingStore, Tx
from coordinator.place import open_fleet
from coordinator.services.bell import Bell
from coordinator.services.rollups import Rollups
from coordinator.transactions.blocks import Stored, store_blocks
from coordinator.transactions.known import look_ahead, with_known
from firmware_sim.fleet.readings import BlockPool, Shape, Stamp
from firmware_sim.fleet.roster import Roster
from shared.block.codec import decode, read_header
from shared.clock import ClockState, WallMs
from shared.ids import AgentId, StoreEpoch
from shared.model.reading import boot_ref, epoch_ref, schema_ref
from shared.runtime.clock import SystemClock
from shared.runtime.sqlite import SYNC_FULL
from shared.trust.documents import Report
from shared.wire.messages import Announced, Tally
from tests.bench.contacts_house import House
from tests.bench.contacts_people import let_in

SHAPE = Shape(channels=4, rows=256, step_ms=1_000)
"""1,024 readings."""
_AGENTS = 16
"""As many blocks to a commit."""
_TURNS = 5
_EPOCH, _BOOT = StoreEpoch(b"T" * 16), b"B" * 16
_DAY_MS = 86_400_000
_TABLE = (
    "CREATE TABLE reading_row (agent_id TEXT NOT NULL, channel INTEGER NOT NULL,"
    " at_ms BIGINT NOT NULL, value DOUBLE PRECISION, quality INTEGER NOT NULL,"
    " PRIMARY KEY (agent_id, channel, at_ms))"
)
_INSERT = "INSERT INTO reading_row VALUES ($1, $2, $3, $4, $5)"

_Wave = Sequence[tuple[AgentId, bytes]]
"""One block of each agent."""
_Row = tuple[str, int, int, float | None, int]


class _Meter:
    """Seconds of the wall, and of processors with the server's."""

    def __init__(self, server_cpu_s: Callable[[], float]) -> None:
        self._server_cpu_s = server_cpu_s
        self.wall_s = self.cpu_s = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall_s, cpu_s = time.perf_counter(), self._now_s()
        yield
        self.wall_s += time.perf_counter() - wall_s
        self.cpu_s += self._now_s() - cpu_s

    def _now_s(self) -> float:
        return time.process_time() + self._server_cpu_s()

    def figures(self, readings: int) -> dict[str, int]:
        return {
            "readings_per_s": round(readings / self.wall_s),
            "readings_per_cpu_s": round(readings / max(self.cpu_s, 0.01)),
        }


async def ingest(home: House, waves: int) -> dict[str, object]:
    """Measure both with `waves` blocks of each of some agents."""
    roster = await let_in(home.place, _AGENTS, SHAPE)
    all_waves = _make(roster, waves)
    readings = waves * _AGENTS * SHAPE.readings
    blocks, rows, rolling = (_Meter(home.server_cpu_s) for _ in range(3))
    await _create_table(home)
    size = max(1, -(-waves // _TURNS))
    grown = {"blocks": 0, "rows": 0}
    async with open_fleet(home.place) as (store, _):
        for first in range(0, waves, size):
            turn = all_waves[first : first + size]
            sizes = [await home.size_bytes()]
            fleet = roster.root.fleet
            told = [[(_report(fleet, *one), one[1]) for one in wave] for wave in turn]
            with blocks.running():
                for reports in told:
                    await _bring(store, reports)
            sizes.append(await home.size_bytes())
            with_rows = [_rows(wave) for wave in turn]
            await _insert(home, with_rows, rows)
            sizes.append(await home.size_bytes())
            grown["blocks"] += sizes[1] - sizes[0]
            grown["rows"] += sizes[2] - sizes[1]
        with rolling.running():
            service = Rollups(store, SystemClock(), Bell())
            while await service.step():
                pass
    return {
        "ingest_ratio": round(rows.wall_s / blocks.wall_s, 2),
        "ingest_ratio_cpu": round(rows.cpu_s / max(0.01, blocks.cpu_s), 2),
        "readings": readings,
        "readings_per_block": SHAPE.readings,
        "blocks": blocks.figures(readings),
        "rows": rows.figures(readings),
        "rollups": rolling.figures(readings),
        "bytes_per_reading": {name: round(size / readings, 1) for name, size in grown.items()},
    }


def _make(roster: Roster, waves: int) -> list[_Wave]:
    pool = BlockPool(SHAPE, seed=0)
    began_ms = SystemClock().wall_ms() - _DAY_MS - waves * SHAPE.span_ms
    return [
        [
            (AgentId(seat.name), pool.take(wave + seat.number, _stamp(wave, began_ms)))
            for seat in roster.seats
        ]
        for wave in range(waves)
    ]


def _stamp(wave: int, began_ms: int) -> Stamp:
    passed_ms = wave * SHAPE.span_ms
    refs = epoch_ref(_EPOCH), boot_ref(_BOOT)
    return Stamp(*refs, wave + 1, 1_000_000 + passed_ms, began_ms + passed_ms)


async def _bring(store: LivingStore, reports: Sequence[tuple[Report, bytes]]) -> None:
    """Take in a block of each agent, together; each is a transaction of its own."""
    bodies = [(partial(_take_in, report, data), report.agent) for report, data in reports]
    stored = await asyncio.gather(
        *(store.run(body, durable=True, agent=agent) for body, agent in bodies)
    )
    assert all(one.blocks == 1 for one in stored), "each block is taken in"


def _take_in(report: Report, data: bytes) -> Tx[Stored]:
    """Do with a block what a contact does with it."""
    agent, schema = AgentId(report.agent), SHAPE.schema
    blocks = examine_blocks([data], report)
    known = yield from look_ahead(agent, report, blocks)
    body = store_blocks(
        agent,
        report,
        blocks,
        # An agent sends its channel list when it is asked for it: once.
        [(schema_ref(schema.hash), schema.encode())] if report.counter == 1 else [],
        now_ms=WallMs(report.wall_ms),
    )
    return (yield from with_known(body, known))


def _report(fleet: bytes, agent: AgentId, data: bytes) -> Report:
    header = read_header(data)
    return Report(
        fleet=fleet,
        agent=agent,
        boot_id=_BOOT,
        counter=header.seq,
        previous=b"",
        telemetry_epoch=_EPOCH,
        jobs_epoch=b"J" * 16,
        bundle_seq=0,
        root_version=1,
        floor_ms=0,
        wall_ms=header.wall_ms + SHAPE.span_ms,
        mono_ms=header.mono_ms + SHAPE.span_ms,
        clock_state=ClockState.SYNCED,
        next_block=header.seq + 1,
        tally=Tally(0, 0, 0, 0, 0),
        blocks=[Announced(header.seq, block_digest(data))],
    )


def _rows(wave: _Wave) -> list[_Row]:
    found: list[_Row] = []
    for agent, data in wave:
        for group in decode(data).groups:
            columns = zip(group.channels, group.columns, group.qualities, strict=True)
            for channel, values, marks in columns:
                cells = zip(group.times_ms, values, marks, strict=True)
                found += [(agent, channel, at_ms, value, mark) for at_ms, value, mark in cells]
    return found


async def _create_table(home: House) -> None:
    if home.server is None:
        with closing(sqlite3.connect(home.place.database)) as db, db:
            db.execute(_TABLE)
        return
    connection = await asyncpg.connect(home.place.postgres)
    await connection.execute(_TABLE)
    await connection.close()


async def _insert(home: House, waves: Sequence[Sequence[_Row]], meter: _Meter) -> None:
    """Insert rows, those of one wave in one commit; connecting is not counted."""
    if home.server is None:
        _insert_sqlite(home, waves, meter)
        return
    connection = await asyncpg.connect(home.place.postgres)
    with meter.running():
        for rows in waves:
            await connection.executemany(_INSERT, rows)
    await connection.close()


def _insert_sqlite(home: House, waves: Sequence[Sequence[_Row]], meter: _Meter) -> None:
    statement = _INSERT.replace("$", "?")
    with closing(sqlite3.connect(home.place.database)) as db:
        db.execute(f"PRAGMA synchronous = {SYNC_FULL}")
        with meter.running():
            for rows in waves:
                with db:
                    db.executemany(statement, rows)
