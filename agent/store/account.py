"""The one row that says whose readings these are and what became of all of them.

Owns reading and writing the row `state` of telemetry.db inside a transaction. Its equation,
sampled = suppressed + delivered + stored + lost, is a constraint of the table: a commit that breaks
it cannot happen.
"""

import sqlite3
from dataclasses import dataclass
from operator import attrgetter
from zlib import crc32

from shared.clock import Instant, MonoMs, WallMs
from shared.errors import Reason, WorldError
from shared.ids import StoreEpoch
from shared.runtime.queries import bind, load_queries
from shared.wire.messages import Tally

QUERIES = load_queries("agent.store", "queries/telemetry.sql")


@dataclass(slots=True, kw_only=True)
class State:
    """The row as one transaction reads, changes and saves it; its fields are the columns."""

    epoch: StoreEpoch
    next_block: int
    sealed: int
    """Blocks up to this number are immutable; the one after them, if it is here, still grows."""
    next_loss: int
    sampled: int
    suppressed: int
    delivered: int
    stored: int
    lost: int
    journal: bytes
    """Id of the journal that holds the rows after `last_row`."""
    last_row: int
    clean: int
    """1 once everything was committed by a stop that was asked for."""
    boot: bytes
    wall_ms: WallMs
    mono_ms: MonoMs
    interval_ms: int
    per_day: int
    """Readings of a whole day as configured: what an interval that was lost would have held."""
    commits: int

    @property
    def tally(self) -> Tally:
        """Return the account."""
        return Tally(self.sampled, self.suppressed, self.delivered, self.stored, self.lost)

    def stamp(self, at: Instant) -> None:
        """Note that everything recorded until `at` is in the database."""
        self.boot, self.wall_ms, self.mono_ms = at.boot_id, at.wall_ms, at.mono_ms


_COLUMNS = tuple(State.__dataclass_fields__)
_ROW = attrgetter(*_COLUMNS)


def is_new(db: sqlite3.Connection) -> bool:
    """Tell whether nobody ever took possession of this file."""
    return bool(db.execute(QUERIES["is_new"]).fetchone()[0])


def begin_state(db: sqlite3.Connection, epoch: StoreEpoch) -> State:
    """Return the row; a new file gets one with this epoch.

    The epoch is there twice. Where damage altered one of them, their checksum tells which.

    Raises:
        WorldError: STORE_CORRUPT, it tells neither.
    """
    db.execute(QUERIES["begin"], bind(epoch))
    state = load_state(db)
    db.execute(QUERIES["begin_identity"], bind(state.epoch, crc32(state.epoch)))
    other, crc = db.execute(QUERIES["identity"]).fetchone()
    if state.epoch != other or crc32(other) != crc:
        # Damage may have left nothing at all of a column that cannot be empty.
        sound = [one for one in {state.epoch, other} if one is not None and crc32(one) == crc]
        if not sound and state.epoch != other:
            raise WorldError(
                Reason.STORE_CORRUPT, "telemetry.db does not say whose readings it has"
            )
        state.epoch = StoreEpoch(sound[0] if sound else other)
        db.execute(QUERIES["set_epoch"], bind(state.epoch))
        db.execute(QUERIES["set_identity"], bind(state.epoch, crc32(state.epoch)))
    return state


def load_state(db: sqlite3.Connection) -> State:
    """Return the row as it is."""
    return State(**dict(zip(_COLUMNS, db.execute(QUERIES["load_state"]).fetchone(), strict=True)))


def save_state(db: sqlite3.Connection, state: State) -> None:
    """Write the row."""
    db.execute(QUERIES["save_state"], bind(*_ROW(state)))
