"""Devices as they said they are when `device.sync` last asked: the newest word of each.

Facts come in receipts, which agents sign; here they are only put where people look for them.
"""

from collections import defaultdict
from typing import Final

import msgspec

from coordinator.contract.common import to_time
from coordinator.contract.support import DeviceView
from coordinator.core.ports import Row, Tx, execute, fetch_one
from coordinator.core.retime import LATEST_AHEAD_MS, counted_ms
from coordinator.transactions.device_words import words_of
from coordinator.transactions.rows import audit, to_json
from coordinator.transactions.sight import rows_within
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.candidate import LET_GO
from shared.model.job import Value
from shared.model.selector import Selector
from shared.wire.messages import Receipt

_WORDS = ("kind", "profile", "vendor", "model", "firmware")
_MARK = "_profile_hash"
"""Only `device.sync` tells it."""
Cursor = tuple[str, str]
"""Agent and device."""
_ANY: Final = Selector(())


def note_facts(agent: AgentId, receipt: Receipt, now_ms: WallMs) -> Tx[None]:
    """Keep what a receipt says of its device, where a step asked for it; forget who was let go."""
    for name, device in receipt.result.items():
        if name.endswith(LET_GO) and isinstance(device, str):
            yield from execute("device_facts_forget", agent, device)
            yield from execute("device_state_forget", agent, device)
            yield from audit(
                now_ms,
                actor=f"agent:{agent}",
                action="device.release",
                object_=f"device:{agent}/{device}",
                detail={},
            )
    for facts in _facts(receipt):
        row = yield from fetch_one("device_facts_count", agent, receipt.device)
        if row is not None and row[0] >= limits.DEVICES:
            return
        yield from _save(agent, receipt.device, facts, receipt.wall_ms, now_ms)


def list_devices(
    agent: str,
    *,
    drifted: bool,
    silent: bool = False,
    after: Cursor,
    size: int,
    limit: Selector | None = None,
    wanted: Selector = _ANY,
) -> Tx[tuple[list[DeviceView], bool]]:
    """Return up to `size` devices after one, of one agent or of all, and whether there are more.

    `limit` selects agents, `wanted` devices; `silent`: only those that do not answer.
    """
    found: list[Row] = []
    asked = size + 1 if wanted is _ANY and not silent else limits.PAGE_ITEMS
    while len(found) <= size:
        rows = yield from rows_within(
            limit,
            "devices_after",
            "labels_with_devices",
            after=after,
            agent=agent,
            flag=drifted,
            size=asked,
        )
        found += [
            row
            for row in rows
            if wanted.matches(words_of((*row[:2], *row[5:10]))) and not (silent and row[10] is None)
        ]
        if len(rows) < asked:
            break
        after = (rows[-1][0], rows[-1][1])
    return [_view(row, row[10:]) for row in found[:size]], len(found) > size


def view_device(agent: str, device: str) -> Tx[DeviceView | None]:
    """Return one device, None where nobody ever asked it and nothing is said of it."""
    row = yield from fetch_one("device_facts_one", agent, device)
    state = yield from fetch_one("device_state_one", agent, device)
    if row is None and state is None:
        return None
    return _view(row or (agent, device, "{}", 0, None), state or (None, None, None))


def _save(
    agent: AgentId, device: str, facts: dict[str, Value], at_ms: int, now_ms: WallMs
) -> Tx[None]:
    drifted = facts.get("_drifted", 0)
    yield from execute(
        "device_facts_save",
        *(agent, device, to_json(facts)),
        *(drifted if isinstance(drifted, int) else 0, at_ms),
        *(str(facts.get(f"_{key}", "")) for key in _WORDS),
        # One that was told by a clock ahead of this is newer than nothing.
        now_ms + LATEST_AHEAD_MS,
    )


def note_update(agent: AgentId, device: str, version: str, at_ms: int, now_ms: WallMs) -> Tx[None]:
    """Keep what a device runs since an update; nothing of one that never said what it is."""
    row = yield from fetch_one("device_facts_one", agent, device)
    if row is not None and counted_ms(row[4], now_ms) <= at_ms:
        facts = msgspec.json.decode(row[2], type=dict[str, Value])
        yield from _save(agent, device, {**facts, "_firmware": version}, at_ms, now_ms)


def _facts(receipt: Receipt) -> list[dict[str, Value]]:
    """Return the results of those steps that asked the device what it is, without their names."""
    if not receipt.device or receipt.device.startswith("@"):
        return []
    by_step: dict[str, dict[str, Value]] = defaultdict(dict)
    for name, value in receipt.result.items():
        step, _, member = name.partition(".")
        by_step[step][member] = value
    return [members for members in by_step.values() if _MARK in members]


def _view(row: Row, state: Row) -> DeviceView:
    agent, device, text, _, at_ms, *_ = row
    since_ms, permille, told_ms = state
    facts = msgspec.json.decode(text, type=dict[str, Value])
    said = {key: str(facts.get(f"_{key}", "")) for key in ("vendor", "model", "firmware")}
    drift = str(facts.get("_drift", ""))
    return DeviceView(
        agent=agent,
        device=device,
        observed_at=None if at_ms is None else to_time(at_ms),
        **said,
        profile=str(facts.get("_profile", "")),
        kind=str(facts.get("_kind", "")),
        drift=drift.split(",") if drift else [],
        facts=facts,
        silent_since=None if since_ms is None else to_time(since_ms),
        firmware_permille=permille,
        told_at=None if told_ms is None else to_time(told_ms),
    )
