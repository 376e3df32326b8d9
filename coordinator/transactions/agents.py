"""Agents as people see them: identity, link, and the account of their readings."""

import msgspec

from coordinator.contract.agents import (
    AgentState,
    AgentView,
    ClockView,
    HealthView,
    LinkView,
    MovingView,
    TallyView,
)
from coordinator.contract.common import to_time
from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.core.presence import is_silent
from coordinator.core.targeting import fold_labels
from coordinator.transactions.device_states import images_of
from coordinator.transactions.rows import unpack_ranges
from shared import limits
from shared.clock import ClockState, WallMs
from shared.errors import Reason
from shared.ids import fingerprint
from shared.model.health import Health, health_of
from shared.model.selector import Selector
from shared.sync.ranges import Ranges


def view_agent(agent: str, now_ms: WallMs) -> Tx[AgentView | None]:
    """Return one agent, None when there is none of this id."""
    row = yield from fetch_one("agent_view", agent)
    if row is None:
        return None
    labels = fold_labels((yield from fetch("labels_of_agent", agent)))
    return (yield from _view(row, labels[agent], now_ms))


def list_agents(
    selector: Selector | None, *, after: str, size: int, now_ms: WallMs
) -> Tx[tuple[list[AgentView], bool]]:
    """Return up to `size` agents after an id, in the order of ids, and whether there are more."""
    found: list[str] = []
    labels: dict[str, dict[str, str]] = {}
    while len(found) <= size:
        page = fold_labels((yield from fetch("labels_after", after, limits.PAGE_ITEMS)))
        labels.update(page)
        found += [agent for agent in page if selector is None or selector.matches(page[agent])]
        if not page:
            break
        after = max(page)
    views = []
    for agent in found[:size]:
        row = yield from fetch_one("agent_view", agent)
        assert row is not None, "it was listed in this transaction"
        views.append((yield from _view(row, labels[agent], now_ms)))
    return views, len(found) > size


def _view(row: Row, labels: dict[str, str], now_ms: WallMs) -> Tx[AgentView]:
    agent, public_key, site, enrolled_ms, *standing = row[:8]
    rekey_ms, next_key, *link = row[8:]
    stores = yield from fetch("telemetry_of_agent", agent)
    refused = yield from fetch("refusals_of_agent", agent)
    (last_ms, interval_ms, contacts, up, down, epoch, clock_state, offset_ms, boot, refusals) = link
    health = yield from fetch_one("health_of_agent", agent)
    current = next((store for store in stores if store[0] == epoch), None)
    tally, says = _tallies(current)
    return AgentView(
        id=agent,
        site=site,
        labels=labels,
        state=_barred(*standing[:4]) or _state(last_ms, interval_ms, now_ms),
        fingerprint=fingerprint(public_key),
        next_fingerprint=None if next_key is None else fingerprint(next_key),
        rekey_asked=rekey_ms is not None or next_key is not None,
        enrolled_at=to_time(enrolled_ms),
        last_contact_at=None if last_ms is None else to_time(last_ms),
        link=LinkView(
            contacts=contacts or 0,
            bytes_up=up or 0,
            bytes_down=down or 0,
            interval_s=None if interval_ms is None else interval_ms / 1000,
            waiting=False,
        ),
        tally=tally,
        agent_says=says,
        balanced=tally.sampled == tally.suppressed + tally.delivered + tally.stored + tally.lost,
        blocks_received=sum(store[2] for store in stores),
        missing_blocks=_missing(current),
        gone_blocks=_gone(current),
        store_epochs=len(stores),
        refusals=msgspec.json.decode(refusals, type=dict[str, int]) if refusals else {},
        refused_here={Reason(reason).text: count for reason, count in refused},
        health=None if health is None else _health(health, (yield from moving_at(agent, health))),
        clock=None
        if last_ms is None
        else ClockView(state=_clock_text(clock_state), offset_ms=offset_ms, boot=boot.hex()),
    )


def read_health(numbers: str) -> Health:
    """Return what a report said, as it is stored."""
    return health_of(msgspec.json.decode(numbers, type=list[int]))


def _health(row: Row, moving: MovingView | None) -> HealthView:
    numbers, at_ms = row
    said = read_health(numbers)
    return HealthView(
        at=to_time(at_ms),
        waiting={0: said.waiting_alarms, 1: said.waiting_soon, 2: said.waiting},
        oldest_s=said.oldest_s,
        free_mb=said.free_mb,
        today_kb=said.today_kb,
        budget_permille=said.budget_permille,
        moving=moving,
        silent_devices=said.silent,
        silent_s=said.silent_s,
    )


def moving_at(agent: str, health: Row) -> Tx[MovingView | None]:
    """Return what is on its way at an agent that said so then, None while nothing is."""
    numbers, at_ms = health
    said = read_health(numbers)
    if not said.files and not said.images:
        return None
    return MovingView(
        at=to_time(at_ms),
        files=said.files,
        file_permille=said.file_permille,
        images=said.images,
        image_permille=said.image_permille,
        into=(yield from images_of(agent)) if said.images else [],
    )


def _barred(
    revoked_ms: int | None, quarantined_ms: int | None, leave_ms: int | None, left_ms: int | None
) -> AgentState | None:
    if revoked_ms is not None:
        return "REVOKED"
    if leave_ms is not None:
        return "LEAVING" if left_ms is None else "DECOMMISSIONED"
    return None if quarantined_ms is None else "QUARANTINED"


def _state(last_ms: int | None, interval_ms: int | None, now_ms: WallMs) -> AgentState:
    if last_ms is None:
        return "ENROLLED"
    return "SILENT" if is_silent(last_ms, interval_ms, now_ms) else "ONLINE"


def _tallies(store: Row | None) -> tuple[TallyView, TallyView | None]:
    """Return our account and the agent's, from one telemetry store's row."""
    if store is None:
        return TallyView(), None
    readings, lost = store[3:5]
    says = TallyView(*store[7:12])
    # The agent counts as stored what we committed since its report was made; what it counts as
    # delivered and we do not have stays visible as an equation that does not hold.
    stored = says.stored - max(0, readings - says.delivered)
    return TallyView(says.sampled, says.suppressed, readings, stored, lost), says


def _missing(store: Row | None) -> list[tuple[int, int]]:
    if store is None:
        return []
    next_block, known = store[1], Ranges.joined([*unpack_ranges(store[5]), *_gone(store)])
    return list(known.missing(1, next_block - 1))[: limits.RANGES]


def _gone(store: Row | None) -> list[tuple[int, int]]:
    """Return what the agent no longer has, and is not here either."""
    if store is None:
        return []
    received = unpack_ranges(store[5])
    parts = (received.missing(first, last) for first, last in unpack_ranges(store[12]))
    return [span for part in parts for span in part]


def _clock_text(state: int) -> str:
    # A newer agent may know states that we do not.
    return ClockState(state).name.lower() if state in list(ClockState) else str(state)
