"""A whole rollout is taken back: a job of its own does the compensation where something was done.

Executions that still run are called off with the job itself. One that stops half-way, succeeds all
the same, or whose success is told late, is undone too as soon as it is known. Where the policy
asks people to agree to the compensation, that job waits for them; their list cannot grow later.
"""

from collections.abc import Sequence
from hashlib import sha256

from msgspec.structs import replace

from coordinator.core.derived import undoing_of
from coordinator.core.job_class import choose_class
from coordinator.core.ports import Row, Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.reconcile import STOPPED
from coordinator.transactions.artifacts import name_artifacts
from coordinator.transactions.executions import insert_executions
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, JobId, uuid_text
from shared.model.job import ExecutionState, JobSpec
from shared.trust.policy import Policy
from shared.wire.codec import pack, unpack

_SUFFIX = "-undo"
_NAME_CHARS = 40
"""As `shared.ids.is_name` allows."""


def undo_spec(spec: JobSpec) -> JobSpec:
    """Return the job that takes another one back: its compensation as steps, at once."""
    return replace(
        JobSpec(spec.name[: _NAME_CHARS - len(_SUFFIX)].rstrip("-") + _SUFFIX, spec.compensation),
        targets=spec.targets,
        retry=spec.retry,
        timeout_s=spec.timeout_s,
        conflict_key=spec.conflict_key,
        priority=0,
    )


def undo(row: Row, policy: Policy, now_ms: WallMs) -> Tx[list[AgentId]]:
    """Make the job that takes a rollout back, once; return who gets it.

    Raises:
        MistakeError: no class of the policy may do the compensation.
    """
    if row[4] is not None:
        return []
    spec = undo_spec(unpack(row[10], JobSpec, bound=limits.SPEC_BYTES))
    name, rule = choose_class(spec, policy)
    job, packed = undoing_of(row[0]), pack(spec)
    agents = yield from _to_undo(row[0], job)
    yield from execute(
        "rollout_undo_insert",
        job,
        spec.name,
        sha256(packed).digest(),
        packed,
        name,
        len(agents),
        now_ms + limits.JOB_EXPIRES_S * 1000,
        now_ms,
        row[14],
        row[20],
        row[15],
        rule.threshold,
        None if rule.threshold else now_ms,
    )
    yield from name_artifacts(job, spec)
    if rule.threshold:
        yield from execute_many("job_target_insert", ((job, agent) for agent in agents))
    else:
        yield from insert_executions(job, agents, now_ms=now_ms)
    yield from execute("rollout_undone_by", row[0], job)
    yield from audit(
        now_ms,
        actor="rollout",
        action="rollout.undo",
        object_=f"job:{uuid_text(row[0])}",
        detail={"by": uuid_text(job), "agents": len(agents), "approvals": rule.threshold},
    )
    return agents


def undo_late(row: Row, now_ms: WallMs) -> Tx[list[AgentId]]:
    """Undo what is known only now to have been done, whole or in part; return where.

    Its time is as long as if the undoing began now. Nothing where somebody called that off.
    """
    by = JobId(row[4])
    job = yield from fetch_one("job", by)
    assert job is not None, "jobs are kept"
    agents = yield from _to_undo(row[0], by)
    needs_people, canceled = job[10] > 0, job[17] is not None
    if needs_people or canceled or not agents:
        return []
    yield from execute("job_targets_added", by, len(agents))
    yield from execute("job_reopened", by, now_ms + limits.JOB_EXPIRES_S * 1000)
    yield from insert_executions(by, agents, now_ms=now_ms)
    return agents


def _to_undo(job: bytes, by: JobId) -> Tx[list[AgentId]]:
    good, off = ExecutionState.SUCCEEDED, ExecutionState.CANCELED
    rows: Sequence[Row] = yield from fetch("rollout_to_undo", job, good, by, off, STOPPED)
    return [AgentId(agent) for (agent,) in rows]
