"""Anchors into the store, blocks to their place in true time, and whole boots placed again.

A contact only notes what it learned; stored blocks are placed again in bounded steps
(`walk_boots`), so that an anchor for a boot of a year never holds up a contact. A walk that is
interrupted goes on where it stood, and walking twice changes nothing. Agents have their turns, and
whoever begins again and again waits for the rollups of what was placed before. Leaves out what the
place is (`coordinator.core.retime`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.core.ports import Row, Scalar, Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.retime import (
    NOTICEABLE_MS,
    BlockClock,
    Fix,
    Placed,
    Sureness,
    clock_of,
    is_usable,
    own_fix,
    place,
)
from shared import limits
from shared.block.codec import BlockHeader
from shared.clock import ClockState, WallMs
from shared.ids import AgentId
from shared.model.reading import BootRef, boot_ref
from shared.trust.documents import Report
from shared.wire.messages import Anchor


@dataclass(slots=True)
class _Boot:
    """What is known of one boot's time."""

    fixes: list[Fix]
    latest_offset_ms: int | None


@dataclass(slots=True)
class BootTimes:
    """The boots that one contact touches, read once."""

    agent: AgentId
    report: Report
    now_ms: WallMs
    known: dict[BootRef, _Boot] = field(default_factory=dict)


def learn_anchors(agent: AgentId, anchors: Sequence[Anchor], now_ms: WallMs) -> Tx[None]:
    """Keep the anchors of a report; boots with a better one are placed again.

    What cannot be true time is left out: a report is evidence, not an order.
    """
    for one in anchors:
        if is_usable(one.mono_ms, one.wall_ms, one.err_ms, now_ms=now_ms):
            fix = Fix(one.mono_ms, one.wall_ms, one.err_ms)
            yield from _save_fix(agent, boot_ref(one.boot_id), fix, now_ms)


def place_block(times: BootTimes, header: BlockHeader) -> Tx[Placed]:
    """Return where a block that just arrived lies, and learn from it about its boot."""
    clock = clock_of(header, times.now_ms)
    boot = times.known.get(header.boot)
    if boot is None:
        boot = yield from _load(times.agent, header.boot)
        times.known[header.boot] = boot
    yield from _bound(times, header, boot)
    fix = own_fix(clock)
    if fix is not None and not boot.fixes:
        # Blocks of the same boot from before the clock was set are placed by the first one after.
        yield from _save_fix(times.agent, header.boot, fix, times.now_ms)
        boot.fixes.append(fix)
    return place(clock, boot.fixes, boot.latest_offset_ms)


def has_walks() -> Tx[bool]:
    """Tell whether stored blocks have to be placed again."""
    return (yield from fetch_one("retime_next", "")) is not None


def walk_boots(now_ms: WallMs, last: str = "", *, size: int = limits.RETIME_BLOCKS) -> Tx[str]:
    """Place up to `size` stored blocks again, a boot of each agent after the `last` one in turns.

    Most boots have none: each begins with an anchor of its own, and a fleet's come all at once.

    Returns:
        Whose turn it was at the end; empty: nobody's, for all are done or wait for their rollups.
    """
    left, walked = size, ""
    full: set[str] = set()
    for _ in range(limits.RETIME_BOOTS):
        row = yield from fetch_one("retime_next", last)
        if row is None and last:
            row = yield from fetch_one("retime_next", "")
        if row is None:
            break
        last = row[0]
        count = None if last in full else (yield from _walk(row, now_ms, size=left))
        if count is None:
            full.add(last)
            continue
        walked = last
        left -= count
        if left <= 0:
            break
    return walked


def _walk(row: Row, now_ms: WallMs, *, size: int) -> Tx[int | None]:
    """Place blocks of one boot again; return how many were looked at.

    None: too many of the agent wait for their rollups; it could move them without end.
    """
    agent, boot, *after = row
    known = yield from _load(agent, boot)
    blocks = yield from fetch("blocks_of_boot", agent, boot, *after, size)
    moved: list[tuple[Scalar, ...]] = []
    due: list[tuple[Scalar, ...]] = []
    for block in blocks:
        epoch, seq, old = block[0], block[1], Placed(block[7], Sureness(block[8]), block[9])
        new = place(_clock(block), known.fixes, known.latest_offset_ms)
        if new != old:
            moved.append((agent, epoch, seq, new.shift_ms, int(new.sureness), new.err_ms))
            if (new.shift_ms, new.sureness) == (old.shift_ms, old.sureness):
                continue  # rollups say nothing of the error
            shifts = {old.shift_ms, new.shift_ms}
            due.extend((agent, epoch, seq, shift_ms, now_ms) for shift_ms in shifts)
    if due:
        ready = yield from fetch_one("rollup_due_ready", agent, limits.RETIME_ORDERS)
        if ready is not None and ready[0] >= limits.RETIME_ORDERS:
            return None
    yield from execute_many("block_place", moved)
    yield from execute_many("rollup_due_insert", due)
    if len(blocks) < size:
        yield from execute("retime_end", agent, boot)
    else:
        yield from execute("retime_move", agent, boot, *blocks[-1][:2])
    return len(blocks)


def _save_fix(agent: AgentId, boot: BootRef, fix: Fix, now_ms: WallMs) -> Tx[None]:
    values = (fix.mono_ms, fix.wall_ms, fix.err_ms, int(fix.is_own), now_ms)
    saved = yield from fetch_one("anchor_save", agent, boot, *values, limits.ANCHORS_PER_BOOT)
    if saved is not None:
        yield from execute("retime_begin", agent, boot, b"")


def _load(agent: AgentId, boot: BootRef) -> Tx[_Boot]:
    rows = yield from fetch("boot_times", agent, boot, limits.ANCHORS_PER_BOOT)
    # One row at least, without an anchor where there is none.
    fixes = [Fix(row[1], row[2], row[3], is_own=bool(row[4])) for row in rows if row[1] is not None]
    return _Boot(fixes, rows[0][0])


def _bound(times: BootTimes, header: BlockHeader, boot: _Boot) -> Tx[None]:
    """Note that this boot had come so far by now."""
    last_mono_ms = header.mono_ms + max(0, header.last_ms - header.wall_ms)
    if header.boot == boot_ref(times.report.boot_id):
        last_mono_ms = max(last_mono_ms, times.report.mono_ms)
    bound_ms, before = times.now_ms - last_mono_ms, boot.latest_offset_ms
    if before is not None and bound_ms > before - NOTICEABLE_MS:
        return
    boot.latest_offset_ms = bound_ms
    yield from execute("boot_save", times.agent, header.boot, bound_ms, limits.ORDINALS)
    if before is not None and not boot.fixes:
        yield from execute("retime_begin", times.agent, header.boot, b"")


def _clock(row: Row) -> BlockClock:
    return BlockClock(
        mono_ms=row[2],
        wall_ms=row[3],
        state=ClockState(row[4]),
        err_ms=row[5],
        arrived_ms=row[6],
    )
