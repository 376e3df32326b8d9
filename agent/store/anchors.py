"""Anchors in telemetry.db: true time of boots, kept until a coordinator has heard it.

Owns the table `anchor` inside a transaction. An anchor of a boot long past waits like one of today:
readings of that boot may reach the coordinator a year later.
"""

import sqlite3
from collections.abc import Iterable

from agent.core.anchor import worth_telling
from agent.store.account import QUERIES
from shared import limits
from shared.runtime.queries import bind
from shared.wire.messages import Anchor


def learn_anchor(db: sqlite3.Connection, anchor: Anchor) -> bool:
    """Keep a measurement that says something new; tell whether it did."""
    row = db.execute(QUERIES["newest_anchor"], bind(anchor.boot_id)).fetchone()
    if not worth_telling(None if row is None else Anchor(*row), anchor):
        return False
    # Told ones of other boots, and the one of this boot that is about to be outdone.
    db.execute(QUERIES["forget_told"])
    db.execute(
        QUERIES["add_anchor"],
        bind(anchor.boot_id, anchor.mono_ms, anchor.wall_ms, anchor.err_ms),
    )
    db.execute(QUERIES["prune_anchors"], bind(limits.ANCHORS_KEPT))
    return True


def untold_anchors(db: sqlite3.Connection) -> list[Anchor]:
    """Return what a report has to carry, oldest first, bounded."""
    rows = db.execute(QUERIES["untold_anchors"], bind(limits.ANCHORS_PER_REPORT))
    return [Anchor(*row) for row in rows.fetchall()]


def anchors_told(db: sqlite3.Connection, anchors: Iterable[Anchor]) -> None:
    """Note that a report with these was answered; again is harmless."""
    for anchor in anchors:
        db.execute(QUERIES["anchor_told"], bind(anchor.boot_id, anchor.mono_ms))
