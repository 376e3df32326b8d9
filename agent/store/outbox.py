"""Receipts: numbered facts about executions and tasks, kept until the coordinator has them.

Owns writing them; runs inside the transaction of the fact it tells, and is never used alone.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.queue import TOLD_AS
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


class Outbox:
    """One transaction's view of the receipts that wait."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._newest: int | None = None

    def write(self, execution: bytes, fact: Fact, at: WallMs) -> int:
        """Write the receipt of a fact about an execution; return its number.

        Whoever calls this notes the number as the execution's newest.
        """
        if self._newest is None:
            self._newest = self._db.execute(_SQL["newest_receipt"]).fetchone()[0]
        self._newest = number = self._newest + 1
        receipt = Receipt(
            number=number,
            execution=execution,
            device=fact.device or (TOLD_AS if isinstance(fact.state, TaskState) else ""),
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
        self._db.execute(_SQL["write_receipt"], bind(number, pack(receipt)))
        return number
