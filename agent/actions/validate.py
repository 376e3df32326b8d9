"""`device.validate`: whether a device is as it should be: points, a kept configuration, rules.

Never writes. What is not as it should be is a finding, not a failure: a later step's condition, or
a person, decides what follows.
"""

from collections.abc import Mapping

from agent.actions.hand import Hand, Values
from agent.actions.read import unknown
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.model.action_parameters import DEVICE_FACTS, RULES, SAVED
from shared.model.condition import Condition, Known
from shared.model.condition_text import parse_condition
from shared.model.identity import IDENTITY_KEYS
from shared.model.job import Step, Value

DRIFTED = "_drifted"
"""Result member: how many points are not as they should be."""
DRIFT = "_drift"
"""Result member: their names."""
BROKEN = "_broken"
"""Result member: how many rules do not hold; one that nobody can tell is not among them."""
UNKNOWN = "unknown"
"""What a rule comes to when a point it needs gives no value."""
_DEVICE = "device."


class ValidateAction:
    """Compares; gives `{point: value}`, `DRIFTED`, `DRIFT`, and of each rule whether it holds."""

    name = "device.validate"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point the profile does not have, or a rule that cannot be read."""
        try:
            asked = {point for rule in _rules(step) for point in _points(rule)}
        except MistakeError as error:
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: {error}"[: limits.DETAIL_CHARS])
        for point in (*_desired(step), *sorted(asked)):
            if device.profile.point(point) is None:
                return unknown(step, device.id, point)
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read what should be so; the step's own values go before those of a kept one."""
        desired: Values = {}
        if saved := step.params.get(SAVED):
            kept = await driver.memory.config(driver.device, str(saved))
            if kept is None:
                detail = f"no configuration of {driver.device} is kept as {saved}"
                return StepOutcome(Reason.BAD_PARAMETERS, detail)
            desired |= kept
        desired |= _desired(step)
        rules = _rules(step)
        points = dict.fromkeys((*desired, *(name for rule in rules for name in _points(rule))))
        present = await driver.present(list(points))
        if isinstance(present, StepOutcome):
            return present
        told = await _told(driver, rules)
        if isinstance(told, StepOutcome):
            return told
        known: dict[str, Known] = {f"{_DEVICE}{name}": value for name, value in present.items()}
        result = {**_drift(desired, present), **_verdicts(rules, known | told)}
        return StepOutcome(result={**present, **result})


def _drift(desired: Mapping[str, int | float], present: Values) -> dict[str, Value]:
    drift = [name for name, value in desired.items() if present.get(name) != value]
    told: dict[str, Value] = {f"{name}.desired": desired[name] for name in drift}
    return {DRIFTED: len(drift), **told, DRIFT: ",".join(drift)[: limits.DETAIL_CHARS]}


def _verdicts(rules: list[Condition], known: Mapping[str, Known]) -> dict[str, Value]:
    """Return what each rule comes to, by its number from 1 on."""
    if not rules:
        return {}
    verdicts = [rule.evaluate(known.get) for rule in rules]
    told: dict[str, Value] = {BROKEN: verdicts.count(False)}
    for number, verdict in enumerate(verdicts, 1):
        told[f"_rule.{number}"] = UNKNOWN if verdict is None else verdict
    return told


async def _told(driver: Hand, rules: list[Condition]) -> dict[str, Known] | StepOutcome:
    """Return what the device says of itself, where a rule asks for it."""
    asked = {name for rule in rules for name in rule.names} & _SAID.keys()
    if not asked:
        return {}
    try:
        identity = await driver.identify()
    except WorldError as error:
        return StepOutcome(error.reason, f"{driver.device} does not say what it is")
    return {name: getattr(identity, _SAID[name], None) or None for name in asked}


_SAID = {f"{_DEVICE}{key}": key for key in IDENTITY_KEYS}
"""Names of rules that are no points: what the device says of itself."""


def _rules(step: Step) -> list[Condition]:
    texts = step.params.get(RULES, [])
    assert isinstance(texts, list), "parameters were checked at admission"
    return [parse_condition(text, DEVICE_FACTS, where=RULES) for text in texts]


def _points(rule: Condition) -> list[str]:
    return [name.removeprefix(_DEVICE) for name in sorted(rule.names) if name not in _SAID]


def _desired(step: Step) -> Mapping[str, int | float]:
    return {n: value for n, value in step.params.items() if isinstance(value, int | float)}
