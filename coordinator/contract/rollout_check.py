"""What makes a rollout a mistake, said before anything is submitted; needs no coordinator."""

from collections.abc import Sequence

from coordinator.contract.job_spec import JobSubmission
from coordinator.contract.rollout import (
    AbortBody,
    DeadlinesBody,
    GateBody,
    RolloutBody,
    StageBody,
    span_s,
)
from shared import limits
from shared.errors import MistakeError

_MOST = 1_000_000


def has_rollout(body: JobSubmission) -> bool:
    """Tell whether a job is to go out in any other way than to everybody at once."""
    parts = (body.rollout, body.gate, body.abort, body.deadlines)
    return any(part is not None for part in parts)


def check_rollout(body: JobSubmission) -> None:
    """Check the members beside the spec.

    Raises:
        MistakeError: names the member at fault, e.g. ``rollout.stages[1].percentage``.
    """
    if not has_rollout(body):
        return
    place = next(
        name
        for name in ("rollout", "gate", "abort", "deadlines")
        if getattr(body, name) is not None
    )
    if body.schedule is not None or body.rule is not None:
        raise MistakeError(
            "a standing job never ends, so no stage of it is ever good or bad",
            where=place,
            mend="hand it in without, or roll out a job that runs once",
        )
    rollout = body.rollout or RolloutBody()
    _check_limits(rollout)
    _check_stages(rollout.stages)
    if body.gate is not None:
        _check_gate(body.gate)
    _check_abort(body.abort or AbortBody())
    _check_deadlines(body.deadlines or DeadlinesBody())
    _check_rollback(body)


def _check_limits(rollout: RolloutBody) -> None:
    _within(rollout.maximum_per_minute, 0, _MOST, "rollout.maximum_per_minute")
    _within(rollout.max_concurrent_per_site, 0, _MOST, "rollout.max_concurrent_per_site")
    _within(rollout.max_concurrent_percentage, 0, 100, "rollout.max_concurrent_percentage")
    if len(rollout.seed) > limits.SELECTOR_CHARS:
        raise MistakeError(f"at most {limits.SELECTOR_CHARS} characters", where="rollout.seed")
    ramp, most = rollout.exponential_rate, rollout.maximum_per_minute
    if ramp is not None:
        where = "rollout.exponential_rate"
        _within(ramp.base_rate_per_minute, 1, most or _MOST, f"{where}.base_rate_per_minute")
        _within(ramp.increment_factor, 1, 100, f"{where}.increment_factor")
        _within(ramp.number_of_succeeded, 1, _MOST, f"{where}.number_of_succeeded")
    if rollout.start is not None and rollout.end is not None and rollout.end <= rollout.start:
        raise MistakeError("it ends before it starts", where="rollout.end")
    if rollout.end_behavior == "cancel" and rollout.end is None:
        raise MistakeError(
            "it has no end", where="rollout.end_behavior", mend="give rollout.end, or leave it out"
        )


def _check_stages(stages: Sequence[StageBody]) -> None:
    if len(stages) > limits.ROLLOUT_STAGES:
        raise MistakeError(f"at most {limits.ROLLOUT_STAGES} stages", where="rollout.stages")
    before, names = 0.0, set()
    for position, stage in enumerate(stages):
        where = f"rollout.stages[{position}]"
        if not stage.name or len(stage.name) > 40 or stage.name in names:
            mend = "give each stage a name of its own, up to 40 characters"
            raise MistakeError(
                f"{stage.name[:40]!r} is no name here", where=f"{where}.name", mend=mend
            )
        names.add(stage.name)
        _within(stage.percentage, 0, 100, f"{where}.percentage")
        _within(stage.min_targets, 0, _MOST, f"{where}.min_targets")
        if stage.percentage < before or (stage.percentage == before and not stage.min_targets):
            raise MistakeError(
                f"{stage.percentage:g} % after {before:g} %: it would have no targets",
                where=f"{where}.percentage",
                mend="percentages are of all targets and grow from stage to stage",
            )
        before = stage.percentage
        if len(stage.stratify_by) > limits.ROLLOUT_KEYS or not all(stage.stratify_by):
            mend = f"name up to {limits.ROLLOUT_KEYS} labels"
            raise MistakeError("it cannot be used", where=f"{where}.stratify_by", mend=mend)
    if stages and before != 100:
        raise MistakeError(
            f"the last stage ends at {before:g} %: the others would never get the job",
            where=f"rollout.stages[{len(stages) - 1}].percentage",
            mend="let the last stage have 100, or choose fewer targets",
        )


def _check_gate(gate: GateBody) -> None:
    _within(gate.success_percentage, 0, 100, "gate.success_percentage")
    _within(gate.error_percentage, 0, 100, "gate.error_percentage")
    _within(gate.confidence, 0, 0.999, "gate.confidence")
    _within(gate.min_executed, 1, _MOST, "gate.min_executed")
    _within(gate.soak_minutes, 0, limits.DELAY_S // 60, "gate.soak_minutes")
    if gate.success_percentage + gate.error_percentage > 100:
        raise MistakeError(
            f"{gate.error_percentage:g} % may fail, but {gate.success_percentage:g} % have to "
            "succeed: between them it could never pass",
            where="gate.success_percentage",
            mend=f"at most {100 - gate.error_percentage:g} with this error_percentage",
        )
    reach_s = _span(gate.reach_deadline, gate.reach_deadline_s, "gate.reach_deadline")
    if gate.stragglers != "wait" and not reach_s:
        raise MistakeError(
            "nobody is a straggler without a reach_deadline",
            where="gate.stragglers",
            mend='add for example reach_deadline = "P3D"',
        )


def _check_abort(abort: AbortBody) -> None:
    if len(abort.criteria) > limits.ROLLOUT_CRITERIA:
        raise MistakeError(f"at most {limits.ROLLOUT_CRITERIA}", where="abort.criteria")
    for position, one in enumerate(abort.criteria):
        where = f"abort.criteria[{position}]"
        if not 0 < one.threshold_percentage <= 100:
            raise MistakeError(
                f"{one.threshold_percentage:g} is not above 0 and at most 100",
                where=f"{where}.threshold_percentage",
            )
        _within(one.min_executed, 1, _MOST, f"{where}.min_executed")


def _check_deadlines(deadlines: DeadlinesBody) -> None:
    contact_s = _span(
        deadlines.contact_within, deadlines.contact_within_s, "deadlines.contact_within"
    )
    complete_s = _span(
        deadlines.complete_within, deadlines.complete_within_s, "deadlines.complete_within"
    )
    if contact_s and complete_s and complete_s < contact_s:
        raise MistakeError(
            "it is over before contact_within is",
            where="deadlines.complete_within",
            mend="an execution is complete only after the contact",
        )


def _check_rollback(body: JobSubmission) -> None:
    wanted = []
    if body.gate is not None and body.gate.error_action == "rollback":
        wanted.append("gate.error_action")
    criteria = [] if body.abort is None else body.abort.criteria
    for position, one in enumerate(criteria):
        if one.action == "rollback":
            wanted.append(f"abort.criteria[{position}].action")
    if wanted and not body.compensation.steps:
        raise MistakeError(
            "the job does not say how it is taken back",
            where=wanted[0],
            mend="add compensation.steps, or use pause or cancel",
        )


def _span(text: str, seconds: int, where: str) -> int:
    found = span_s(text, seconds, where=where)
    _within(found, 0, limits.DELAY_S, where if text else f"{where}_s")
    return found


def _within(value: float, least: float, most: float, where: str) -> None:
    if not least <= value <= most:
        raise MistakeError(f"{value:g} is not in {least:g} to {most:g}", where=where)
