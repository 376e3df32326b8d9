"""Devices that gateways found: folded from the receipts of `agent.discover`, listed, ignored.

A receipt that comes late changes nothing that a newer one said, unless that one's clock cannot be
right. What is adopted is a candidate no
more. Leaves out finding them (`agent.services.lookout`).
"""

from collections.abc import Sequence

from coordinator.contract.candidates import CandidateView
from coordinator.contract.common import to_time
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.core.retime import counted_ms
from coordinator.transactions.happenings import happened
from coordinator.transactions.rows import audit
from coordinator.transactions.sight import rows_within
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.candidate import ADOPTED, CandidateWord, read_words
from shared.model.selector import Selector
from shared.wire.messages import Receipt

Cursor = tuple[str, str, str]
"""Agent, place and way."""
_EVENTS = {"new": "candidate.found", "returned": "candidate.found", "moved": "candidate.moved"}


def note_candidates(agent: AgentId, receipt: Receipt, now_ms: WallMs) -> Tx[None]:
    """Keep what a receipt tells of devices that were found, and of those that were adopted."""
    for name, place in receipt.result.items():
        if name.endswith(ADOPTED) and isinstance(place, str):
            yield from execute("candidate_forget_place", agent, place)
    for word in read_words(receipt.result):
        yield from _note(agent, word, receipt.wall_ms, now_ms)


def _note(agent: AgentId, word: CandidateWord, at_ms: int, now_ms: WallMs) -> Tx[None]:
    if word.device and word.change == "moved":
        yield from _followed(agent, word, at_ms, now_ms)
        return
    row = yield from fetch_one("candidate", agent, word.way, word.place)
    seen_ms, lost_ms = (0, None) if row is None else (row[7], row[8])
    if at_ms < max(counted_ms(seen_ms, now_ms), counted_ms(lost_ms or 0, now_ms)):
        return
    occasion = f"{agent} {word.place} {at_ms}"
    if word.change == "lost":
        gone = yield from fetch_one("candidate_lost", agent, word.way, word.place, at_ms)
        if gone is not None:
            yield from _happened("candidate.lost", occasion, agent, word, now_ms)
        return
    if row is None:
        count = yield from fetch_one("candidate_count", agent)
        if count is not None and count[0] >= limits.CANDIDATES:
            return
    former = None
    if word.before:
        former = yield from fetch_one("candidate_forget", agent, word.way, word.before)
    # Who moved keeps what a person said of it, and since when it is known.
    kept = row[6:4:-1] if row is not None else former
    if kept is None and word.serial:
        # Who was turned away is not another one because it, or its gateway, begins anew.
        who = (word.way, word.serial, word.vendor, word.model)
        kept = (at_ms, int((yield from fetch_one("candidate_refused", agent, *who)) is not None))
    first_ms, ignored = kept if kept is not None else (at_ms, 0)
    said = (word.vendor, word.model, word.firmware, word.serial, word.name, word.before)
    place = (agent, word.way, word.place)
    yield from execute(
        "candidate_save", *place, *said, word.device, ignored, min(first_ms, at_ms), at_ms
    )
    new = row is None or lost_ms is not None
    kind = _EVENTS.get(word.change, "candidate.found" if new else "")
    if kind and not ignored:
        yield from _happened(kind, occasion, agent, word, now_ms)
    if word.device and (row is None or row[4] != word.device):
        yield from happened(
            "device.claimed", occasion, agent=agent, now_ms=now_ms, device=word.device
        )


def _followed(agent: AgentId, word: CandidateWord, at_ms: int, now_ms: WallMs) -> Tx[None]:
    """Write down that an attached device is elsewhere; it is a candidate at neither place."""
    for place in (word.place, word.before):
        yield from execute("candidate_forget_place", agent, place)
    about = f"{agent} {word.device} {word.place} {at_ms}"
    yield from happened("device.moved", about, agent=agent, now_ms=now_ms, device=word.device)
    yield from audit(
        now_ms,
        actor=f"agent:{agent}",
        action="device.follow",
        object_=f"device:{agent}/{word.device}",
        detail={"from": word.before, "to": word.place, "serial": word.serial},
    )


def _happened(
    kind: str, occasion: str, agent: AgentId, word: CandidateWord, now_ms: WallMs
) -> Tx[None]:
    yield from happened(kind, occasion, agent=agent, now_ms=now_ms, device=word.place)


def list_candidates(
    agent: str, *, ignored: bool, after: Cursor, size: int, limit: Selector | None = None
) -> Tx[tuple[list[CandidateView], bool]]:
    """Return up to `size` candidates after one, and whether there are more."""
    rows = yield from rows_within(
        limit,
        "candidates_after",
        "labels_with_candidates",
        after=after,
        agent=agent,
        flag=ignored,
        size=size + 1,
    )
    return [_view(row) for row in rows[:size]], len(rows) > size


def ignore(
    agent: str, place: str, *, ignored: bool, actor: str, now_ms: WallMs
) -> Tx[Sequence[CandidateView]]:
    """Show or hide the candidates at a place; return them, none where there are none."""
    changed = yield from fetch_one("candidate_ignore", agent, place, int(ignored))
    if changed is None:
        return []
    yield from audit(
        now_ms,
        actor=actor,
        action="candidate.ignore" if ignored else "candidate.show",
        object_=f"agent:{agent}",
        detail={"place": place},
    )
    rows = yield from fetch("candidates_at", agent, place)
    return [_view(row) for row in rows]


def _view(row: Row) -> CandidateView:
    agent, way, place, vendor, model, firmware, serial, name, before, device, ignored, *times = row
    first_ms, seen_ms, lost_ms = times
    return CandidateView(
        agent=agent,
        way=way,
        place=place,
        vendor=vendor,
        model=model,
        firmware=firmware,
        serial=serial,
        name=name,
        before=before,
        device=device,
        ignored=bool(ignored),
        first_at=to_time(WallMs(first_ms)),
        seen_at=to_time(WallMs(seen_ms)),
        lost_at=None if lost_ms is None else to_time(WallMs(lost_ms)),
    )
