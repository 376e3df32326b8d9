"""A trigger fires: the job is submitted in the transaction that says so, once for each occasion.

An occasion is a nominal time or an event, and a key of the firings: whoever comes second, after a
crash or from another replica, finds it there. What is not done (too many, the last one still at
work, a mistake) is told like what is. Leaves out the loop (`coordinator.services.triggers`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.contract.common import to_time
from coordinator.contract.triggers import OccasionView, Outcome, TriggerBody
from coordinator.core.derived import firing_of, time_of
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.core.targeting import fold_labels
from coordinator.transactions.cancel import cancel
from coordinator.transactions.submit import Draft, Submission, draft_body, submit
from coordinator.transactions.triggers import JOB, SCHEDULE, kept_of, submission_of, zone_of
from shared import limits
from shared.clock import Entropy, WallMs
from shared.errors import MistakeError
from shared.ids import AgentId, parse_uuid, uuid_text
from shared.model.schedule import Overlap, Schedule, newest_nominal, to_fire
from shared.model.selector import parse_selector
from shared.trust.policy import Policy

_HOUR_MS = 3_600_000
_QUEUED_LOOK_MS = 60_000
"""How soon a firing that waits for the one before it is looked at again."""
NEWEST = (limits.INT_MAX, "\uffff")
"""A key after every firing: where a list that goes from new to old begins."""
Key = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What firing needs besides the store."""

    policy: Policy
    entropy: Entropy
    now_ms: WallMs


@dataclass(slots=True)
class Fired:
    """What a look brought about: whom to wake."""

    jobs: list[bytes] = field(default_factory=list)
    agents: list[AgentId] = field(default_factory=list)
    taken: bool = False
    """Another replica fires this trigger at this moment: nothing was done."""


def due_triggers(now_ms: WallMs) -> Tx[tuple[list[bytes], list[tuple[bytes, str]]]]:
    """Return schedules whose time has come, and events that wait to be dealt with."""
    due = yield from fetch("triggers_due", now_ms, limits.TRIGGER_BATCH)
    waiting = yield from fetch("firings_waiting", limits.TRIGGER_BATCH)
    return [row[0] for row in due], [(row[0], row[1]) for row in waiting]


def next_due() -> Tx[WallMs | None]:
    """Return when the next schedule fires, None when none does."""
    row = yield from fetch_one("trigger_next_due")
    return row[0] if row else None


def fire_schedule(trigger_id: bytes, bench: Bench) -> Tx[Fired]:
    """Fire what is due of a schedule and move it on; nothing where somebody else just did."""
    fired = Fired(taken=(yield from fetch_one("trigger_claim", trigger_id)) is None)
    if fired.taken:
        return fired
    row = yield from fetch_one("trigger", trigger_id)
    if row is None or row[8] is not None or row[10] is None or row[10] > bench.now_ms:
        return fired
    trigger = kept_of(row).trigger
    assert trigger.schedule is not None, "only schedules are due"
    schedule = trigger.schedule.to_schedule()
    done_ms, version = WallMs(row[9]), row[11]
    nominals, next_ms = to_fire(schedule, done_ms, bench.now_ms, zone_of(schedule))
    missed = () if nominals else _missed(schedule, done_ms, bench.now_ms)
    busy = yield from fetch_one("trigger_busy", trigger_id)
    if busy is not None and schedule.overlap is Overlap.QUEUE_ONE and nominals:
        later_ms = bench.now_ms + _QUEUED_LOOK_MS
        yield from _look_later(row, done_ms, later_ms)
        return fired
    reached_ms = max(done_ms, bench.now_ms)
    moved = yield from fetch_one("trigger_advance", trigger_id, version, reached_ms, next_ms)
    if moved is None:
        return fired
    for nominal in missed:
        yield from _note(row, nominal, "missed", bench)
    for nominal in nominals:
        if busy is not None and schedule.overlap is Overlap.SKIP:
            yield from _note(row, nominal, "overlapped", bench)
            continue
        if busy is not None and schedule.overlap is Overlap.CANCEL_RUNNING:
            yield from _call_off(busy[0], row, bench, fired)
            busy = None
        occasion = occasion_of(nominal)
        begun = yield from fetch_one("firing_begin", trigger_id, occasion, nominal)
        if begun is not None:
            yield from fire(trigger_id, occasion, bench, fired)
    return fired


def _look_later(row: Row, done_ms: int, due_ms: int) -> Tx[None]:
    """Look at a schedule again later, without having dealt with anything."""
    yield from execute("trigger_advance", row[0], row[11], done_ms, due_ms)


def fire_event(trigger_id: bytes, occasion: str, bench: Bench) -> Tx[Fired]:
    """Deal with an event that a trigger listens to."""
    fired = Fired(taken=(yield from fetch_one("trigger_claim", trigger_id)) is None)
    if fired.taken:
        return fired
    yield from fire(trigger_id, occasion, bench, fired)
    return fired


def fire(trigger_id: bytes, occasion: str, bench: Bench, fired: Fired) -> Tx[None]:
    """Submit the job of one occasion that waits, or say why not."""
    row = yield from fetch_one("trigger", trigger_id)
    waiting = yield from fetch_one("firing_waiting", trigger_id, occasion)
    if row is None or waiting is None or row[8] is not None:
        return
    trigger = kept_of(row).trigger
    at_ms, agent, device = waiting
    if not (yield from _concerns(row[5], agent)):
        yield from execute("firing_forget", trigger_id, occasion)
        return
    too_many = yield from _too_many(row[0], trigger, agent, bench.now_ms)
    if too_many:
        yield from _settle(row, occasion, ("rate_limited", too_many, None), bench)
        return
    job_id = firing_of(trigger_id, occasion, _stamp(row, occasion, at_ms))
    if (yield from fetch_one("job", job_id)) is not None:
        # The firing was forgotten since, as old ones are; what it made was not.
        yield from _settle(row, occasion, ("submitted", device, job_id), bench)
        return
    try:
        draft = yield from _drafted(trigger, agent, device, bench)
        submission = Submission(
            actor=f"trigger:{trigger.name}",
            token_id="",
            author=row[4],
            now_ms=bench.now_ms,
            origin=f"trigger:{trigger.name}",
            job=job_id,
        )
        done = yield from submit(draft, submission, bench.entropy)
    except MistakeError as error:
        yield from _settle(row, occasion, ("refused", str(error), None), bench)
        return
    yield from _settle(row, occasion, ("submitted", device, done.job), bench)
    fired.jobs.append(done.job)
    fired.agents.extend(done.agents)


def _drafted(trigger: TriggerBody, agent: str, device: str, bench: Bench) -> Tx[Draft]:
    """Return the job of one occasion, checked.

    Raises:
        MistakeError: it cannot be made, whatever the reason: one trigger is to stop no other.
    """
    try:
        body = yield from submission_of(trigger, agent=agent, device=device)
        return draft_body(body, bench.policy, bench.now_ms)
    except MistakeError:
        raise
    # What a store raises never comes in here, so this is about the trigger alone.
    except Exception as error:
        raise MistakeError(f"the job cannot be made: {type(error).__name__}: {error}") from error


def _stamp(row: Row, occasion: str, at_ms: int) -> WallMs:
    """Return a time that an occasion has however often it is told."""
    kind = row[2]
    if kind == SCHEDULE or occasion.endswith(f" {at_ms}"):
        return WallMs(at_ms)
    if kind.startswith(JOB):
        return time_of(parse_uuid(occasion.rpartition(" ")[2], what="a job"))
    return time_of(row[0])


def list_occasions(
    name: str, *, before: Key, size: int
) -> Tx[tuple[list[OccasionView], Key | None] | None]:
    """Return up to `size` firings of a trigger, newest first, and the key where more follow."""
    trigger = yield from fetch_one("trigger_named", name)
    if trigger is None:
        return None
    rows = yield from fetch("occasions_before", trigger[0], *before, size + 1)
    last = rows[size - 1] if len(rows) > size else None
    key = None if last is None else (last[1], last[0])
    return [_view(row) for row in rows[:size]], key


def occasion_of(nominal: WallMs) -> str:
    """Return what a nominal time is known by.

    >>> occasion_of(WallMs(0))
    'at 1970-01-01T00:00:00.000Z'
    """
    text = to_time(nominal).isoformat(timespec="milliseconds")
    return f"at {text.removesuffix('+00:00')}Z"


def _missed(schedule: Schedule, done_ms: WallMs, now_ms: WallMs) -> Sequence[WallMs]:
    return newest_nominal(schedule, done_ms, now_ms, zone_of(schedule)) if now_ms > done_ms else ()


def _note(row: Row, nominal: WallMs, outcome: Outcome, bench: Bench) -> Tx[None]:
    occasion = occasion_of(nominal)
    begun = yield from fetch_one("firing_begin", row[0], occasion, nominal)
    if begun is not None:
        yield from _settle(row, occasion, (outcome, "", None), bench)


def _call_off(job: bytes, row: Row, bench: Bench, fired: Fired) -> Tx[None]:
    off = yield from cancel(job, actor=f"trigger:{row[1]}", now_ms=bench.now_ms)
    fired.jobs.append(job)
    fired.agents.extend(off.agents if off is not None else ())


def _concerns(selector: str, agent: str) -> Tx[bool]:
    if not selector:
        return True
    labels = fold_labels((yield from fetch("labels_of_one", agent)))
    return agent in labels and parse_selector(selector).matches(labels[agent])


def _too_many(trigger_id: bytes, trigger: TriggerBody, agent: str, now_ms: WallMs) -> Tx[str]:
    """Return why an occasion is one too many, empty when it is not."""
    span_ms = max(_HOUR_MS, trigger.min_interval_s * 1000)
    row = yield from fetch_one("firings_lately", trigger_id, now_ms - span_ms, agent)
    assert row is not None, "an aggregate always answers"
    soon_ms = now_ms - trigger.min_interval_s * 1000
    if trigger.min_interval_s and row[1] is not None and row[1] > soon_ms:
        return f"less than {trigger.min_interval_s} s after the last one"
    hour = yield from fetch_one("firings_lately", trigger_id, now_ms - _HOUR_MS, agent)
    assert hour is not None, "an aggregate always answers"
    return f"more than {trigger.max_per_hour} an hour" if hour[0] >= trigger.max_per_hour else ""


def _settle(
    row: Row, occasion: str, what: tuple[Outcome, str, bytes | None], bench: Bench
) -> Tx[None]:
    outcome, detail, job = what
    text = detail[: limits.DETAIL_CHARS]
    yield from execute("firing_settle", row[0], occasion, outcome, text, job, bench.now_ms)
    yield from execute("occasions_forget", row[0], limits.TRIGGER_FIRINGS)


def _view(row: Row) -> OccasionView:
    occasion, at_ms, agent, outcome, detail, job, done_ms = row
    return OccasionView(
        occasion=occasion,
        at=to_time(at_ms),
        agent=agent,
        outcome=outcome or "waiting",
        detail=detail,
        job=None if job is None else uuid_text(job),
        done_at=None if done_ms is None else to_time(done_ms),
    )
