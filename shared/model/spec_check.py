"""Everything about a job that can be wrong is found here, by the coordinator and by the agent.

Owns the checks that need neither devices nor documents, and the sentence for each. What an action
takes stands in `shared.model.action`, conditions and schedules check themselves.
"""

from collections.abc import Sequence

from shared import limits
from shared.errors import MistakeError
from shared.ids import is_name, parse_uuid
from shared.model.action import check_parameters, check_sources
from shared.model.condition import Condition
from shared.model.condition_text import parse_condition
from shared.model.facts import RESERVED, job_facts
from shared.model.identity import SAID
from shared.model.job import TERMINAL_EXECUTION, JobSpec, Step
from shared.model.plan import CONTINUE, FAIL, GOTO, Batch, PostCheck, Rule
from shared.model.schedule import check_schedule, check_window
from shared.model.selector import parse_selector

_MILLION = 1_000_000


def check_spec(spec: JobSpec, *, site: str = "UTC") -> None:
    """Check everything about a job that can be known without its devices.

    Args:
        spec: the job.
        site: the IANA zone that ``site`` stands for.

    Raises:
        MistakeError: names the member at fault, e.g. ``steps[0].params``.
    """
    if not is_name(spec.name):
        raise MistakeError(
            f"the name {spec.name!r} is not usable",
            where="name",
            mend="use up to 40 lower case letters, digits and hyphens",
        )
    _check_steps(spec)
    _check_beginning(spec, site)
    devices = parse_selector(spec.targets.device_selector, where="targets.device_selector")
    if spec.rule is not None and devices.keys & SAID:
        raise MistakeError(
            "a rule watches devices and asks none what it is",
            where="targets.device_selector",
            mend="choose them by id, kind, profile or a label of their own",
        )
    if spec.post_check:
        _check_post(spec.post_check)
    _check_batch(spec.batch)
    _within(spec.delay_s, 0, limits.DELAY_S, "delay_s")
    _within(spec.retry.failed, 0, limits.ATTEMPTS - 1, "retry.failed")
    if not 1 <= spec.retry.initial_s <= spec.retry.max_s <= limits.DELAY_S:
        raise MistakeError("back-off needs 1 <= initial_s <= max_s", where="retry")
    if spec.retry.timed_out is not None:
        _within(spec.retry.timed_out, 0, spec.retry.failed, "retry.timed_out")
    if not _MILLION <= spec.retry.multiplier_ppm <= limits.BACKOFF_GROWTH * _MILLION:
        most = limits.BACKOFF_GROWTH
        raise MistakeError(f"it has to be 1 to {most}", where="retry.multiplier")
    _within(spec.timeout_s, 0, limits.DELAY_S, "timeout_s")
    _within(spec.priority, 0, limits.PRIORITIES - 1, "priority")
    if spec.conflict_key and not is_name(spec.conflict_key):
        raise MistakeError(f"{spec.conflict_key!r} is no name", where="conflict_key")


def conditions_of(spec: JobSpec) -> dict[str, Condition]:
    """Return every condition of a job that was checked, by the place it stands at."""
    found: dict[str, Condition] = {}

    def add(text: str, where: str, steps: Sequence[str] = ()) -> None:
        if text:
            found[where] = parse_condition(text, job_facts(steps), where=where)

    for name, steps in _lists(spec):
        before = [] if name == "steps" else [step.id for step in spec.steps]
        for number, step in enumerate(steps):
            add(step.when, f"{name}[{number}].when", before)
            before = [*before, step.id]
    for number, text in enumerate(spec.preconditions):
        add(text, f"preconditions[{number}]")
    if spec.post_check:
        add(spec.post_check.condition, "post_check.condition", [step.id for step in spec.steps])
    if spec.rule:
        add(spec.rule.condition, "rule.condition")
        add(spec.rule.reset, "rule.reset")
    return found


def _lists(spec: JobSpec) -> list[tuple[str, list[Step]]]:
    return [
        ("steps", spec.steps),
        ("finally", spec.final_steps),
        ("compensation", spec.compensation),
    ]


def _check_steps(spec: JobSpec) -> None:
    only_alarm = spec.rule is not None and spec.rule.alarm is not None
    if not spec.steps and not only_alarm:
        raise MistakeError(f"a job has 1 to {limits.STEPS} steps", where="steps")
    seen: set[str] = set()
    for name, steps in _lists(spec):
        if len(steps) > limits.STEPS:
            raise MistakeError(f"there are at most {limits.STEPS} of them", where=name)
        for number, step in enumerate(steps):
            where = f"{name}[{number}]"
            _check_id(step, where, seen)
            check_parameters(step, where)
            _check_step(step, where)
            _check_failure(step, [later.id for later in steps[number + 1 :]], where)
    lists = (
        ("steps", spec.steps),
        ("compensation", spec.compensation),
        ("finally", spec.final_steps),
    )
    check_sources([(f"{name}[{n}]", step) for name, steps in lists for n, step in enumerate(steps)])
    conditions_of(spec)


def _check_id(step: Step, where: str, seen: set[str]) -> None:
    if not is_name(step.id) or step.id in seen:
        raise MistakeError(f"the step id {step.id!r} is unusable or repeated", where=f"{where}.id")
    if step.id in RESERVED:
        raise MistakeError(
            f"the step id {step.id!r} is what conditions call something else", where=f"{where}.id"
        )
    seen.add(step.id)


def _check_step(step: Step, where: str) -> None:
    _within(step.timeout_s, 1, limits.STEP_TIMEOUT_S, f"{where}.timeout_s")
    _within(step.retries, 0, limits.STEP_RETRIES, f"{where}.retries")
    _within(step.for_s, 0, limits.DELAY_S, f"{where}.for_s")
    if step.for_s and step.action != "device.write":
        raise MistakeError("only device.write can be put back by itself", where=f"{where}.for_s")


def _check_failure(step: Step, later: Sequence[str], where: str) -> None:
    if step.on_failure in {FAIL, CONTINUE}:
        return
    target = step.on_failure.removeprefix(GOTO)
    if step.on_failure.startswith(GOTO) and target in later:
        return
    mend = f"write fail, continue or {GOTO} with the id of a later step of the same list"
    what = f"{step.on_failure!r} leads nowhere, or back: a job goes forward only"
    raise MistakeError(what, where=f"{where}.on_failure", mend=mend)


def _check_beginning(spec: JobSpec, site: str) -> None:
    if len(spec.preconditions) > limits.PRECONDITIONS:
        raise MistakeError(f"at most {limits.PRECONDITIONS} are possible", where="preconditions")
    if spec.window:
        check_window(spec.window, where="window", site=site)
    if spec.schedule and spec.rule:
        raise MistakeError("a job has a schedule or a rule, not both", where="rule")
    if spec.schedule:
        check_schedule(spec.schedule, where="schedule", site=site)
    if spec.rule:
        _check_rule(spec.rule)
    if spec.is_standing and spec.delay_s:
        raise MistakeError("a standing job begins by its own times", where="delay_s")
    if spec.after:
        if spec.is_standing:
            raise MistakeError("a standing job waits for no other", where="after")
        _check_job_id(spec.after.job)
        outcomes = {state.name for state in TERMINAL_EXECUTION} | {"ANY"}
        if spec.after.outcome not in outcomes:
            raise MistakeError(
                f"no job ends as {spec.after.outcome[:40]!r}",
                where="after.outcome",
                mend=f"use one of {', '.join(sorted(outcomes))}",
            )


def _check_job_id(text: str) -> None:
    try:
        parse_uuid(text, what="a job")
    except MistakeError as error:
        raise MistakeError(error.what, where="after.job", mend=error.mend) from None


def _check_rule(rule: Rule) -> None:
    _within(rule.for_s, 0, limits.DELAY_S, "rule.for_s")
    _within(rule.min_interval_s, 1, limits.DELAY_S, "rule.min_interval_s")
    _within(rule.max_per_day, 1, limits.FIRINGS_PER_DAY, "rule.max_per_day")
    if rule.alarm and not 1 <= len(rule.alarm.text) <= limits.DETAIL_CHARS:
        raise MistakeError(f"it has 1 to {limits.DETAIL_CHARS} characters", where="rule.alarm.text")


def _check_post(check: PostCheck) -> None:
    _within(check.within_s, 1, limits.STEP_TIMEOUT_S, "post_check.within_s")
    _within(check.soak_s, 0, limits.DELAY_S, "post_check.soak_s")
    _within(check.every_s, 1, limits.STEP_TIMEOUT_S, "post_check.every_s")


def _check_batch(batch: Batch) -> None:
    _within(batch.max_parallel, 0, limits.WORKERS, "batch.max_parallel")
    _within(batch.tolerate_ppm, 0, 1_000_000, "batch.tolerate")
    _within(batch.canary, 0, limits.TASKS_PER_EXECUTION, "batch.canary")


def _within(value: int, low: int, high: int, where: str) -> None:
    if not low <= value <= high:
        raise MistakeError(f"{value} is not in {low} to {high}", where=where)
