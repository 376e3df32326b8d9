"""Receipts that wait in jobs.db: taken for a report, freed by an answer, told anew.

Runs inside the transactions of `agent.store.contact` and `agent.store.carried`. Leaves out how a
receipt comes to be (`agent.store.outbox`).
"""

import logging
import sqlite3
from collections.abc import Iterable

from agent.store.outbox import Fact, Outbox
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.model.job import ExecutionState
from shared.runtime.logs import Events
from shared.runtime.queries import bind, load_queries
from shared.sync.outgoing import Freed
from shared.wire.codec import pack, unpack
from shared.wire.messages import VOID, Receipt

_SQL = load_queries("agent.store", "queries/jobs.sql")
_CONTACT = load_queries("agent.store", "queries/contact.sql")
_log = Events(__name__)

_Told = tuple[int, bytes, int, int]
"""An execution, its id, its state and the reason for that."""


def receipts_after(db: sqlite3.Connection, number: int, at: WallMs) -> list[Receipt]:
    """Return the oldest receipts after a number that wait, as many as a report may have.

    One that damage made unreadable becomes void, or its number would be waited for. What it told
    is not known: every execution that it may have been the last word of is told anew, `at` now.
    """
    found: list[Receipt] = []
    unreadable: list[int] = []
    rows = db.execute(_SQL["receipts_after"], bind(number, limits.RECEIPTS_PER_REPORT)).fetchall()
    for its, body in rows:
        receipt = _readable(its, body)
        if receipt is None:
            receipt = _void(its, at)
            db.execute(_SQL["void_receipt"], bind(its, pack(receipt)))
            unreadable.append(its)
        found.append(receipt)
    if unreadable:
        told = db.execute(_SQL["told_since"], bind(unreadable[0])).fetchall()
        _tell_anew(db, told, at)
        _log.event("receipts_unreadable", level=logging.ERROR, count=len(unreadable))
    return found


def settle_receipts(db: sqlite3.Connection, freed: Freed, at: WallMs) -> int:
    """Note which receipts a coordinator has; return how many it had not had before.

    One that was put back since says what is left there: what it lacks waits again. Of what ended
    and was told by receipts that nobody has any more, the end is told once more.
    """
    had = freed.had
    if had is not None:
        db.execute(_SQL["tell_receipts_again"], bind(had.receipts_to))
        untold = db.execute(_SQL["ended_untold"], bind(had.receipts_to)).fetchall()
        _tell_anew(db, untold, at)
        db.execute(_CONTACT["hear_epoch"], bind(had.restore_epoch))
    waited: int = db.execute(_SQL["count_receipts"]).fetchone()[0]
    db.execute(_SQL["free_receipts"], bind(freed.receipts_to))
    db.execute(_SQL["let_go_receipts"], bind(limits.RECEIPTS_KEPT))
    oldest = db.execute(_SQL["oldest_receipt"]).fetchone()[0]
    db.execute(_SQL["forget_executions"], bind(oldest, limits.EXECUTIONS_KEPT))
    done: int = waited - db.execute(_SQL["count_receipts"]).fetchone()[0]
    return done


def _tell_anew(db: sqlite3.Connection, executions: Iterable[_Told], at: WallMs) -> None:
    """Write what became of executions once more, as newest receipts."""
    outbox = Outbox(db)
    for execution, uid, state, reason in executions:
        fact = Fact(state=ExecutionState(state), reason=Reason(reason) if reason else None)
        receipt = outbox.write(uid, fact, at)
        db.execute(_SQL["set_newest_receipt"], bind(execution, receipt))


def _readable(number: int, body: bytes) -> Receipt | None:
    try:
        receipt = unpack(body, Receipt, bound=limits.REPORT_BYTES)
    except RefusedError:
        return None
    return receipt if receipt.number == number else None


def _void(number: int, at: WallMs) -> Receipt:
    detail = "this receipt could not be read any more from the gateway's disk"
    return Receipt(number, VOID, "", 0, 0, int(Reason.STORE_CORRUPT), at, detail)
