"""What must be true of an agent's files after the power came back, by what it had said before."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from agent.store.contact import ContactStore
from agent.store.jobs_file import JobsFile
from agent.store.telemetry import TelemetryStore
from shared.block.codec import decode
from shared.errors import Reason
from shared.runtime.clock import SystemEntropy
from shared.wire.messages import LossRow
from tests.agent_parts import uid
from tests.power.agent_writer import POINTS, SETTINGS, TABLE
from tests.power.recording import Kind, Operation
from tests.unit.readings_world import HandClock


@dataclass
class Said:
    """Everything the program had said until the power went."""

    recorded: int = 0
    durable_to: int = 0
    epoch: str = ""
    announced: dict[int, str] = field(default_factory=dict)
    rows: dict[int, list[int]] = field(default_factory=dict)
    """Of announced blocks."""
    left: set[int] = field(default_factory=set)
    """Blocks that were acknowledged or refused, which a power cut may undo."""
    shown: dict[int, list[int]] = field(default_factory=dict)
    ledger_to: int = 0
    anchors: set[int] = field(default_factory=set)
    told: set[int] = field(default_factory=set)
    report: tuple[int, str] = (0, "")
    settled: int = 0
    orders: set[int] = field(default_factory=set)

    @classmethod
    def until(cls, operations: Iterable[Operation]) -> "Said":
        said = cls()
        for one in operations:
            if one.kind is Kind.SAID:
                said.hear(**one.said)
        return said

    def hear(self, **facts: object) -> None:
        """Take one sentence."""
        match facts:
            case {"announced": list(blocks), "epoch": str(epoch), "durable_to": int(row)}:
                self.epoch, self.durable_to = epoch, max(row, self.durable_to)
                for seq, digest, rows in blocks:
                    self.announced[seq], self.rows[seq] = digest, rows
            case {"acked": list(acked), "refused": list(refused), "ledger_to": int(number)}:
                self.left |= {*acked, *refused}
                self.ledger_to = max(self.ledger_to, number)
            case {"shown": list(rows)}:
                self.shown.update((row[0], row) for row in rows)
            case {"told": list(monos)}:
                self.told |= set(monos)
            case {"anchor": int(mono)}:
                # A later one of a boot replaces those that were told.
                self.anchors = {one for one in self.anchors if one not in self.told} | {mono}
            case {"report": [int(counter), str(digest)]}:
                self.report = counter, digest
            case {"order": int(number)}:
                self.orders.add(number)
            case {"recorded": int()} | {"settled": int()}:
                for name, value in facts.items():
                    setattr(self, name, value)
            case _:
                raise AssertionError(facts)


async def check(folder: Path, said: Said) -> list[str]:
    """Open the files as the agent would; return each promise that does not hold."""
    return [*await _check_telemetry(folder, said), *await _check_jobs(folder, said)]


async def _check_telemetry(folder: Path, said: Said) -> list[str]:
    clock = HandClock()
    clock.reboot(off_ms=10**9)
    store = await TelemetryStore.open(
        folder, folder / "run", TABLE, SETTINGS, clock=clock, entropy=SystemEntropy()
    )
    try:
        database = store._file.usable
        assert database, store.status.trouble
        blocks = await database.read(_blocks)
        tally, ledger = await store.tally(), await database.read(_losses)
        anchors, epoch, next_block = await database.read(_anchors), store.epoch, store.next_block
    finally:
        await store.close()
    wrong = [name.name for name in folder.iterdir() if ".corrupt-" in name.name]
    if said.epoch and epoch.hex() != said.epoch:
        return [*wrong, "another epoch"]
    rows = [row for _, data in blocks.values() for row in _numbers(data)]
    estimated = sum(row.count for row in ledger if row.estimated)
    exact = tally.sampled - estimated
    kept = exact // POINTS
    losses = {row.number: [row.number, row.reason, row.count] for row in ledger}
    gone = {seq for seq in said.announced if seq not in blocks}
    promises = {
        "the account adds up": tally.sampled
        == tally.suppressed + tally.delivered + tally.stored + tally.lost,
        "the account counts what is here": tally.stored == POINTS * len(rows),
        "no row is here twice": len(rows) == len(set(rows)),
        "whole rows were sampled": exact % POINTS == 0,
        "nothing durable is missing": kept >= said.durable_to,
        "nothing is counted that was not": kept <= said.recorded,
        "rows are those that were counted": all(row <= kept for row in rows),
        "what is missing is estimated": kept == said.recorded
        or not said.epoch
        or any(row.reason == Reason.UNCLEAN_STOP and row.estimated for row in ledger),
        "announced blocks are the same": all(
            blocks[seq][0] == digest for seq, digest in said.announced.items() if seq in blocks
        ),
        "announced blocks are here, or acknowledged, or in the ledger": gone <= said.left
        or tally.lost - estimated >= _readings(said, gone - said.left),
        "no number is given twice": next_block > max(said.announced, default=0),
        "shown losses do not change": all(
            losses.get(number) == row
            for number, row in said.shown.items()
            if number > said.ledger_to
        ),
        "untold true times are here": said.anchors - said.told <= anchors,
    }
    return [*wrong, *(promise for promise, holds in promises.items() if not holds)]


def _readings(said: Said, blocks: Iterable[int]) -> int:
    return sum(POINTS * len(said.rows[seq]) for seq in blocks)


def _blocks(db: sqlite3.Connection) -> dict[int, tuple[str, bytes]]:
    rows = db.execute("SELECT seq, digest, data FROM block").fetchall()
    return {seq: (digest.hex(), data) for seq, digest, data in rows}


def _losses(db: sqlite3.Connection) -> list[LossRow]:
    rows = db.execute("SELECT number, reason, first_ms, last_ms, count, estimated FROM loss")
    return [LossRow(*row) for row in rows.fetchall()]


def _anchors(db: sqlite3.Connection) -> set[int]:
    return {mono for (mono,) in db.execute("SELECT mono_ms FROM anchor WHERE told = 0").fetchall()}


@lru_cache(maxsize=1_024)
def _numbers(data: bytes) -> Sequence[int]:
    """Return the rows of a block, which is the same after most cuts."""
    return [int(n) for group in decode(data).groups for n in group.columns[0] if n is not None]


async def _check_jobs(folder: Path, said: Said) -> list[str]:
    file = await JobsFile(folder, SystemEntropy()).open()
    try:
        standing = await ContactStore(file).standing()
        found = await file.read(lambda db: db.execute("SELECT id FROM execution").fetchall())
    finally:
        await file.close()
    counter, digest = said.report
    pending = standing.pending
    promises = {
        "orders that were admitted are here": {uid(order) for order in said.orders}
        <= {one for (one,) in found},
        "no report's number is given twice": standing.counter >= counter,
        "a report that waits is the same": standing.counter != counter
        or said.settled == counter
        or (pending is not None and pending.digest.hex() == digest),
    }
    return [promise for promise, holds in promises.items() if not holds]
