"""When the agent meets its coordinator, and what a contact's end means for the next one.

Pure: the state goes in and comes out, time and randomness are arguments. The service around it
waits, sends and calls these functions. A contact is never given up, only put off.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

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
    backlog: int = 0
    """Bytes of readings that waited when they were weighed last."""
    drain: bool = False
    """The last contact made room for more: the next one follows at once."""
    poll_from_ms: MonoMs | None = None
    """No long-poll before: the coordinator does not hold its answers back."""
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
_FIRST_SPREAD_MS = 30_000
"""Gateways of one region start together after a power cut; their first contacts do not."""
_FIRST_RETRY_S = 120
_RETRY_MAX_S = 1_800
_RETRY_MAX_FLOOR_S = 30
_RETRY_AFTER_MAX_S = 86_400
"""Longest that a coordinator can put an agent off with one answer: a day."""
_BUDGET, _BUDGET_METERED = 524_288, 65_536
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
    return LinkState(due_ms=MonoMs(now_ms + int(spread * fraction)), budget=full_budget(settings))


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
    return replace(state, prompt_ms=None, urgent=False, backlog=0, drain=False)


def next_contact(state: LinkState, settings: UplinkSettings, now_ms: MonoMs) -> ContactPlan:
    """Return when to call, and how.

    Receipts go at once where bytes are free and the link is up; where they cost, readings go once
    they are worth it. An alarm goes at once, even in the middle of a back-off. Nothing goes while
    the coordinator asked for quiet.
    """
    free = not settings.metered and not state.failures
    ways = [(state.due_ms, True)]
    if state.prompt_ms is not None and free:
        ways.append((state.prompt_ms, False))
    if settings.metered and not state.failures and state.backlog >= WORTH_BYTES:
        ways.append((now_ms, True))
    if state.urgent or state.drain:
        ways.append((now_ms, False))
    at, seal = min(ways)
    if state.blocked_until_ms is not None and state.blocked_until_ms > at:
        return ContactPlan(state.blocked_until_ms, seal=True, wait_s=0)
    may_wait = state.poll_from_ms is None or state.poll_from_ms <= now_ms
    if settings.long_poll and free and may_wait and state.answered_ms is not None:
        idle_s = min(limits.WAIT_S, (at - now_ms) // 1000)
        if idle_s >= 1:
            return ContactPlan(now_ms, seal=False, wait_s=idle_s)
    return ContactPlan(at, seal=seal, wait_s=0)


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
    failures = state.failures + 1
    blocked = state.blocked_until_ms
    if end.retry_after_s is not None:
        blocked = MonoMs(now_ms + min(end.retry_after_s, _RETRY_AFTER_MAX_S) * 1000)
    return replace(
        state,
        due_ms=MonoMs(now_ms + _back_off_ms(settings, failures, fraction)),
        failures=failures,
        blocked_until_ms=blocked,
        budget=_budget_after(state.budget, end),
        fault=end,
    )


def _budget_after(budget: int, end: LinkFailed) -> int:
    """Return what the next body may have: less, if this one was too much for the way."""
    if end.fault is Fault.TOO_LARGE:
        return max(_BUDGET_MIN, budget // 2)
    broke_off = end.fault in {Fault.SILENT, Fault.UNREACHABLE} and end.up > _BUDGET_LINE
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
    due_ms = MonoMs(now_ms + settings.sync_interval_ms) if fresh else state.due_ms
    # An empty answer that was not held back would be followed by the same one at once.
    held = now_ms - plan.at_ms >= plan.wait_s * 1000 // 2
    idle = plan.wait_s > 0 and not held and not end.ordered and not end.progress
    return replace(
        state,
        due_ms=due_ms,
        failures=0,
        blocked_until_ms=None,
        # Without progress the next answer would not differ either: the backlog waits its turn.
        drain=end.left and (end.progress or end.resent),
        poll_from_ms=due_ms if idle else None,
        budget=min(full_budget(settings), state.budget * 2),
        answered_ms=now_ms,
        fault=None,
    )


def _back_off_ms(settings: UplinkSettings, failures: int, fraction: float) -> int:
    interval_s = max(1, settings.sync_interval_ms // 1000)
    longest_s = min(_RETRY_MAX_S, max(_RETRY_MAX_FLOOR_S, 10 * interval_s))
    return full_jitter_ms(
        failures,
        initial_s=min(_FIRST_RETRY_S, interval_s),
        max_s=longest_s,
        fraction=fraction,
    )
