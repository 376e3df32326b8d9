"""What people wrote about a rollout, as the core knows it."""

from msgspec.structs import replace

from coordinator.contract.common import Time, to_wall_ms
from coordinator.contract.job_spec import JobSubmission
from coordinator.contract.rollout import (
    AbortBody,
    DeadlinesBody,
    GateBody,
    RolloutBody,
    StageBody,
    span_s,
)
from coordinator.contract.rollout_check import check_rollout, has_rollout
from coordinator.core.rollout_policy import (
    Criterion,
    ErrorAction,
    FailureType,
    Gate,
    Policy,
    Ramp,
    Stage,
    Stragglers,
)
from coordinator.transactions.rollouts_begin import read_policy
from shared import limits
from shared.errors import MistakeError, RefusedError
from shared.wire.codec import pack

_LONGEST = "\U0010ffff" * limits.SELECTOR_CHARS


def choose_policy(body: JobSubmission, *, digest: bytes, guarded: bool) -> Policy | None:
    """Return what was asked of a checked job's rollout, None: it goes to everybody at once.

    Args:
        body: the job as people wrote it.
        digest: of its signed form; the seed where none is given.
        guarded: people have to agree to the job.

    Raises:
        MistakeError: names the member at fault.
    """
    policy = to_policy(body, digest)
    if policy is not None and policy.continuous and guarded:
        raise MistakeError(
            "people agree to a list of agents, and nobody joins that",
            where="rollout.target_selection",
            mend="use snapshot",
        )
    if policy is not None:
        _check_kept(policy)
    return policy


def _check_kept(policy: Policy) -> None:
    """Refuse what nobody could read when the job's turn comes, with a token's limit beside it."""
    try:
        read_policy(pack(replace(policy, limit=_LONGEST)))
    except RefusedError:
        raise MistakeError(
            "it cannot be kept like this",
            where="rollout",
            mend="name stages and labels more briefly, and write 0 instead of -0.0",
        ) from None


def to_policy(body: JobSubmission, digest: bytes) -> Policy | None:
    """Return what was asked of a job's rollout, None where it goes to everybody at once.

    Raises:
        MistakeError: names the member at fault.
    """
    if not has_rollout(body):
        return None
    check_rollout(body)
    rollout = body.rollout or RolloutBody()
    deadlines = body.deadlines or DeadlinesBody()
    ramp = rollout.exponential_rate
    return Policy(
        stages=tuple(map(_stage, rollout.stages)) or (Stage("all"),),
        gate=_gate(body),
        abort=tuple(
            Criterion(
                FailureType(one.failure_type),
                one.threshold_percentage,
                one.min_executed,
                ErrorAction(one.action),
            )
            for one in (body.abort or AbortBody()).criteria
        ),
        per_minute=rollout.maximum_per_minute,
        ramp=None
        if ramp is None
        else Ramp(ramp.base_rate_per_minute, ramp.increment_factor, ramp.number_of_succeeded),
        per_site=rollout.max_concurrent_per_site,
        concurrent_percentage=rollout.max_concurrent_percentage,
        continuous=rollout.target_selection == "continuous",
        contact_ms=1000
        * span_s(deadlines.contact_within, deadlines.contact_within_s, where="deadlines"),
        complete_ms=1000
        * span_s(deadlines.complete_within, deadlines.complete_within_s, where="deadlines"),
        start_ms=_wall_ms(rollout.start),
        end_ms=_wall_ms(rollout.end),
        cancels_at_end=rollout.end_behavior == "cancel",
        seed=rollout.seed or digest.hex(),
    )


def _stage(body: StageBody) -> Stage:
    return Stage(
        body.name,
        body.percentage,
        body.min_targets,
        tuple(body.stratify_by),
        body.success_action == "pause",
    )


def _gate(body: JobSubmission) -> Gate | None:
    """Return the gate: what was written, and for several stages the defaults."""
    stages = () if body.rollout is None else body.rollout.stages
    gate = body.gate
    if gate is None:
        if len(stages) < 2:
            return None
        gate = GateBody()
    return Gate(
        success_percentage=gate.success_percentage,
        error_percentage=gate.error_percentage,
        confidence=gate.confidence,
        min_executed=gate.min_executed,
        error_action=ErrorAction(gate.error_action),
        soak_ms=gate.soak_minutes * 60_000,
        reach_ms=1000
        * span_s(gate.reach_deadline, gate.reach_deadline_s, where="gate.reach_deadline"),
        stragglers=Stragglers(gate.stragglers),
    )


def _wall_ms(time: Time | None) -> int:
    return 0 if time is None else to_wall_ms(time)
