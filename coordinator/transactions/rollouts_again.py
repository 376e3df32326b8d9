"""What was asked of a rollout, in the words in which people ask for it: for a job that is cloned.

The other way round than `coordinator.transactions.rollouts_policy`, which reads it back as the same
policy. A start or an end that has passed is left out.
"""

from dataclasses import dataclass

from coordinator.contract.common import Time, to_time
from coordinator.contract.rollout import (
    AbortBody,
    CriterionBody,
    DeadlinesBody,
    GateBody,
    RampBody,
    RolloutBody,
    StageBody,
)
from coordinator.core.ports import Tx
from coordinator.core.rollout_policy import Gate, Policy, Stage
from coordinator.transactions.rollouts_begin import policy_of
from shared.clock import WallMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The members of a job file that are about its rollout; None: left out."""

    rollout: RolloutBody | None = None
    gate: GateBody | None = None
    abort: AbortBody | None = None
    deadlines: DeadlinesBody | None = None


def said_of_rollout(job: bytes, *, digest: str, now_ms: WallMs) -> Tx[Said]:
    """Return what a job said about its rollout; everything is left out where it had none.

    Args:
        job: its id.
        digest: of its signed form, hex: the seed of who gave none, and so not said again.
        now_ms: the present.
    """
    policy = yield from policy_of(job)
    return Said() if policy is None else say(policy, digest=digest, now_ms=now_ms)


def say(policy: Policy, *, digest: str, now_ms: WallMs) -> Said:
    """Return the words of a policy."""
    return Said(
        rollout=_rollout(policy, digest, now_ms),
        gate=None if policy.gate is None else _gate(policy.gate),
        abort=AbortBody(
            criteria=[
                CriterionBody(
                    failure_type=one.failure_type.value,
                    threshold_percentage=one.threshold_percentage,
                    min_executed=one.min_executed,
                    action=one.action.value,
                )
                for one in policy.abort
            ]
        ),
        deadlines=DeadlinesBody(
            contact_within_s=policy.contact_ms // 1000,
            complete_within_s=policy.complete_ms // 1000,
        ),
    )


def _rollout(policy: Policy, digest: str, now_ms: WallMs) -> RolloutBody:
    ramp = policy.ramp
    return RolloutBody(
        stages=[_stage(one) for one in policy.stages],
        maximum_per_minute=policy.per_minute,
        exponential_rate=None
        if ramp is None
        else RampBody(
            base_rate_per_minute=ramp.base_per_minute,
            increment_factor=ramp.factor,
            number_of_succeeded=ramp.succeeded,
        ),
        max_concurrent_per_site=policy.per_site,
        max_concurrent_percentage=policy.concurrent_percentage,
        target_selection="continuous" if policy.continuous else "snapshot",
        seed="" if policy.seed == digest else policy.seed,
        start=_time(policy.start_ms, now_ms),
        end=_time(policy.end_ms, now_ms),
        end_behavior="cancel" if policy.cancels_at_end else "stop_rollout",
    )


def _stage(stage: Stage) -> StageBody:
    return StageBody(
        name=stage.name,
        percentage=stage.percentage,
        min_targets=stage.min_targets,
        stratify_by=list(stage.stratify_by),
        success_action="pause" if stage.pauses else "next",
    )


def _gate(gate: Gate) -> GateBody:
    return GateBody(
        success_percentage=gate.success_percentage,
        error_percentage=gate.error_percentage,
        confidence=gate.confidence,
        min_executed=gate.min_executed,
        error_action=gate.error_action.value,
        soak_minutes=gate.soak_ms // 60_000,
        reach_deadline_s=gate.reach_ms // 1000,
        stragglers=gate.stragglers.value,
    )


def _time(at_ms: int, now_ms: WallMs) -> Time | None:
    return to_time(at_ms) if at_ms > now_ms else None
