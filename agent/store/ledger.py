"""The loss ledger: readings that will never be delivered, numbered, delivered like data.

Owns the table `loss` inside a transaction. A row that a contact may have carried never changes
again; until then losses of one reason widen the newest row, so that a store which is full for
months keeps one row and not one for each commit.
"""

import sqlite3
from dataclasses import dataclass

from agent.store.account import QUERIES, State
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.runtime.queries import bind
from shared.wire.messages import LossRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Readings that are gone, and the wall times between which they were taken."""

    reason: Reason
    count: int
    first_ms: WallMs
    last_ms: WallMs
    estimated: bool = False
    """Nobody counted them: they were lost with what had counted them."""


class Ledger:
    """The ledger of one open database; used in its thread only."""

    def __init__(self) -> None:
        self._shown_to = 0

    def begin(self, state: State) -> None:
        """Start with an open database: an earlier process may have shown every row."""
        self._shown_to = state.next_loss - 1

    def add(self, db: sqlite3.Connection, state: State, loss: Loss) -> None:
        """Write down a loss and count it; one of no readings leaves no trace.

        What was counted in `stored` before is the caller's to take off, and what was never
        counted is the caller's to add to `sampled`.
        """
        if loss.count == 0:
            return
        state.lost += loss.count
        newest = db.execute(QUERIES["newest_loss"]).fetchone()
        if newest and newest[0] > self._shown_to and newest[1:] == (loss.reason, loss.estimated):
            db.execute(
                QUERIES["widen_loss"], bind(newest[0], loss.first_ms, loss.last_ms, loss.count)
            )
            return
        db.execute(
            QUERIES["add_loss"],
            bind(
                state.next_loss,
                loss.reason,
                loss.first_ms,
                loss.last_ms,
                loss.count,
                loss.estimated,
            ),
        )
        state.next_loss += 1

    def page(self, db: sqlite3.Connection) -> list[LossRow]:
        """Return the oldest rows for a contact; from now on they do not change."""
        rows = db.execute(QUERIES["losses"], bind(limits.LEDGER_PAGE)).fetchall()
        if rows:
            self._shown_to = max(self._shown_to, rows[-1][0])
        return [LossRow(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]

    def forget(self, db: sqlite3.Connection, number: int) -> None:
        """Drop rows up to `number`: a coordinator has them. The newest are kept beside."""
        db.execute(QUERIES["keep_losses"], bind(number))
        if db.execute(QUERIES["forget_losses"], bind(number)).rowcount > 0:
            db.execute(QUERIES["let_go_losses"], bind(limits.LOSSES_KEPT))

    def tell_again(self, db: sqlite3.Connection, number: int) -> None:
        """Take back what a coordinator above `number` does not have any more."""
        if db.execute(QUERIES["tell_losses_again"], bind(number)).rowcount > 0:
            db.execute(QUERIES["told_losses_again"], bind(number))
