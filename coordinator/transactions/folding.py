"""What is known of an execution, and the facts that are folded into its row and its tasks' rows.

Leaves out which facts are new (`coordinator.transactions.receipts`) and the rules of the fold
(`coordinator.core.reconcile`).
"""

from collections.abc import Sequence

from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.core.reconcile import Known, Rank, TaskKnown, fold, how_it_stopped
from coordinator.transactions.rows import unpack_result
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.job import TERMINAL_EXECUTION, TERMINAL_TASK, ExecutionState, TaskState
from shared.wire.codec import pack
from shared.wire.messages import Receipt


def fold_in(
    whose: tuple[AgentId, bytes, int],
    row: Row,
    facts: Sequence[Receipt],
    now_ms: WallMs,
    *,
    lost: bool,
) -> Tx[bool]:
    """Fold facts into the row of an execution; tell whether it ended with them.

    Args:
        whose: the agent, the execution, the ordinal of the jobs store.
        row: what is known of it.
        facts: about it or its tasks.
        now_ms: the present.
        lost: it was first signed for a store that is no more.
    """
    agent, execution, ordinal = whose
    tasks = yield from fetch("task_known", agent, execution)
    before = _known(row, tasks)
    after = fold(before, facts, epoch=ordinal)
    yield from execute(
        "execution_save",
        agent,
        execution,
        after.state,
        after.reason,
        after.rank.epoch if after.rank else 0,
        after.rank.number if after.rank else 0,
        now_ms,
        after.detail,
        after.since_ms,
    )
    *_, cancel_ms, how, _ = row
    asked = cancel_ms is not None
    stopped = how_it_stopped(after, facts, asked=asked, before=how, lost=lost)
    if stopped != how:
        yield from execute("execution_stopped", agent, execution, stopped)
    for device, task in after.tasks.items():
        if before.tasks.get(device) is not task:
            yield from _save_task(agent, execution, device, task)
    for device in before.tasks.keys() - after.tasks.keys():
        yield from execute("task_forget", agent, execution, device)
    return after.state in TERMINAL_EXECUTION and before.state not in TERMINAL_EXECUTION


def _save_task(agent: AgentId, execution: bytes, device: str, task: TaskKnown) -> Tx[None]:
    yield from execute(
        "task_save",
        agent,
        execution,
        device,
        task.state,
        task.attempt,
        task.reason,
        task.detail,
        pack(dict(task.result)),
        task.rank.epoch,
        task.rank.number,
    )


def _known(row: Row, tasks: Sequence[Row]) -> Known:
    _, state, reason, epoch, number, detail, since_ms, *_ = row
    return Known(
        state=ExecutionState(state),
        reason=reason,
        detail=detail,
        since_ms=since_ms,
        rank=Rank(state in TERMINAL_EXECUTION, epoch, number) if number else None,
        tasks={task[0]: _task_known(task) for task in tasks},
    )


def _task_known(row: Row) -> TaskKnown:
    _, state, attempt, reason, detail, result, epoch, number = row
    return TaskKnown(
        state=TaskState(state),
        rank=Rank(state in TERMINAL_TASK, epoch, number),
        attempt=attempt,
        reason=reason,
        detail=detail,
        result=unpack_result(result),
    )


def fold_history(agent: AgentId, execution: bytes, now_ms: WallMs) -> Tx[None]:
    """Fold in what was told of an execution before there was a row of it."""
    for ordinal, number, device, state, attempt, reason, wall_ms, detail, result in (
        yield from fetch("receipts_to_fold", agent, execution)
    ):
        row = yield from fetch_one("execution_known", agent, execution)
        assert row is not None, "its row is there by now"
        told = unpack_result(result)
        fact = Receipt(number, execution, device, state, attempt, reason, wall_ms, detail, told)
        yield from fold_in((agent, execution, ordinal), row, [fact], now_ms, lost=False)
