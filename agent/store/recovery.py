"""After a start: what journals still hold, what was lost, and the one transaction that settles it.

Owns the judgement whether a database and its journal continue each other, and the estimate where
they do not. Every row that a journal holds and the database has not taken over is sealed or stays
open, exactly once, whatever moment a kill chose: the database remembers per journal how far it has
taken over, in the transaction that took over.
"""

import contextlib
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.open_rows import Item, OpenRow
from agent.core.retention import Room
from agent.core.sampler import DAY_MS
from agent.store.account import QUERIES, State, begin_state, is_new, save_state
from agent.store.blocks import held, take_over
from agent.store.journal_codec import Held, Recovered
from agent.store.ledger import Ledger, Loss
from agent.store.retention import make_room
from shared.clock import ClockState, Instant, WallMs
from shared.errors import Reason
from shared.ids import StoreEpoch
from shared.runtime.queries import bind
from shared.runtime.sqlite import quick_check

WRITEBACK_MS = 35_000
"""What a power cut takes of commits that did not wait for the disk: Linux writes a page back when
it is 30 s old (vm.dirty_expire_centisecs) and looks every 5 s (vm.dirty_writeback_centisecs)."""
BYTES_PER_READING = 2
"""Of a stored block: what estimates a damaged file of which nothing else is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach:
    """What a start found, and how this process will go on."""

    epoch: StoreEpoch
    """For a file that is new."""
    journal: bytes
    """The journal of this process."""
    last_row: int
    """The row before its first open one: where it begins for a database that does not know it."""
    found: tuple[Recovered, ...]
    """Every journal that was there at the start, this process's own included if it is resumed."""
    before: Loss | None
    """What was lost with the file that was here before, if this one is new."""
    at: Instant
    interval_ms: int
    per_day: int
    room: Room


def attach(db: sqlite3.Connection, ledger: Ledger, plan: Attach) -> tuple[State, Held]:
    """Settle what an earlier process left, and take possession of the file.

    Afterwards every journal but this process's own is taken over completely.

    Raises:
        WorldError: STORE_CORRUPT, what the file says of itself cannot be.
    """
    quick_check(db, "telemetry.db", table="state")
    fresh_file = is_new(db)
    state = begin_state(db, plan.epoch)
    ledger.begin(state)
    _count_again(db, ledger, state, plan.at)
    last_rows: dict[bytes, int] = dict(db.execute(QUERIES["journal_rows"]).fetchall())
    last_rows[state.journal] = state.last_row
    loss = plan.before if fresh_file else _estimate(state, plan)
    if loss:
        state.sampled += loss.count
        ledger.add(db, state, loss)
    db.execute(QUERIES["forget_journals"])
    for recovered in plan.found:
        if recovered.header.id == plan.journal:
            continue
        items = _fresh(recovered, last_rows.get(recovered.header.id, 0))
        take_over(db, ledger, state, items, recovered.header.schema)
        last = items[-1].last if items else last_rows.get(recovered.header.id, 0)
        db.execute(QUERIES["remember_journal"], bind(recovered.header.id, last))
    state.sealed = state.next_block - 1
    state.last_row = last_rows.get(plan.journal, plan.last_row)
    state.journal, state.clean = plan.journal, 0
    state.interval_ms, state.per_day = plan.interval_ms, plan.per_day
    own = next((one for one in plan.found if one.header.id == plan.journal), None)
    if fresh_file or not own or not _fresh(own, state.last_row):
        # Otherwise rows from before stay open, and would be lost with their journal.
        state.stamp(plan.at)
    make_room(db, ledger, state, plan.room)
    save_state(db, state)
    return state, held(db, state)


def loss_before(path: Path, known: Held | None, *, now_ms: WallMs) -> Loss | None:
    """Return the estimated loss with the damaged database that stood at `path` before a new one.

    None when there was none. `known` is what the journal says it held; without a journal the file
    itself is asked, and at last its size.
    """
    number = max(
        (
            int(found[1])
            for name in path.parent.iterdir()
            if (found := re.fullmatch(re.escape(path.name) + r"\.corrupt-(\d+)", name.name))
        ),
        default=0,
    )
    if not number:
        return None
    aside = path.with_name(f"{path.name}.corrupt-{number}")
    known = known or _salvage(aside)
    if known is None:
        size = 0
        with contextlib.suppress(OSError):
            size = aside.stat().st_size
        known = Held(readings=size // BYTES_PER_READING)
    return Loss(
        reason=Reason.STORE_CORRUPT,
        count=known.readings,
        first_ms=known.first_ms or now_ms,
        last_ms=known.last_ms or now_ms,
        estimated=True,
    )


def _count_again(db: sqlite3.Connection, ledger: Ledger, state: State, at: Instant) -> None:
    """Compare what is counted as stored with what is here: a damaged page takes blocks in silence.

    Which readings they held nobody knows, so their loss is an estimate.
    """
    found = int(db.execute(QUERIES["count_all"]).fetchone()[0])
    missing, state.stored = state.stored - found, found
    # More than were counted: damage makes up blocks as well.
    state.sampled += max(0, -missing)
    first_ms, last_ms = (
        WallMs(time or at.wall_ms) for time in db.execute(QUERIES["span"]).fetchone()
    )
    ledger.add(
        db,
        state,
        Loss(
            reason=Reason.STORE_CORRUPT,
            count=max(0, missing),
            first_ms=first_ms,
            last_ms=last_ms,
            estimated=True,
        ),
    )


def _estimate(state: State, plan: Attach) -> Loss | None:
    """Return the loss of what was polled after the last commit and is in no journal."""
    if state.clean:
        return None
    own = next((one for one in plan.found if one.header.id == state.journal), None)
    continues = own is not None and own.header.first <= state.last_row + 1
    if own and continues and not own.damaged and own.header.boot_id == plan.at.boot_id:
        return None
    first_ms, passed_ms = state.wall_ms, _passed_ms(state, plan.at)
    rows = [item.row.at for item in own.items if isinstance(item, OpenRow)] if own else []
    if rows and rows[-1].boot_id == state.boot:
        # What the journal did keep is not lost: the interval begins with its last row.
        passed_ms -= min(passed_ms, max(0, rows[-1].mono_ms - state.mono_ms))
        first_ms = rows[-1].wall_ms
    return Loss(
        reason=Reason.UNCLEAN_STOP,
        count=state.per_day * passed_ms // DAY_MS,
        first_ms=first_ms,
        last_ms=WallMs(first_ms + passed_ms),
        estimated=True,
    )


def _passed_ms(state: State, at: Instant) -> int:
    """Return how long readings were taken after the last commit, at most.

    Nobody knows when the power went: not after a whole interval, for then there was a commit.
    """
    most_ms = state.interval_ms + WRITEBACK_MS
    if at.boot_id == state.boot:
        return min(at.mono_ms - state.mono_ms, most_ms)
    trusted = at.state in {ClockState.SYNCED, ClockState.HOLDOVER}
    since_ms = at.wall_ms - state.wall_ms
    return min(since_ms, most_ms) if trusted and since_ms > 0 else most_ms


def _fresh(recovered: Recovered, last: int) -> Sequence[Item]:
    return [item for item in recovered.items if item.last > last]


def _salvage(aside: Path) -> Held | None:
    """Ask a damaged file for its count, without changing it; None if it cannot tell."""
    try:
        with contextlib.closing(sqlite3.connect(f"{aside.as_uri()}?immutable=1", uri=True)) as db:
            count, first_ms, last_ms = db.execute(QUERIES["salvage"]).fetchone()
            return Held(
                readings=int(count), first_ms=WallMs(int(first_ms)), last_ms=WallMs(int(last_ms))
            )
    except (sqlite3.Error, TypeError, ValueError):
        return None  # unreadable, without a block, or of types that no block has
