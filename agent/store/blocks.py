"""Blocks in telemetry.db: sealed, offered, freed, set aside; each inside a transaction.

Every function here runs in the database's thread, within a transaction that is not its own, and
may run twice after a rollback: it has no effects but on its connection. Owns the tables `block`,
`schema` and `quarantine`. The newest block grows from commit to commit until it is full or a
contact takes it: what a block and its announcement cost is then shared by thousands of readings.
Leaves out the account (`account`), the ledger and when to commit.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.batcher import Address, build_block, by_priority, cut, grown
from agent.core.open_rows import Gap, Item, OpenRow
from agent.core.ports import PollRow
from agent.core.retention import Room
from agent.store.account import QUERIES, State, load_state, save_state
from agent.store.anchors import anchors_told
from agent.store.journal_codec import Held
from agent.store.kept import forget_safe, keep
from agent.store.ledger import Ledger, Loss
from agent.store.retention import make_room
from agent.store.shelf import digest, lose_block, put_block
from shared import limits
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.clock import Instant, WallMs
from shared.errors import Reason, WorldError
from shared.ids import BlockSeq
from shared.model.judging import ROUTINE
from shared.model.reading import SCHEMA_REF_BYTES
from shared.runtime.queries import bind
from shared.sync.outgoing import Candidate, Freed
from shared.sync.ranges import Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Everything one commit takes over; running it twice changes nothing more."""

    items: tuple[Item, ...] | None
    """Everything that is open; None leaves it open."""
    frees: tuple[Freed, ...]
    schema: Schema
    at: Instant
    room: Room
    seal: bool = False
    """No block grows any more: a contact is about to announce them."""
    clean: bool = False
    """Nothing follows: the program is being stopped."""


def commit(db: sqlite3.Connection, ledger: Ledger, plan: Commit) -> tuple[State, Held]:
    """Free, seal, evict, in this order: what was freed makes room for what comes."""
    state = load_state(db)
    for freed in plan.frees:
        free(db, ledger, state, freed, plan.at)
    if plan.items is not None:
        # An earlier commit of the same rows may have succeeded without its caller hearing of it.
        fresh = [item for item in plan.items if item.last > state.last_row]
        take_over(db, ledger, state, fresh, plan.schema)
        state.last_row = fresh[-1].last if fresh else state.last_row
        state.stamp(plan.at)
    if plan.seal:
        state.sealed = state.next_block - 1
    make_room(db, ledger, state, plan.room)
    state.clean = int(plan.clean)
    save_state(db, state)
    return state, held(db, state)


def take_over(
    db: sqlite3.Connection, ledger: Ledger, state: State, items: Sequence[Item], schema: Schema
) -> None:
    """Seal rows into numbered blocks, and write gaps into the ledger."""
    rows = [item.row for item in items if isinstance(item, OpenRow) and item.readings]
    if rows:
        schema_id = _schema_id(db, schema)
        routine = [row for row in rows if row.priority == ROUTINE]
        hasty = [row for row in rows if row.priority < ROUTINE]
        # The routine block that grows stays the newest: what is in a hurry is numbered before it.
        routine = _grow(db, state, routine, schema_id)
        for batch in (batch for one in by_priority([*hasty, *routine]) for batch in cut(one)):
            # Only the newest block grows.
            state.sealed = max(state.sealed, state.next_block - 1)
            _add_block(db, state, batch, schema, schema_id)
        if hasty and not routine:
            state.sealed = state.next_block - 1
    for item in items:
        state.sampled += item.readings + item.suppressed
        state.suppressed += item.suppressed
        if isinstance(item, Gap):
            ledger.add(db, state, _gap_loss(item))


def free(db: sqlite3.Connection, ledger: Ledger, state: State, freed: Freed, at: Instant) -> None:
    """Forget what a reply acknowledged, set aside what it rejected; again is harmless."""
    for span in freed.blocks:
        db.execute(QUERIES["confirm_schemas"], bind(*span))
        count: int = db.execute(QUERIES["count_blocks"], bind(*span)).fetchone()[0]
        if freed.safe_to is None:
            db.execute(QUERIES["delete_blocks"], bind(*span))
        else:
            keep(db, span)
        state.stored -= count
        state.delivered += count
    forget_safe(db, freed.safe_to or 0)
    # What a later reply does not ask for any more, it has.
    db.execute(QUERIES["wish_fulfilled"])
    for wanted in freed.schemas_wanted:
        if len(wanted) >= SCHEMA_REF_BYTES:
            db.execute(QUERIES["want_schema"], bind(wanted))
    for rejected in freed.rejected:
        set_aside(db, ledger, state, rejected, at)
    ledger.forget(db, freed.ledger_to)
    if freed.had is not None:
        ledger.tell_again(db, freed.had.ledger_to)
    anchors_told(db, freed.anchors)


def set_aside(
    db: sqlite3.Connection, ledger: Ledger, state: State, rejected: tuple[int, Reason], at: Instant
) -> None:
    """Move a block that nobody will accept out of the way, and write its loss down."""
    seq, reason = rejected
    db.execute(QUERIES["set_aside"], bind(seq, reason, at.wall_ms))
    lose_block(db, ledger, state, seq, reason)
    db.execute(QUERIES["prune_quarantine"], bind(limits.QUARANTINE_BLOCKS))


def held(db: sqlite3.Connection, state: State) -> Held:
    """Return what would be lost with this file."""
    first_ms, last_ms = (WallMs(time or 0) for time in db.execute(QUERIES["span"]).fetchone())
    return Held(readings=state.stored, first_ms=first_ms, last_ms=last_ms)


def waiting(db: sqlite3.Connection) -> list[Candidate]:
    """Return the blocks one contact may choose from: urgent, oldest and newest ones.

    Raises:
        WorldError: STORE_CORRUPT, their numbers are out of order: one of them cannot be found.
    """
    found: dict[int, Candidate] = {}
    for name in ("urgent", "oldest", "newest"):
        rows = db.execute(QUERIES[name], bind(limits.WAITING_BLOCKS)).fetchall()
        numbers = [row[0] for row in rows]
        if name != "urgent" and numbers != sorted(numbers, reverse=name == "newest"):
            raise WorldError(Reason.STORE_CORRUPT, "telemetry.db: blocks are out of order")
        found.update((row[0], Candidate(*row)) for row in rows)
    return [found[seq] for seq in sorted(found)]


def waiting_after(db: sqlite3.Connection, seq: int) -> list[Candidate]:
    """Return the next blocks above a number, lowest first."""
    rows = db.execute(QUERIES["waiting_after"], bind(seq, limits.WAITING_BLOCKS))
    return [Candidate(*row) for row in rows]


def backlog_bytes(db: sqlite3.Connection) -> int:
    """Return the bytes of the blocks that wait, the growing one too; at most a contact's worth."""
    size: int = db.execute(QUERIES["backlog"], bind(limits.BLOCKS_PER_REPORT)).fetchone()[0]
    return size


def read_blocks(db: sqlite3.Connection, numbers: Iterable[int]) -> tuple[list[bytes], list[int]]:
    """Return the bytes of those of these blocks that are here, and which were altered by the disk.

    The altered ones are not among the bytes: a report announces a digest that they do not have.
    """
    sound: list[bytes] = []
    altered: list[int] = []
    for seq in numbers:
        row = db.execute(QUERIES["read_block"], bind(seq)).fetchone()
        if row is None:
            continue
        if digest(row[1]) == row[0]:
            sound.append(row[1])
        else:
            altered.append(seq)
    return sound, altered


def pending(frees: Sequence[Freed]) -> tuple[Ranges, tuple[tuple[int, Reason], ...]]:
    """Return which blocks are acknowledged, and which are rejected, by what is not written yet."""
    acked = Ranges.joined(span for freed in frees for span in freed.blocks)
    rejected = {seq: reason for freed in frees for seq, reason in freed.rejected}
    return acked, tuple((seq, reason) for seq, reason in rejected.items() if seq not in acked)


def pending_readings(db: sqlite3.Connection, frees: Sequence[Freed]) -> tuple[int, int]:
    """Return how many readings those blocks hold: acknowledged, rejected."""
    acked, rejected = pending(frees)
    spans = [*acked], [(seq, seq) for seq, _ in rejected]
    delivered, lost = (
        sum(db.execute(QUERIES["count_blocks"], bind(*span)).fetchone()[0] for span in one)
        for one in spans
    )
    return delivered, lost


def unsent_schemas(db: sqlite3.Connection) -> list[bytes]:
    """Return schemas that a coordinator asked for, or may need for the blocks that are here."""
    rows = db.execute(QUERIES["unsent_schemas"], bind(limits.SCHEMAS_KEPT))
    return [row[0] for row in rows]


def _grow(
    db: sqlite3.Connection, state: State, rows: list[PollRow], schema_id: int
) -> list[PollRow]:
    """Take the newest block out, if it may still grow by `rows`; return all of its rows then."""
    found = db.execute(QUERIES["growing"], bind(state.sealed, schema_id)).fetchone()
    if found is None or found[0] != state.next_block - 1 or digest(found[2]) != found[1]:
        return rows
    block = decode(found[2])
    more = grown(block, rows)
    if more is None:
        return rows
    db.execute(QUERIES["delete_block"], bind(block.seq)).fetchall()
    state.next_block -= 1
    state.stored -= block.count
    return more


def _add_block(
    db: sqlite3.Connection, state: State, rows: Sequence[PollRow], schema: Schema, schema_id: int
) -> None:
    address = Address(state.epoch, BlockSeq(state.next_block), schema.hash)
    put_block(db, state, build_block(rows, address), schema_id)


def _schema_id(db: sqlite3.Connection, schema: Schema) -> int:
    row = db.execute(QUERIES["find_schema"], bind(schema.hash)).fetchone()
    if row is None:
        # All rows of a RETURNING are fetched: a statement left open would stop the commit.
        [row] = db.execute(QUERIES["add_schema"], bind(schema.hash, schema.encode())).fetchall()
        db.execute(QUERIES["prune_schemas"], bind(limits.SCHEMAS_KEPT))
    schema_id: int = row[0]
    return schema_id


def _gap_loss(gap: Gap) -> Loss:
    return Loss(reason=gap.reason, count=gap.readings, first_ms=gap.first_ms, last_ms=gap.last_ms)
