"""What standing jobs did: schedules that ran, rules that fired, alarms; newest first.

A receipt about firings moves no execution. It is kept once per (agent, jobs store, number), so it
may come in any order, any number of times. Leaves out how agents put several firings that ended
alike into one piece of history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.contract.common import to_time
from coordinator.contract.standing import AlarmView, FiringView
from coordinator.core.events import Subject
from coordinator.core.ports import Row, Scalar, Tx, execute, fetch, fetch_one
from coordinator.transactions.outbox import tell
from coordinator.transactions.rows import unpack_result
from coordinator.transactions.sight import sees_agent, sees_job
from coordinator.transactions.words import execution_state_text, reason_text
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, uuid_text
from shared.model.job import ExecutionState, TaskState
from shared.model.plan import Severity
from shared.model.selector import Selector
from shared.wire.codec import pack
from shared.wire.messages import Receipt

NEWEST = (limits.INT_MAX, limits.INT_MAX)
"""A key after every firing: where a list that goes from new to old begins."""
Key = tuple[int, int]
"""When it ended last, and its number here: what firings are ordered by."""

_DEVICE, _SEVERITY = "device", "severity"


def keep_firings(
    whose: tuple[AgentId, bytes, int],
    job: bytes | None,
    receipts: Sequence[Receipt],
    *,
    now_ms: WallMs,
) -> Tx[None]:
    """Keep what an agent tells of its standing job; the oldest beyond a bound goes.

    Args:
        whose: the agent, the execution, the ordinal of the jobs store.
        job: the execution's job; None when it is unknown here.
        receipts: each with a count of firings.
        now_ms: the present.
    """
    agent, execution, ordinal = whose
    for receipt in receipts:
        result, device = dict(receipt.result), _device_of(receipt)
        if not receipt.device:
            result.pop(_DEVICE, None)
        said = str(result.pop(_SEVERITY, ""))
        yield from execute(
            "firing_insert",
            *(agent, ordinal, receipt.number, execution, job, device),
            *(receipt.firing_ms, receipt.last_ms, receipt.count),
            *(receipt.state, receipt.reason, receipt.detail),
            *(said if said in set(Severity) else "", pack(result), now_ms),
        )
        if said in set(Severity):
            about = Subject(agent=agent, device=device, job=job or b"")
            words: dict[str, Scalar] = {"severity": said, "text": receipt.detail}
            words["count"] = receipt.count
            yield from tell("alarm.raised", about, now_ms, detail=words)
    most = (limits.FIRINGS_KEPT, limits.RECEIPTS_PER_REPORT + len(receipts))
    yield from execute("firings_forget_most", agent, execution, *most)


def unheard(agent: AgentId, ordinal: int, again: Sequence[Receipt]) -> Tx[list[Receipt]]:
    """Return the firings that came under numbers that are taken, and stand for something else here.

    Somebody put a store back. Each has a number below zero from now on, which no agent gives out:
    none takes the place of what came first.

    Args:
        agent: whose.
        ordinal: of its jobs store.
        again: receipts whose numbers were received before.
    """
    found: list[Receipt] = []
    for receipt in again:
        if not receipt.count:
            continue
        row = yield from fetch_one(
            "firing_again",
            *(agent, ordinal, receipt.execution),
            *(receipt.firing_ms, receipt.last_ms, receipt.count, receipt.state),
            *(_device_of(receipt), receipt.detail),
        )
        assert row is not None, "an aggregate answers"
        lowest, known = row
        if not known:
            found.append(replace(receipt, number=min(lowest, 0) - 1 - len(found)))
    return found


def _device_of(receipt: Receipt) -> str:
    return receipt.device or str(receipt.result.get(_DEVICE, ""))


def of_device(receipt: Receipt) -> Receipt:
    """Return what a firing found out about a device as if a task of it had told; else the same."""
    if not receipt.count or _DEVICE not in receipt.result or _SEVERITY in receipt.result:
        return receipt
    result = dict(receipt.result)
    device = str(result.pop(_DEVICE))
    done = receipt.state == ExecutionState.SUCCEEDED
    state = TaskState.DONE if done else TaskState.FAILED
    return replace(receipt, device=device, state=int(state), result=result)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAlarms:
    """Which alarms are asked for; empty fields match every one."""

    severity: str = ""
    agent: str = ""
    job: bytes = b""
    start_ms: int = -limits.INT_MAX
    limit: Selector | None = None
    """Only those of agents that match."""


def list_firings(
    job: bytes, *, agent: str, before: Key, size: int, limit: Selector | None = None
) -> Tx[tuple[list[FiringView], Key | None] | None]:
    """Return up to `size` firings of a job before a key, and the key of the last if more follow.

    None when there is no such job within a token's limit.
    """
    if (yield from fetch_one("job", job)) is None or not (yield from sees_job(job, limit)):
        return None
    rows = yield from fetch("firings_of_job", job, *before, agent, size + 1)
    return [_firing_view(row) for row in rows[:size]], _following(rows, size)


def list_alarms(
    wanted: WantedAlarms, *, before: Key, size: int
) -> Tx[tuple[list[AlarmView], Key | None]]:
    """Return up to `size` alarms before a key, and the key of the last if more follow."""
    rows: list[Row] = []
    seen: dict[str, bool] = {}
    while len(rows) <= size:
        filters = (wanted.severity, wanted.agent, wanted.job or None, wanted.start_ms)
        page = yield from fetch("alarms_before", *before, *filters, size + 1)
        for row in page:
            if wanted.limit is not None and row[1] not in seen:
                seen[row[1]] = yield from sees_agent(row[1], wanted.limit)
            rows += [row] if seen.get(row[1], True) else []
        if len(page) <= size:
            break
        before = _key(page[-1])
    return [_alarm_view(row) for row in rows[:size]], _following(rows, size)


def _following(rows: Sequence[Row], size: int) -> Key | None:
    return _key(rows[size - 1]) if len(rows) > size else None


def _key(row: Row) -> Key:
    return row[7], row[0]


def _firing_view(row: Row) -> FiringView:
    _, agent, _, _, execution, device, first_ms, last_ms, count, state, reason, *rest = row
    detail, severity, result, received_ms = rest
    return FiringView(
        agent=agent,
        execution=uuid_text(execution),
        device=device,
        first_at=to_time(first_ms),
        last_at=to_time(last_ms),
        count=count,
        state=execution_state_text(state),
        reason=reason_text(reason),
        detail=detail,
        severity=severity,
        result=unpack_result(result),
        received_at=to_time(received_ms),
    )


def _alarm_view(row: Row) -> AlarmView:
    number, agent, job, name, _, device, first_ms, last_ms, count, _, _, *rest = row
    detail, severity, result, received_ms = rest
    return AlarmView(
        number=number,
        severity=severity,
        agent=agent,
        device=device,
        text=detail,
        first_at=to_time(first_ms),
        last_at=to_time(last_ms),
        count=count,
        values=unpack_result(result),
        job=None if job is None else uuid_text(job),
        name=name,
        received_at=to_time(received_ms),
    )
