"""Settings of retention, what they would take away, and taking a little of it away.

Leaves out the loop (`coordinator.services.retention`) and the settings' meaning
(`coordinator.core.retention`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.retention import Keeping, keeping_of
from coordinator.core.rollup import HOUR_S, MINUTE_S
from coordinator.transactions.cleaning import count_jobs
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs

PRIORITIES = (0, 1, 2)
WIDTHS = {MINUTE_S: "1m", HOUR_S: "1h"}
Settings = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Excess:
    """What one setting would take away."""

    setting: str
    rows: int
    """Blocks, or rows of rollups."""
    bytes: int
    readings: int = 0


def load_keeping(changes: Settings = ()) -> Tx[Keeping]:
    """Return the settings in force, as they would be with `changes`."""
    rows = yield from fetch("keeping")
    return keeping_of(dict([*rows, *changes]))


def save_keeping(settings: Settings, *, actor: str, now_ms: WallMs) -> Tx[None]:
    """Change settings."""
    yield from execute_many("keeping_save", settings)
    detail = dict(settings)
    yield from audit(now_ms, actor=actor, action="retention.set", object_="fleet", detail=detail)


def count_excess(now_ms: WallMs, changes: Settings = ()) -> Tx[list[Excess]]:
    """Return what retention would take away now, with `changes`; it takes and changes nothing."""
    keeping = yield from load_keeping(changes)
    found = []
    for priority in PRIORITIES:
        before_ms = keeping.raw_before_ms(priority, now_ms)
        if before_ms is not None:
            row = yield from fetch_one("blocks_older", priority, before_ms)
            assert row is not None, "count answers a row"
            found.append(Excess(f"raw.{priority}", row[0], row[1], row[2]))
        over, blocks = yield from _over(keeping, priority)
        found.append(Excess(f"raw.{priority}.bytes", blocks, over))
    for width_s, name in WIDTHS.items():
        before_ms = keeping.rolled_before_ms(width_s, now_ms)
        if before_ms is not None:
            row = yield from fetch_one("rollups_older", width_s, before_ms)
            assert row is not None, "count answers a row"
            found.append(Excess(name, *row))
    before_ms = keeping.asides_before_ms(now_ms)
    if before_ms is not None:
        row = yield from fetch_one("asides_older", before_ms)
        assert row is not None, "count answers a row"
        found.append(Excess("aside", *row))
    before_ms = keeping.history_before_ms(now_ms)
    if before_ms is not None:
        row = yield from fetch_one("firings_older", before_ms)
        assert row is not None, "count answers a row"
        found.append(Excess("history", *row))
    before_ms = keeping.events_before_ms(now_ms)
    if before_ms is not None:
        row = yield from fetch_one("events_older", before_ms)
        assert row is not None, "count answers a row"
        found.append(Excess("events", *row))
    before_ms = keeping.drift_before_ms(now_ms)
    if before_ms is not None:
        row = yield from fetch_one("wishes_older", before_ms)
        assert row is not None, "count answers a row"
        found.append(Excess("drift", *row))
    counted = yield from count_jobs(now_ms, keeping.jobs_before_ms(now_ms))
    found.extend(Excess(name, rows, 0) for name, rows in counted.items())
    return [one for one in found if one.rows or one.bytes]


def drop_some(now_ms: WallMs, *, size: int = limits.RETENTION_ROWS) -> Tx[dict[str, int]]:
    """Take up to `size` rows of each kind away; return how many by setting, empty: none was left.

    Blocks whose readings are in no rollup yet are left for later.
    """
    keeping = yield from load_keeping()
    dropped: dict[str, int] = {}
    for priority in PRIORITIES:
        before_ms = keeping.raw_before_ms(priority, now_ms)
        if before_ms is not None:
            dropped[f"raw.{priority}"] = yield from _drop_blocks(priority, before_ms, size)
        _, blocks = yield from _over(keeping, priority)
        if blocks:
            count = yield from _drop_blocks(priority, limits.INT_MAX, min(size, blocks))
            dropped[f"raw.{priority}.bytes"] = count
    for width_s, name in WIDTHS.items():
        before_ms = keeping.rolled_before_ms(width_s, now_ms)
        if before_ms is not None:
            rows = yield from fetch("rollups_drop", width_s, before_ms, size)
            dropped[name] = len(rows)
    before_ms = keeping.asides_before_ms(now_ms)
    if before_ms is not None:
        dropped["aside"] = len((yield from fetch("asides_drop", before_ms, size)))
    before_ms = keeping.history_before_ms(now_ms)
    if before_ms is not None:
        dropped["history"] = len((yield from fetch("firings_drop", before_ms, size)))
    before_ms = keeping.drift_before_ms(now_ms)
    if before_ms is not None:
        dropped["drift"] = len((yield from fetch("wishes_drop", before_ms, size)))
    dropped["events"] = yield from _drop_events(keeping.events_before_ms(now_ms), size)
    return {name: count for name, count in dropped.items() if count}


def _over(keeping: Keeping, priority: int) -> Tx[tuple[int, int]]:
    """Return (bytes, blocks) that a priority has over its bound; blocks of the average size."""
    most = keeping.raw_bytes(priority)
    totals = yield from fetch("block_totals")
    for row_priority, blocks, stored in totals:
        if row_priority == priority and most is not None and stored > most:
            over = stored - most
            return over, max(1, over * blocks // stored)
    return 0, 0


def _drop_events(before_ms: int | None, size: int) -> Tx[int]:
    """Take the oldest events: those over their time, else those beyond the bound of all."""
    if before_ms is not None:
        gone = len((yield from fetch("events_drop", before_ms, size)))
        if gone:
            return gone
    over = yield from fetch_one("events_over", limits.EVENTS_KEPT)
    return 0 if over is None else len((yield from fetch("events_drop_to", *over, size)))


def _drop_blocks(priority: int, before_ms: int, size: int) -> Tx[int]:
    rows = yield from fetch("blocks_drop", priority, before_ms, size)
    gone: dict[str, int] = {}
    for agent, last_ms, _ in rows:
        gone[agent] = max(gone.get(agent, last_ms), last_ms)
    for agent, last_ms in gone.items():
        yield from execute("raw_gone_save", agent, last_ms + 1)
    return len(rows)
