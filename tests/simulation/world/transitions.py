"""Every step of the state tables that a program takes, seen at the commit that takes it.

Owns counting the edges and judging them: an agent walks its tables edge by edge; at the coordinator
what has ended stays as it ended. Leaves out the tables (`shared.model.job`).
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum

from shared.model.job import (
    EXECUTION_TRANSITIONS,
    TASK_TRANSITIONS,
    TERMINAL_EXECUTION,
    ExecutionState,
    TaskState,
)
from tests.simulation.world.ground import Ground

_FIRINGS = "SELECT e.id, s.firings FROM standing s JOIN execution e ON e.number = s.execution"
_FIRED = (
    "SELECT t.name, f.trigger_id, f.occasion, f.at_ms, f.job_id FROM trigger_firing f"
    " JOIN job_trigger t ON t.trigger_id = f.trigger_id WHERE f.outcome <> ''"
)
_STATES = "SELECT execution_id, agent_id, state FROM execution"
_QUEUED = ExecutionState.QUEUED


@dataclass
class Walk:
    """Where everything stood in one database at its last commit."""

    ground: Ground
    who: str
    at: dict[tuple[str, Hashable], IntEnum] = field(default_factory=dict)
    fresh: bool = False
    """Nobody knows how what is there came about."""
    admitted: set[bytes] = field(default_factory=set)
    """Executions that an agent has ever had."""
    firings: dict[bytes, int] = field(default_factory=dict)
    """How often each standing execution of an agent has fired."""
    fired: dict[tuple[str, str], tuple[int, bytes | None]] = field(default_factory=dict)
    """What a coordinator did about each occasion of a trigger, by name: when it was, which job."""
    put_back: set[str] = field(default_factory=set)
    """Whose card was put back, or copied: what ended on one may end otherwise on the other."""
    seen: object = None
    """What stood in the database when it was last looked at."""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each commit that lets a task run."""

    @property
    def at_work(self) -> bool:
        """Tell whether a task runs."""
        return TaskState.RUNNING in self.at.values()

    def forget(self) -> None:
        """Begin anew: the database was put back, or is another one."""
        self.at.clear()
        self.seen = None
        self.fresh = True

    def look_at_agent(self, db: sqlite3.Connection) -> None:
        """Look at a jobs.db after a commit."""
        with contextlib.suppress(sqlite3.Error):
            store = db.execute("SELECT jobs_epoch FROM contact").fetchone()
            tasks = db.execute("SELECT number, state FROM task WHERE firing = 0").fetchall()
            executions = db.execute("SELECT id, state FROM execution").fetchall()
            if self._is_news((store, tasks, executions)):
                for number, state in tasks:
                    self._step("task", (store, number), TaskState(state), TaskState.READY)
                for uid, state in executions:
                    self._step("execution", (store, uid), ExecutionState(state), None)
                    self.admitted.add(uid)
            self.firings.update(db.execute(_FIRINGS).fetchall())
            self.fresh = False

    def look_at_centre(self, db: sqlite3.Connection) -> None:
        """Look at a coordinator's database after a commit."""
        with contextlib.suppress(sqlite3.Error):
            found = db.execute(_STATES).fetchall()
            for uid, agent, state in found if self._is_news(found) else ():
                now = ExecutionState(state)
                before = self.at.get(("known", uid), now if self.fresh else _QUEUED)
                self.at["known", uid] = now
                if now is before:
                    continue
                self._count("known", before, now)
                if before in TERMINAL_EXECUTION and agent not in self.put_back:
                    self.ground.wrong(f"{self.who}: {before.name} became {now.name}")
            self.fresh = False
            for name, trigger, occasion, at_ms, job in db.execute(_FIRED).fetchall():
                self._fire(name, f"{trigger.hex()} {occasion}", at_ms, job)

    def _is_news(self, found: object) -> bool:
        """Tell whether this is not what was seen at the commit before."""
        before, self.seen = self.seen, found
        return before != found

    def _fire(self, name: str, occasion: str, at_ms: int, job: bytes | None) -> None:
        before_ms, before = self.fired.get((name, occasion), (at_ms, None))
        if job is not None and before is None:
            self.ground.hit("trigger fired", name, occasion)
        if None not in (job, before) and job != before:
            self.ground.wrong(f"{self.who}: {name} made two jobs of {occasion}")
        self.fired[name, occasion] = (before_ms, job or before)

    def _step(self, table: str, key: Hashable, now: IntEnum, first: IntEnum | None) -> None:
        before = self.at.get((table, key), now if self.fresh else first)
        self.at[table, key] = now
        if before is None or before is now:
            return
        self._count(table, before, now)
        if now is TaskState.RUNNING:
            self.began.set()
        legal = TASK_TRANSITIONS if table == "task" else EXECUTION_TRANSITIONS
        if now not in legal[before]:  # type: ignore[index]  # the table of its own kind
            self.ground.wrong(f"{self.who}: {table} went from {before.name} to {now.name}")

    def _count(self, table: str, before: IntEnum, now: IntEnum) -> None:
        self.ground.transitions[f"{table} {before.name} {now.name}"] += 1
        self.ground.note(self.who, table, before.name, now.name)
