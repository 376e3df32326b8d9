"""What is known of devices beside what is wished of them, as pages and as counts by group.

Leaves out writing it (`coordinator.transactions.drift`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from coordinator.contract.common import to_time
from coordinator.contract.drift import ComplianceLine, DriftView, MissingView
from coordinator.core.ports import Row, Tx, fetch
from coordinator.core.targeting import fold_labels
from coordinator.transactions.sight import sees_agent
from shared import limits
from shared.ids import uuid_text
from shared.model.job import Value
from shared.model.selector import Selector

Cursor = tuple[str, str, str]
"""Agent, device and wish."""


@dataclass(slots=True)
class Tally:
    """What is counted of one group, wish and desired state."""

    devices: int = 0
    missing: int = 0
    since_ms: int | None = None
    at_ms: int = limits.INT_MAX
    named: list[MissingView] = field(default_factory=list)


Tallies = dict[tuple[str, str, str], Tally]
"""By group, wish and what is desired."""


@dataclass(slots=True)
class Counting:
    """A count over the whole fleet, some agents at a time."""

    selector: Selector | None
    by: str
    """Label that makes the groups."""
    after: str = ""
    """The last agent that is counted; empty: none is left, or none is counted."""
    tallies: Tallies = field(default_factory=dict)


def list_drift(
    selector: Selector | None, *, agent: str, missed: bool, after: Cursor, size: int
) -> Tx[tuple[list[DriftView], bool]]:
    """Return up to `size` comparisons after one, in the order of agents, and if there are more.

    Args:
        selector: only of agents that match.
        agent: only of this one; empty: of all.
        missed: only of devices that are not as wished.
        after: the last one that is known.
        size: at most so many.
    """
    seen: dict[str, bool] = {}
    found: list[Row] = []
    if agent:
        after = max(after, (agent, "", ""))
    while len(found) <= size:
        page = yield from fetch("wishes_after", *after, int(missed), limits.PAGE_ITEMS)
        for row in page:
            if agent and row[0] != agent:
                page = ()
                break
            if row[0] not in seen:
                seen[row[0]] = yield from sees_agent(row[0], selector)
            found += [row] if seen[row[0]] else []
        if len(page) < limits.PAGE_ITEMS:
            break
        after = (page[-1][0], page[-1][1], page[-1][2])
    return [_view(row) for row in found[:size]], len(found) > size


@dataclass(frozen=True, slots=True)
class Found:
    """Some agents, in the order of their ids, and what is known of their devices."""

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    counts: Sequence[Row] = ()
    missing: Sequence[Row] = ()
    """Devices by name that are not as wished; of each agent and wish the first few."""


def read_some(after: str) -> Tx[Found]:
    """Return the next agents, as many as make a page; nothing where there are no more."""
    labels = fold_labels((yield from fetch("labels_after", after, limits.PAGE_ITEMS)))
    if not labels:
        return Found()
    span = min(labels), max(labels)
    counts = yield from fetch("wishes_of_agents", *span)
    missing = yield from fetch("missing_of_agents", *span, limits.MISSING_NAMED)
    return Found(labels, counts, missing)


def count(counting: Counting, found: Found) -> None:
    """Count what `read_some` found, and name the first devices that are not as wished."""
    selector, by = counting.selector, counting.by
    groups = {
        agent: own.get(by, "")
        for agent, own in found.labels.items()
        if selector is None or selector.matches(own)
    }
    for agent, wish, desired, devices, missing, since_ms, at_ms in found.counts:
        if agent not in groups:
            continue
        tally = counting.tallies.setdefault((groups[agent], wish, desired), Tally())
        tally.devices += devices
        tally.missing += missing
        tally.at_ms = min(tally.at_ms, at_ms)
        if since_ms is not None:
            tally.since_ms = since_ms if tally.since_ms is None else min(tally.since_ms, since_ms)
    for agent, device, wish, desired in found.missing:
        if agent not in groups:
            continue
        named = counting.tallies[groups[agent], wish, desired].named
        if len(named) < limits.MISSING_NAMED:
            named.append(MissingView(agent, device))
    counting.after = max(found.labels, default="")


def lines_of(tallies: Tallies) -> Iterable[ComplianceLine]:
    """Yield what was counted, by group, wish and what is desired."""
    for (group, wish, desired), tally in sorted(tallies.items()):
        yield ComplianceLine(
            group=group,
            wish=wish,
            desired=desired,
            devices=tally.devices,
            missing=tally.missing,
            oldest_since=None if tally.since_ms is None else to_time(tally.since_ms),
            oldest_word=to_time(tally.at_ms),
            missing_devices=tally.named,
        )


def _view(row: Row) -> DriftView:
    agent, device, wish, desired, job, _, reported, since_ms, at_ms, mended_ms, mended_by = row
    return DriftView(
        agent=agent,
        device=device,
        wish=wish,
        desired=desired,
        job=uuid_text(job),
        missed=msgspec.json.decode(reported, type=dict[str, Value]),
        since=None if since_ms is None else to_time(since_ms),
        observed_at=to_time(at_ms),
        mended_at=None if mended_ms is None else to_time(mended_ms),
        mended_by="" if mended_by is None else uuid_text(mended_by),
    )
