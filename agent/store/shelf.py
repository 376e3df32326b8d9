"""One block's row in telemetry.db: put there, taken out, lost; inside a transaction.

Owns what every change of the table `block` has to keep right in the account. Leaves out which
block, and why (`blocks`, `retention`).
"""

import sqlite3
from hashlib import sha256

from agent.store.account import QUERIES, State
from agent.store.ledger import Ledger, Loss
from shared.block.codec import encode, read_header
from shared.errors import Reason
from shared.model.reading import Block
from shared.runtime.queries import bind

DIGEST_BYTES = 16
"""How much of a block's sha256 a report announces."""


def digest(data: bytes) -> bytes:
    """Return how a report announces a block."""
    return sha256(data).digest()[:DIGEST_BYTES]


def put_block(
    db: sqlite3.Connection, state: State, block: Block, schema_id: int, *, every_ms: int = 0
) -> None:
    """Add the block that has the next number, and count its readings as stored."""
    assert block.seq == state.next_block, "numbers are given in order, once"
    data = encode(block)
    header = read_header(data)
    db.execute(
        QUERIES["add_block"],
        bind(
            header.seq,
            header.priority,
            header.count,
            header.first_ms,
            header.last_ms,
            schema_id,
            digest(data),
            data,
            every_ms,
        ),
    )
    state.next_block += 1
    state.stored += header.count


def lose_block(
    db: sqlite3.Connection, ledger: Ledger, state: State, seq: int, reason: Reason
) -> None:
    """Remove a block, if it is here, and write its readings down as lost."""
    for count, first_ms, last_ms in db.execute(QUERIES["delete_block"], bind(seq)).fetchall():
        state.stored -= count
        ledger.add(db, state, Loss(reason=reason, count=count, first_ms=first_ms, last_ms=last_ms))


def used_bytes(db: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something, as of this transaction."""
    size, pages, spare = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size * (pages - spare)
