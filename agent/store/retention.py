"""Room for readings in telemetry.db: what gives way, in which order; inside a transaction.

Owns the order: copies that nobody needs, then every other row of what is old and routine, then
whole blocks, the least urgent and oldest first. Each loss is in the ledger when the transaction
ends. Leaves out how much room there is (`agent.core.retention`).
"""

import sqlite3
from dataclasses import dataclass, replace

from agent.core.retention import STEPS_MS, Room, thinned
from agent.store.account import QUERIES, State
from agent.store.kept import let_go
from agent.store.ledger import Ledger, Loss
from agent.store.shelf import digest, lose_block, put_block, used_bytes
from shared import limits
from shared.block.codec import decode
from shared.errors import Reason
from shared.ids import BlockSeq
from shared.model.reading import Block
from shared.runtime.queries import bind
from shared.runtime.sqlite import give_back

_PRIORITIES = (2, 1, 0)
"""The least urgent first."""
_EARLY = 16
"""A sixteenth of the room is left when thinning begins: it looks at a few blocks per commit only,
and whole blocks must not go while others could be thinned."""


@dataclass(frozen=True, slots=True)
class _Thin:
    """What is left of a block."""

    block: Block
    schema_id: int
    every_ms: int


def make_room(db: sqlite3.Connection, ledger: Ledger, state: State, room: Room) -> None:
    """Let go of what is worth least until the file's used pages fit into the room there is."""
    _make_room(db, ledger, state, room.bytes_for(used_bytes(db)))
    if room.lacking_bytes > 0:
        give_back(db, limits.GIVEN_BACK_PER_COMMIT)


def _make_room(db: sqlite3.Connection, ledger: Ledger, state: State, max_bytes: int) -> None:
    early_bytes = max_bytes - max_bytes // _EARLY
    if used_bytes(db) <= early_bytes:
        return
    while used_bytes(db) > early_bytes and let_go(db):
        continue
    db.execute(QUERIES["prune_quarantine"], bind(0))
    _thin(db, ledger, state, early_bytes)
    for priority in _PRIORITIES:
        while used_bytes(db) > max_bytes:
            row = db.execute(QUERIES["least_worth"], bind(priority)).fetchone()
            if row is None:
                break
            lose_block(db, ledger, state, row[0], Reason.STORE_QUOTA)


def _thin(db: sqlite3.Connection, ledger: Ledger, state: State, max_bytes: int) -> None:
    """Thin old routine blocks, a bounded number of them; a thinner block gets a new number.

    A contact may have carried the old one: its number names those bytes and no others.
    """
    looks = limits.THINNED_PER_COMMIT
    growing: tuple[Block, int] | None = None
    lifted = False
    for every_ms in STEPS_MS:
        while looks and used_bytes(db) > max_bytes:
            row = db.execute(QUERIES["to_thin"], bind(every_ms, state.sealed)).fetchone()
            if row is None:
                break
            looks -= 1
            seq, known, data, schema_id = row
            # One that the disk altered is found, and written down, when a contact asks for it.
            thin = thinned(decode(data), every_ms) if digest(data) == known else None
            if thin is None:
                db.execute(QUERIES["is_thin"], bind(seq, every_ms))
                continue
            if not lifted:
                growing, lifted = _lift_growing(db, state), True
            _replace(db, ledger, state, seq, _Thin(thin, schema_id, every_ms))
    if lifted:
        state.sealed = state.next_block - 1
    if growing:
        block, schema_id = growing
        put_block(db, state, replace(block, seq=BlockSeq(state.next_block)), schema_id)


def _replace(db: sqlite3.Connection, ledger: Ledger, state: State, seq: int, thin: _Thin) -> None:
    [(count, first_ms, last_ms)] = db.execute(QUERIES["delete_block"], bind(seq)).fetchall()
    state.stored -= count
    block = replace(thin.block, seq=BlockSeq(state.next_block))
    put_block(db, state, block, thin.schema_id, every_ms=thin.every_ms)
    lost = count - block.count
    loss = Loss(reason=Reason.STORE_THINNED, count=lost, first_ms=first_ms, last_ms=last_ms)
    ledger.add(db, state, loss)


def _lift_growing(db: sqlite3.Connection, state: State) -> tuple[Block, int] | None:
    """Take the block that still grows out: it stays the newest, behind what is put in now."""
    row = db.execute(QUERIES["newest_open"], bind(state.sealed)).fetchone()
    if row is None or row[0] != state.next_block - 1 or digest(row[2]) != row[1]:
        return None
    block = decode(row[2])
    db.execute(QUERIES["delete_block"], bind(block.seq)).fetchall()
    state.next_block -= 1
    state.stored -= block.count
    return block, row[3]
