"""When the agent meets its coordinator, and what a contact's end means for the next one.

Pure: the state goes in and comes out, time and randomness are arguments. The service around it
waits, sends and calls these functions. A contact is never given up, only put off.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from agent.core.ladder import UNLIMITED, Allowance
from agent.core.settings import UplinkSettings
from shared import limits
from shared.clock import MonoMs
from shared.model.policy import full_jitter_ms


class Fault(Enum):
    """Why a contact brought no usable answer."""

    UNREACHABLE = auto()
    """No connection, or it broke."""
    SILENT = auto()
    """Connected, then nothing came in time: packets vanish."""
    UNTRUSTED = auto()
    """Whoever answered is not this fleet's coordinator."""
    DENIED = auto()
    """401 or 403: it does not know this agent, or no longer wants it."""
    CONFLICT = auto()
    """409: its memory of our reports contradicts ours."""
    TOO_LARGE = auto()
    """413: the body has to be smaller."""
    BUSY = auto()
    """429 or 503: later."""
    REFUSED = auto()
    """Any other status."""
    BAD_ANSWER = auto()
    """The answer did not pass the checks; the report stays as it is."""
    STORE = auto()
    """Our own disk failed; nothing was sent or nothing could be noted."""
    ABORTED = auto()
    """We broke it off ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFailed:
    """A contact without an answer."""

    fault: Fault
    detail: str = ""
    retry_after_s: int | None = None
    up: int = 0
    """Bytes given to the network, those it lost included; without TCP and IP headers."""
    down: int = 0
    unended: bool = False
    """It had not ended when a contact has to: whatever crossed the line is still uncounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """An answer as it came, unverified, and what the contact cost."""

    body: bytes
    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A contact whose reply was verified and acted on."""

    left: bool
    """Something to say is left: blocks, receipts or ledger rows."""
    progress: bool
    """The reply freed something."""
    resent: bool = False
    """The report had waited for its answer since earlier; nothing newer was said."""
    ordered: bool = False
    """A bundle came with it."""
    next_s: int = 0
    """When the coordinator would like the next contact; 0: it has no wish."""
    took_ms: int = 0
    """From the first byte to the answer, without the time that it was held back."""
    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How the link stands."""

    due_ms: MonoMs
    """The next contact that happens by itself."""
    budget: int
    """Bytes that the next body may have."""
    failures: int = 0
    """Contacts without an answer in a row."""
    blocked_until_ms: MonoMs | None = None
    """The coordinator asked not to be called before."""
    prompt_ms: MonoMs | None = None
    """Receipts wait: when to bring them."""
    urgent: bool = False
    """An alarm waits."""
    alarmed: bool = False
    """The newest contacts called for an alarm, and nothing has answered them."""
    unheard: int = 0
    """Those of the failures that cost bytes."""
    unheard_ms: MonoMs = MonoMs(0)
    """When the newest of them ended."""
    backlog: int = 0
    """Bytes of readings that waited when they were weighed last."""
    drain: bool = False
    """The last contact made room for more: the next one follows at once."""
    poll_from_ms: MonoMs | None = None
    """No long-poll before: the newest one was not held back and brought nothing, or broke off."""
    poll_pause_ms: int = 0
    """How long that pause is; it doubles with each such one until one is held back."""
    answered_ms: MonoMs | None = None
    fault: LinkFailed | None = None
    """Why the newest contact failed."""


@dataclass(frozen=True, slots=True)
class ContactPlan:
    """The next contact."""

    at_ms: MonoMs
    seal: bool
    """Take the open readings along."""
    wait_s: int
    """Let the coordinator hold an empty answer back this long."""


CONTACT_BYTES = 2_300
"""What a contact costs before it carries anything: 1,500 bytes, and 20 packets with 40 of headers.
`python -m tests.bench contact` and `day` measure it."""
WORTH_BYTES = 4 * CONTACT_BYTES
"""Readings that are worth a contact of their own where bytes cost: it adds a fifth to them."""
COALESCE_MS = 250
"""Receipts that arise together travel together: a write and its read-back take less."""
_POLL_PAUSE_MS = 1_000
"""After a long-poll that brought nothing early. One that holds answers ends a contact so for each
new policy, and once as it stops; one that holds none is asked ever more seldom."""
_FIRST_SPREAD_MS = 30_000
"""Gateways of one region start together after a power cut; their first contacts do not."""
_FIRST_RETRY_S = 120
_PATIENCE = 4
"""Contacts that cost bytes and brought nothing until the whole silence lies between two. An eighth
of it comes first: a sign of life that one bad moment took is there within three hours."""
_RETRY_MAX_S = 1_800
_RETRY_MAX_FLOOR_S = 30
_WISH_MAX_S = 86_400
"""Longest silence that a coordinator's wish can bring about: a day."""
_RETRY_AFTER_MAX_S = 86_400
"""Longest that a coordinator can put an agent off with one answer: a day."""
_BUDGET, _BUDGET_METERED = 1_000_000, 65_536
_BUDGET_START, _GROWTH = 131_072, 8
"""The first body is small, so that the present shows before the past; the next one is as large as
the line's pace allows. At 256 kbit/s these are 4 s and half a minute."""
_BODY_MS = 64_000
"""How long a body may take: an alarm that comes up meanwhile waits for its end."""
_BUDGET_LINE = 32_768
"""The least for a line that breaks off: any block fits into it, or goes alone."""
_BUDGET_MIN = 4_096
"""Below this only the report travels; whoever refuses even that refuses everything."""


def full_budget(settings: UplinkSettings) -> int:
    """Return how many bytes a body may have while nobody complains."""
    return _BUDGET_METERED if settings.metered else _BUDGET


def first_contact(settings: UplinkSettings, now_ms: MonoMs, *, fraction: float) -> LinkState:
    """Return the state at start: a contact soon, spread over the fleet."""
    spread = min(_FIRST_SPREAD_MS, settings.sync_interval_ms // 10)
    budget = min(_BUDGET_START, full_budget(settings))
    return LinkState(due_ms=MonoMs(now_ms + int(spread * fraction)), budget=budget)


def nudged(state: LinkState, now_ms: MonoMs, *, urgent: bool) -> LinkState:
    """Return the state once there is something to say: an alarm, or receipts."""
    if urgent:
        return replace(state, urgent=True)
    if state.prompt_ms is not None:
        return state
    return replace(state, prompt_ms=MonoMs(now_ms + COALESCE_MS))


def weighed(state: LinkState, backlog: int) -> LinkState:
    """Return the state once somebody knows how many bytes of readings wait."""
    return replace(state, backlog=backlog)


def begun(state: LinkState) -> LinkState:
    """Return the state as a contact begins: it takes along what there is to say now."""
    alarmed = state.alarmed or state.urgent
    return replace(state, prompt_ms=None, urgent=False, alarmed=alarmed, backlog=0, drain=False)


def is_pressed(state: LinkState) -> bool:
    """Tell whether something to say came up since the contact began, which does not carry it."""
    return state.urgent or state.prompt_ms is not None


def next_contact(
    state: LinkState,
    settings: UplinkSettings,
    now_ms: MonoMs,
    allowed: Allowance = UNLIMITED,
) -> ContactPlan:
    """Return when to call, and how.

    Receipts go at once where bytes are free and the link is up; where they cost, readings go once
    they are worth it. An alarm goes at once, even in the middle of a back-off. Nothing goes while
    the coordinator asked for quiet. What the budget does not allow calls nobody; a backlog takes
    the pace of the day.
    """
    rule = allowed.rule
    free = not settings.metered and not state.failures and rule.calls
    paced = MonoMs(now_ms + allowed.pace_ms)
    ways = [(_due(state, rule.silence_ms), True)]
    if state.prompt_ms is not None and free:
        ways.append((state.prompt_ms, False))
    if settings.metered and not state.failures and state.backlog >= WORTH_BYTES and rule.calls:
        ways.append((paced, True))
    if state.drain and rule.backlog:
        ways.append((paced, False))
    if state.urgent:
        ways.append((now_ms, False))
    at, seal = min(ways)
    if state.blocked_until_ms is not None and state.blocked_until_ms > at:
        return ContactPlan(state.blocked_until_ms, seal=True, wait_s=0)
    if settings.long_poll and free and state.answered_ms is not None:
        poll_ms = now_ms if state.poll_from_ms is None else max(now_ms, state.poll_from_ms)
        idle_s = min(limits.WAIT_S, (at - poll_ms) // 1000)
        if idle_s >= 1:
            return ContactPlan(poll_ms, seal=False, wait_s=idle_s)
    return ContactPlan(at, seal=seal, wait_s=0)


def _due(state: LinkState, silence_ms: int) -> MonoMs:
    """Return when the silence ends: as configured, or later where bytes are short.

    Where nobody answers, what it costs to ask is part of the budget too: the first tries come
    after a part of the silence, which doubles. An alarm is tried again as on any other day.
    """
    if state.unheard and not state.alarmed:
        part_ms = silence_ms >> max(0, _PATIENCE - state.unheard)
        return MonoMs(max(state.due_ms, state.unheard_ms + part_ms))
    if state.failures or state.answered_ms is None:
        return state.due_ms
    return MonoMs(max(state.due_ms, state.answered_ms + silence_ms))


def body_budget(state: LinkState, allowed: Allowance) -> int:
    """Return how many bytes the next body may have: what the line takes, and what is left."""
    most = [state.budget]
    if allowed.rule.body_bytes is not None:
        most.append(allowed.rule.body_bytes)
    if allowed.tokens is not None:
        most.append(max(WORTH_BYTES, allowed.tokens))
    return min(most)


def after_contact(
    state: LinkState,
    settings: UplinkSettings,
    end: Answered | LinkFailed,
    now_ms: MonoMs,
    *,
    plan: ContactPlan,
    fraction: float,
) -> LinkState:
    """Return the state once a contact has ended.

    Args:
        state: since `begun`, with what there was to say meanwhile.
        settings: the operator's choices.
        end: how it ended.
        now_ms: when.
        plan: what kind of contact it was.
        fraction: random in [0, 1), spreads a fleet that lost its coordinator together.
    """
    if isinstance(end, Answered):
        return _after_answer(state, settings, end, now_ms, plan)
    if end.fault is Fault.ABORTED:
        return state
    state = _polled(state, settings, end, now_ms, plan)
    failures, cost = state.failures + 1, end.unended or end.up + end.down > 0
    blocked = state.blocked_until_ms
    if end.retry_after_s is not None:
        blocked = MonoMs(now_ms + min(end.retry_after_s, _RETRY_AFTER_MAX_S) * 1000)
    return replace(
        state,
        due_ms=MonoMs(now_ms + _back_off_ms(settings, failures, fraction)),
        failures=failures,
        unheard=state.unheard + cost,
        unheard_ms=now_ms if cost else state.unheard_ms,
        blocked_until_ms=blocked,
        budget=_budget_after(state.budget, end),
        fault=end,
    )


def _budget_after(budget: int, end: LinkFailed) -> int:
    """Return what the next body may have: less, if this one was too much for the way."""
    if end.fault is Fault.TOO_LARGE:
        return max(_BUDGET_MIN, budget // 2)
    large = end.unended or end.up > _BUDGET_LINE
    broke_off = large and end.fault in {Fault.SILENT, Fault.UNREACHABLE}
    return min(budget, max(_BUDGET_LINE, budget // 2)) if broke_off else budget


def _after_answer(
    state: LinkState,
    settings: UplinkSettings,
    end: Answered,
    now_ms: MonoMs,
    plan: ContactPlan,
) -> LinkState:
    # After a report from earlier the contact that was due is still to come.
    fresh = plan.seal and not end.resent
    pause_ms = _pause_ms(settings, end.next_s)
    due_ms = MonoMs(now_ms + pause_ms) if fresh or end.next_s else state.due_ms
    return replace(
        _polled(state, settings, end, now_ms, plan),
        due_ms=due_ms,
        failures=0,
        unheard=0,
        # An old report had to be answered first: the alarm is still to be told.
        urgent=state.urgent or (state.alarmed and end.resent),
        alarmed=False,
        blocked_until_ms=None,
        # Without progress the next answer would not differ either: the backlog waits its turn.
        drain=end.left and (end.progress or end.resent),
        budget=min(full_budget(settings), _grown(state.budget, end)),
        answered_ms=now_ms,
        fault=None,
    )


def _polled(
    state: LinkState,
    settings: UplinkSettings,
    end: Answered | LinkFailed,
    now_ms: MonoMs,
    plan: ContactPlan,
) -> LinkState:
    """Return the state with the pause before the next long-poll, after one or another contact.

    Neither who answers each at once nor a proxy that cuts each is asked for ever: what brought
    something says nothing about holding, so only one that was held back ends the doubling.
    """
    if plan.wait_s == 0:
        return state
    if isinstance(end, Answered):
        if now_ms - plan.at_ms >= plan.wait_s * 1000 // 2:
            return replace(state, poll_from_ms=None, poll_pause_ms=0)
        if end.ordered or end.progress:
            return replace(state, poll_from_ms=None)
    pause_ms = min(max(_POLL_PAUSE_MS, 2 * state.poll_pause_ms), settings.sync_interval_ms)
    return replace(state, poll_from_ms=MonoMs(now_ms + pause_ms), poll_pause_ms=pause_ms)


def _grown(budget: int, end: Answered) -> int:
    """Return what the next body may have, by the pace of this one."""
    if end.up < budget // 2 or end.took_ms <= 0:
        # It was not full: it says nothing about the line, which is trusted as at the start.
        return max(budget, min(2 * budget, _BUDGET_START))
    paced = budget * _BODY_MS // end.took_ms
    return max(min(budget, _BUDGET_METERED), min(paced, budget * _GROWTH))


def _pause_ms(settings: UplinkSettings, wish_s: int) -> int:
    """Return the time to the next contact: the site's own, unless the coordinator has a wish."""
    if wish_s <= 0:
        return settings.sync_interval_ms
    longest_ms = max(settings.sync_interval_ms, _WISH_MAX_S * 1000)
    return min(max(wish_s * 1000, limits.SYNC_MIN_MS), longest_ms)


def _back_off_ms(settings: UplinkSettings, failures: int, fraction: float) -> int:
    interval_s = max(1, settings.sync_interval_ms // 1000)
    longest_s = min(_RETRY_MAX_S, max(_RETRY_MAX_FLOOR_S, 10 * interval_s))
    return full_jitter_ms(
        failures,
        initial_s=min(_FIRST_RETRY_S, interval_s),
        max_s=longest_s,
        fraction=fraction,
    )
