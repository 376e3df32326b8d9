"""The gap map as people see it: numbers per store, and what happened when.

Leaves out asking for gaps (`coordinator.transactions.gaps`).
"""

from collections import defaultdict
from datetime import datetime

from coordinator.contract.common import to_time, to_wall_ms
from coordinator.contract.gaps import GapSlice, GapsView, LossView, MissingView, StoreGaps
from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.core.rollup import DAY_MS
from coordinator.transactions.rows import unpack_ranges
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.sync.ranges import Ranges


def view_gaps(agent: AgentId, *, days: int, slices: int, now_ms: WallMs) -> Tx[GapsView]:
    """Return the gap map of an agent that exists."""
    stores: list[StoreGaps] = []
    for row in (yield from fetch("gap_stores", agent)):
        store = yield from _view_store(agent, row)
        stores.append(store)
    start_ms, width_ms = now_ms - days * DAY_MS, max(1, days * DAY_MS // slices)
    readings = yield from _by_slice("gap_readings", agent, start_ms, width_ms, slices)
    lost = yield from _by_slice("gap_losses", agent, start_ms, width_ms, slices)
    spans = [
        (
            start_ms if one.after is None else to_wall_ms(one.after),
            now_ms if one.before is None else to_wall_ms(one.before),
        )
        for store in stores
        for one in store.missing
    ]
    begins = [start_ms + width_ms * index for index in range(slices)]
    return GapsView(
        agent=agent,
        stores=stores,
        slices=[
            GapSlice(
                start=to_time(at_ms),
                readings=readings[index],
                lost=lost[index],
                missing=any(first < at_ms + width_ms and at_ms <= last for first, last in spans),
            )
            for index, at_ms in enumerate(begins)
        ],
        slice_s=width_ms / 1000,
    )


def _view_store(agent: AgentId, row: Row) -> Tx[StoreGaps]:
    epoch, next_block, received, gone = row[0], row[1], unpack_ranges(row[2]), unpack_ranges(row[3])
    absent = received.missing(1, next_block - 1)
    open_ = Ranges.joined([*received, *gone]).missing(1, next_block - 1)
    missing = []
    for first, last in list(open_)[: limits.WANTED_RANGES]:
        near = yield from fetch_one("gap_neighbours", agent, epoch, first, last)
        after, before = near or (None, None)
        missing.append(MissingView(first, last, _time(after), _time(before)))
    losses = yield from fetch("gap_reasons", agent, epoch)
    return StoreGaps(
        store=epoch.hex(),
        blocks_made=next_block - 1,
        blocks_received=_size(received),
        blocks_missing=_size(open_),
        blocks_gone=_size(absent) - _size(open_),
        missing=missing,
        gone=[span for span in gone if any(span[0] <= last for _, last in absent)],
        losses=[
            LossView(_reason(reason), count, to_time(first), to_time(last), bool(estimated))
            for reason, count, first, last, estimated in losses
        ],
    )


def _by_slice(
    name: str, agent: AgentId, start_ms: int, width_ms: int, slices: int
) -> Tx[dict[int, int]]:
    rows = yield from fetch(name, agent, start_ms, width_ms, start_ms + slices * width_ms)
    return defaultdict(int, {int(index): int(count) for index, count in rows})


def _size(numbers: Ranges) -> int:
    return sum(last - first + 1 for first, last in numbers)


def _time(wall_ms: int | None) -> datetime | None:
    return None if wall_ms is None else to_time(wall_ms)


def _reason(code: int) -> str:
    # A newer agent may know reasons that we do not.
    return Reason(code).text if code in list(Reason) else str(code)
