"""Computed hours into the rows that are stored: minutes of the hour, and hours of its day.

They are merged before the transaction, which contacts wait for, and looked at once more within it.
Leaves out what the rows are (`coordinator.core.rollup_rows`) and where the hours come from
(`coordinator.transactions.rollups`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.core.ports import Scalar, Tx, execute_many, fetch, fetch_one
from coordinator.core.rollup import Buckets
from coordinator.core.rollup_rows import RollupRows
from coordinator.transactions.rollups import Hour, Stored, stored_of
from shared import limits
from shared.ids import AgentId


@dataclass(frozen=True, slots=True)
class Folded:
    """Hours of one agent, computed, and what they make of the rows that are stored."""

    hours: Sequence[Hour]
    found: Sequence[Buckets]
    stored: Sequence[Stored]
    """By hour, as it was read."""
    rows: RollupRows


def folded(found: Iterable[tuple[Hour, Buckets, Stored]]) -> list[Folded]:
    """Merge computed hours into the rows that were read, agent by agent.

    What has more rows than one transaction should write is in several parts. Hours of a day have
    rows in common: the later part finds them changed by the earlier one, and is merged once more.
    """
    agents: dict[AgentId, list[list[tuple[Hour, Buckets, Stored]]]] = {}
    for one in found:
        parts = agents.setdefault(one[0].agent, [[]])
        if parts[-1] and sum(len(buckets) for _, buckets, _ in parts[-1]) >= limits.ROLLUP_SERIES:
            parts.append([])
        parts[-1].append(one)
    return [
        Folded(hours, buckets, stored, _merged(hours, buckets, stored))
        for parts in agents.values()
        for hours, buckets, stored in (zip(*some, strict=True) for some in parts)
    ]


def _merged(
    hours: Sequence[Hour], found: Sequence[Buckets], stored: Sequence[Stored]
) -> RollupRows:
    rows = RollupRows(stored[0].channels)
    for hour, buckets, before in zip(hours, found, stored, strict=True):
        rows.read(hour.hour_ms, before.rows)
        rows.put(hour.hour_ms, hour.minutes, buckets, is_partial=hour.is_partial)
    return rows


def write_hours(all_folded: Sequence[Folded]) -> Tx[None]:
    """Put minutes in the place of those before, and their hours after them.

    They were merged before the transaction, which others wait for. Where somebody wrote meanwhile,
    which another process may, they are merged once more.
    """
    waiting: dict[AgentId, RollupRows] = {}
    for one in all_folded:
        agent = one.hours[0].agent
        if agent in waiting:
            # What is merged next sees what was merged before.
            yield from _write(waiting)
            waiting = {}
        waiting[agent] = yield from _rows_now(one)
    yield from _write(waiting)


def _write(some: Mapping[AgentId, RollupRows]) -> Tx[None]:
    channels: list[tuple[Scalar, ...]] = []
    saved: list[tuple[Scalar, ...]] = []
    empty: list[tuple[Scalar, ...]] = []
    for agent, rows in some.items():
        channels += [
            (agent, number, channel.device, channel.point, channel.unit, channel.kind)
            for channel, number in rows.fresh.items()
        ]
        for key, data in rows.changed.items():
            if data is None:
                empty.append((agent, *key))
            else:
                saved.append((agent, *key, data))
    for name, values in (
        ("channel_insert", channels),
        ("rollup_save", saved),
        ("rollup_delete", empty),
    ):
        if values:
            yield from execute_many(name, values)


def _rows_now(one: Folded) -> Tx[RollupRows]:
    """Return the rows of some hours as they have to be written.

    Only what they change is looked at once more: an agent may have had many other channels.
    """
    agent, rows, stored = one.hours[0].agent, one.rows, list(one.stored)
    if rows.fresh:
        known = max((row[0] for row in stored[0].channels), default=None)
        last_of_all = yield from fetch_one("channel_last", agent)
        if last_of_all is None or last_of_all[0] != known:
            channels = yield from fetch("channels_of_agent", agent)
            stored = [Stored(channels, before.rows) for before in stored]
            rows = _merged(one.hours, one.found, stored)
    touched, as_read = rows.touched(), True
    for at, hour in enumerate(one.hours):
        before = {row[0]: tuple(row) for row in stored[at].rows}
        spans = _spans(touched.get(hour.hour_ms, ()))
        again = {number for first, last in spans for number in range(first, last + 1)}
        now = {number: row for number, row in before.items() if number not in again}
        for first, last in spans:
            found = yield from stored_of(hour, first, last)
            now.update((row[0], tuple(row)) for row in found)
        if now != before:
            as_read = False
            stored[at] = Stored(stored[at].channels, list(now.values()))
    return rows if as_read else _merged(one.hours, one.found, stored)


def _spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of numbers that are looked up together."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number - spans[-1][1] <= limits.ROLLUP_NEAR:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    return spans


def end_orders(found: Sequence[Folded], done: Sequence[int], waiting: Sequence[int]) -> Tx[None]:
    """Write the last hours of some orders and take these off; some wait for their channel list."""
    yield from write_hours(found)
    for name, numbers in (("rollup_due_done", done), ("rollup_due_wait", waiting)):
        if numbers:
            yield from execute_many(name, [(number,) for number in numbers])
