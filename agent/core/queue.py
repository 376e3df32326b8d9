"""What the agent's queue decides: which devices a job gets, when a task is due, what it adds up to.

Pure; rows are kept by `agent.store.jobs`, attempts are judged by `agent.core.executor`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.device import DeviceSettings
from agent.core.moment import Moment
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import MistakeError, Reason
from shared.ids import DeviceId
from shared.model.identity import SAID
from shared.model.job import JobSpec, Step, TaskState
from shared.model.selector import parse_selector
from shared.model.spec_check import conditions_of
from shared.words import some


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job, or a step of it, can never succeed here."""

    reason: Reason
    detail: str


AGENT_ITSELF: Final = DeviceId("")
"""What the task of a job stands for that does nothing on any device."""
TOLD_AS: Final = "@agent"
"""What receipts call that task: no device can have this name, and none is an execution's own."""
_DEVICE: Final = "device."
"""How actions on devices begin, and facts of the device in work."""

StepCheck = Callable[[Step, DeviceSettings], Problem | None]
"""Says why a device can never do a step, as far as its profile tells; `agent.actions` has it."""


def plan_job(
    spec: JobSpec, devices: Sequence[DeviceSettings], check: StepCheck
) -> tuple[DeviceId, ...] | Problem:
    """Return the devices a job becomes tasks for, or why it is refused before any effect.

    Who is chosen by what it says of itself is asked when its turn comes
    (`agent.services.selection`).
    A step that is impossible on every matching device refuses the job; where some device can do
    it, the others fail by themselves and the sums stay honest.
    """
    if not _is_about_devices(spec):
        return (AGENT_ITSELF,)
    try:
        selector = parse_selector(spec.targets.device_selector, where="targets.device_selector")
    except MistakeError as error:
        return Problem(Reason.BAD_SPEC, str(error))
    known = selector.about(SAID, only=False)
    matching = [device for device in devices if known.matches(device.selector_labels())]
    if not matching:
        wanted = spec.targets.device_selector or "any device"
        return Problem(
            Reason.NO_MATCHING_DEVICE, f"none of {some(len(devices), 'device')} is {wanted}"
        )
    if len(matching) > limits.TASKS_PER_EXECUTION:
        return Problem(Reason.BAD_SPEC, f"{len(matching)} devices match, too many for one job")
    problems = [_first_problem(spec, device, check) for device in matching]
    first = problems[0]
    if first is not None and None not in problems:
        return first
    return tuple(device.id for device in matching)


def chooses_by_word(spec: JobSpec) -> bool:
    """Tell whether a job chooses devices by what they say of themselves."""
    wanted = spec.targets.device_selector
    return bool(wanted) and bool(parse_selector(wanted).keys & SAID) and _is_about_devices(spec)


def _is_about_devices(spec: JobSpec) -> bool:
    """Tell whether a job does anything on a device, or a rule of it looks at each of some."""
    if any(step.action.startswith(_DEVICE) for step in spec.every_step):
        return True
    if spec.rule is None:
        return False
    names = conditions_of(spec)["rule.condition"].names
    return any(name.startswith(_DEVICE) for name in names)


def _first_problem(spec: JobSpec, device: DeviceSettings, check: StepCheck) -> Problem | None:
    found = (check(step, device) for step in spec.every_step)
    return next((problem for problem in found if problem is not None), None)


@dataclass(frozen=True, slots=True)
class Due:
    """When a task may run: exact on the boot that set it, by UTC on a later one."""

    boot_id: bytes
    mono_ms: MonoMs
    today_ms: WallMs
    delay_ms: int
    """The wait as it was ordered; no clock can make it longer than this once more."""


def due_in(delay_ms: int, now: Moment) -> Due:
    """Return the due time `delay_ms` after now."""
    mono, today = MonoMs(now.mono_ms + delay_ms), WallMs(now.today_ms + delay_ms)
    return Due(now.boot_id, mono, today, delay_ms)


def rebased(due: Due, now: Moment) -> Due:
    """Return a due time in the monotonic terms of this boot.

    What is left by UTC, but no more than the whole wait: a clock that came up in 1970 makes a
    task wait once more, never for fifty years.
    """
    if due.boot_id == now.boot_id:
        return due
    left = min(max(0, due.today_ms - now.today_ms), due.delay_ms)
    return Due(now.boot_id, MonoMs(now.mono_ms + left), due.today_ms, due.delay_ms)


def expire(attempts: int, reason: Reason | None) -> tuple[TaskState, Reason]:
    """Return how a waiting task ends whose execution's `not_after` has passed.

    One that never began is called off; one that waited for a retry failed as it last did.
    """
    if attempts == 0:
        return TaskState.CANCELED, Reason.JOB_EXPIRED
    return TaskState.FAILED, reason or Reason.JOB_EXPIRED
