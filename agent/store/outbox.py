"""Receipts: numbered facts about executions and tasks, kept until the coordinator has them.

Owns writing them; runs inside the transaction of the fact it tells, and is never used alone.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.model.job import ExecutionState, TaskState, Value
from shared.runtime.queries import bind, load_queries
from shared.wire.codec import pack
from shared.wire.messages import Receipt

_SQL = load_queries("agent.store", "queries/jobs.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is to be told: a task's state on `device`, or the execution's when that is empty."""

    state: TaskState | ExecutionState
    device: str = ""
    attempt: int = 0
    reason: Reason | None = None
    detail: str = ""
    result: Mapping[str, Value] = field(default_factory=dict)
    firings: tuple[int, int, int] = (0, 0, 0)
    """It is about firings of a standing job: the first, the last, how many."""


def tell(db: sqlite3.Connection, execution: tuple[int, bytes], fact: Fact, at: WallMs) -> int:
    """Write the receipt of a fact about an execution (row number, id); return its number."""
    row, uid = execution
    number: int = db.execute(_SQL["reserve_receipt"]).fetchone()[0]
    receipt = Receipt(
        number=number,
        execution=uid,
        device=fact.device,
        state=int(fact.state),
        attempt=fact.attempt,
        reason=int(fact.reason or 0),
        wall_ms=at,
        # A path's name may hold what is no text; a receipt must stay readable.
        detail=fact.detail[: limits.DETAIL_CHARS].encode("utf-8", "replace").decode(),
        result=dict(fact.result),
        firing_ms=fact.firings[0],
        last_ms=fact.firings[1],
        count=fact.firings[2],
    )
    db.execute(_SQL["write_receipt"], bind(number, pack(receipt)))
    db.execute(_SQL["set_newest_receipt"], bind(row, number))
    return number
