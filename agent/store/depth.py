"""What waits in telemetry.db, looked at from outside: how much, how old, and what is still there.

Owns the questions of status, health and of a coordinator that misses blocks. Nothing here changes
anything. Leaves out what one contact takes (`agent.store.blocks`).
"""

import sqlite3

from agent.core.ports import Depth
from agent.store.account import QUERIES
from shared import limits
from shared.runtime.queries import bind
from shared.sync.outgoing import Candidate
from shared.sync.ranges import Range, Ranges


def depths(db: sqlite3.Connection) -> list[Depth]:
    """Return what waits by priority, the most urgent first; priorities without any are left out.

    Routine blocks may be thousands: their count follows from the account, their age from the
    oldest one, and no other is looked at.
    """
    found = [Depth(*row) for row in db.execute(QUERIES["urgent_depths"])]
    stored = db.execute(QUERIES["stored"]).fetchone()
    routine = (stored[0] if stored else 0) - sum(one.readings for one in found)
    oldest = db.execute(QUERIES["oldest_routine"]).fetchone()
    if routine > 0 and oldest is not None:
        found.append(Depth(limits.BLOCK_PRIORITIES - 1, routine, oldest[0]))
    return found


def asked_again(db: sqlite3.Connection, asked: Ranges) -> tuple[list[Candidate], list[Range]]:
    """Return those of these blocks that are here, bounded, and the ranges that never will be again.

    A number that was not given yet is neither.
    """
    here: list[Candidate] = []
    gone: list[Range] = []
    (sealed,) = db.execute(QUERIES["sealed"]).fetchone() or (0,)
    for first, last in asked:
        room = limits.WAITING_BLOCKS - len(here)
        if first > sealed or room <= 0:
            break
        end = min(last, sealed)
        rows = db.execute(QUERIES["blocks_between"], bind(first, end, room)).fetchall()
        found = [Candidate(*row) for row in rows]
        here += found
        if len(found) == room:
            end = found[-1].seq
        gone += Ranges.of(one.seq for one in found).missing(first, end)
    return here, gone[: limits.GONE_RANGES]
