"""Who goes next: the most urgent, then the longest due, one to a device; found by seeks."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.moment import Moment
from agent.store.queue_rows import QueueRows
from shared.clock import MonoMs, WallMs
from shared.runtime.migrations import MigrationSet, migrate
from shared.runtime.queries import load_queries
from shared.wire.codec import pack
from tests.agent_parts import NEVER, WALL, read_job
from tests.length import examples

SQL = load_queries("agent.store", "queries/jobs.sql")
SPEC = pack(read_job("flow"))
DIGEST = sha256(SPEC).digest()
NOW = Moment(MonoMs(1_000), b"a" * 16, WallMs(WALL), proven_ms=WallMs(WALL))


class Row(NamedTuple):
    device: str
    priority: int
    due_ms: int
    state: int = 0
    blocked: int = 0


ROWS = st.builds(
    Row,
    device=st.sampled_from(["", "a", "b", "c"]),
    priority=st.integers(0, 3),
    due_ms=st.integers(0, 2_000),
    state=st.just(0),
    blocked=st.sampled_from([0, 0, 0, 1]),
)


@contextmanager
def queue(rows: list[Row]) -> Iterator[sqlite3.Connection]:
    """Return a queue with these tasks, numbered from 1, each of an execution of its own."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MigrationSet.load("agent.store", "schema/jobs"), where="memory")
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO execution (number, id, spec, digest, not_after_ms, class, grace_s, state)"
            " VALUES (?, ?, ?, ?, ?, 'operate', 0, 1)",
            [(n, n.to_bytes(16), SPEC, DIGEST, NEVER) for n, _ in enumerate(rows, start=1)],
        )
        db.executemany(
            "INSERT INTO task (number, execution, device, priority, due_mono_ms, state, blocked,"
            " due_boot, due_today_ms, due_delay_ms) VALUES (?, ?, ?, ?, ?, ?, ?, x'', 0, 0)",
            [(number, number, *row) for number, row in enumerate(rows, start=1)],
        )
        db.execute("COMMIT")
        yield db


def running(rows: list[Row], devices: set[str]) -> list[Row]:
    return [*rows, *(Row(device, 1, 0, state=1) for device in sorted(devices))]


@settings(max_examples=examples(60))
@given(st.lists(ROWS, max_size=20), st.sets(st.sampled_from(["", "a", "b"])), st.integers(0, 5))
def test_the_most_urgent_due_task_of_each_idle_device_begins(rows, busy, room):
    ready = [
        (row.priority, row.due_ms, number, row.device)
        for number, row in enumerate(rows, start=1)
        if not row.blocked and row.device not in busy
    ]
    heads: dict[str, tuple[int, int, int, str]] = {}
    for one in sorted(one for one in ready if one[1] <= NOW.mono_ms):
        heads.setdefault(one[3], one)
    expected = sorted(heads.values())[:room]
    with queue(running(rows, busy)) as db:
        claims, next_due_ms = QueueRows(db, NOW).claim(room)
    assert [claim.task for claim in claims] == [number for _, _, number, _ in expected]
    begun = {device for *_, device in expected}
    waiting = [due for _, due, _, device in ready if device not in begun]
    if not room:
        assert next_due_ms is None, "whoever has no room asks again anyway"
    elif any(due <= NOW.mono_ms for due in waiting):
        assert next_due_ms is not None
        assert next_due_ms <= NOW.mono_ms
    else:
        assert next_due_ms == (min(waiting) if waiting else None)


@pytest.mark.parametrize(
    ("devices", "busy"), [(1, 1), (32, 32), (32, 31), (32, 0)], ids=lambda count: f"{count}"
)
def test_ten_thousand_waiting_tasks_cost_a_claim_no_more_than_a_few(devices: int, busy: int):
    def steps(count: int) -> int:
        rows = [Row(f"d{number % devices}", 1, 0) for number in range(count)]
        taken = 0

        def count_steps() -> None:
            nonlocal taken
            taken += 1

        with queue(running(rows, {f"d{number}" for number in range(busy)})) as db:
            db.set_progress_handler(count_steps, 10)
            QueueRows(db, NOW).end_late()
            QueueRows(db, NOW).claim(1)
        return taken

    assert steps(10_000) <= 1.5 * steps(200) + 5


@pytest.mark.parametrize("name", ["heads", "late_tasks", "dependents_end", "tasks_of"])
def test_the_queue_is_never_read_from_end_to_end(name: str):
    with queue([]) as db:
        parameters = [0] * len({*re.findall(r"\?\d", SQL[name])})
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", parameters)]
    read_whole = [line for line in plan if line.startswith(("SCAN task", "SCAN execution"))]
    assert not read_whole, plan


def test_executions_too_late_are_found_by_their_end(tmp_path: Path):
    rows = [Row("d", 1, 0) for _ in range(50)]
    with queue(rows) as db:
        db.execute("UPDATE execution SET not_after_ms = ? WHERE number IN (7, 9)", (WALL - 1,))
        QueueRows(db, NOW).end_late()
        ended = db.execute("SELECT number FROM task WHERE state <> 0").fetchall()
    assert ended == [(7,), (9,)]
