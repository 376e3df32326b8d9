"""Delivered blocks that are kept while there is room: a coordinator may come back from a backup.

Owns the table `kept`, inside transactions that are not its own. A block moves here when it is
acknowledged, and goes when a verified backup holds it, or when anything else needs its room: what
is delivered never costs a reading that is not. Leaves out the account, which has it as delivered.
"""

import sqlite3

from agent.store.account import QUERIES
from shared.runtime.queries import bind
from shared.sync.ranges import Range

_AT_ONCE = 16
"""Blocks let go between two looks at the room: a few pages each."""


def keep(db: sqlite3.Connection, span: Range) -> None:
    """Move delivered blocks over; again is harmless."""
    db.execute(QUERIES["keep_blocks"], bind(*span))
    db.execute(QUERIES["delete_blocks"], bind(*span))


def forget_safe(db: sqlite3.Connection, safe_to: int) -> None:
    """Let go what a verified backup of the coordinator holds: everything below a number."""
    if safe_to > 0:
        db.execute(QUERIES["forget_safe"], bind(safe_to))


def let_go(db: sqlite3.Connection) -> bool:
    """Let the oldest kept blocks go; False when there are none."""
    return db.execute(QUERIES["let_go"], bind(_AT_ONCE)).rowcount > 0
