"""A template is filled in: each blank gets a value of its kind, within its bounds.

``"${name}"`` alone becomes the value as it is, whatever its kind; within a longer text it becomes
the value's text. Nothing else is replaced, and what was filled in is not looked at again, so a
value cannot bring blanks of its own.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from coordinator.contract.job_spec import JobSubmission, parse_submission, place_in_body, to_spec
from coordinator.contract.signed_form import signed_form
from coordinator.contract.templates import Filling, Parameter, TemplateBody, TemplateUse
from shared import limits
from shared.errors import MistakeError, nearest
from shared.ids import is_name
from shared.model.spec_check import check_spec

_BLANK = re.compile(r"\$\{([a-z][a-z0-9_]{0,39})\}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FLAGS = {"true": True, "false": False}
_SAMPLES: Mapping[str, Filling] = {
    "integer": 1,
    "number": 1.0,
    "flag": False,
    "text": "x",
    "texts": ["x"],
    "values": {"x": 1},
}
"""What stands for a parameter without a default while a template is checked."""


def fill(template: TemplateBody, use: TemplateUse) -> JobSubmission:
    """Return the job that a template and values for its blanks make.

    Raises:
        MistakeError: names the value or the member at fault.
    """
    unknown = sorted(use.values.keys() - template.parameters.keys())
    if unknown:
        meant = nearest(unknown[0], template.parameters)
        raise MistakeError(
            f"template {template.name} has no parameter {unknown[0][:60]!r}",
            where=f"values.{unknown[0][:60]}",
            mend=f"did you mean {meant}?" if meant else f"it has {_listed(template)}",
        )
    values = {
        name: _value(name, parameter, use.values) for name, parameter in template.parameters.items()
    }
    document = {"name": template.name, **_filled(template.job, values, "job")}
    if use.targets is not None:
        document["targets"] = msgspec.to_builtins(use.targets)
    if use.dry_run is not None:
        document["dry_run"] = use.dry_run
    if use.expires_in_s is not None:
        document.pop("not_after", None)
        document["expires_in_s"] = use.expires_in_s
    try:
        return parse_submission(document)
    except MistakeError as error:
        where = f"job.{error.where}" if error.where else "job"
        raise MistakeError(error.what, where=where, mend=error.mend) from None


def check_template(template: TemplateBody) -> None:
    """Check what can be known before anybody uses a template.

    Raises:
        MistakeError: names the member at fault.
    """
    if not is_name(template.name):
        raise MistakeError(
            f"the name {template.name[:60]!r} is not usable",
            where="name",
            mend="use up to 40 lower case letters, digits and hyphens",
        )
    for name, parameter in template.parameters.items():
        _check_parameter(name, parameter)
    samples = {
        name: _sample(parameter)
        for name, parameter in template.parameters.items()
        if parameter.default is UNSET
    }
    job = fill(template, TemplateUse(values=samples))
    if samples:
        return  # whether the rest is good depends on what is filled in
    try:
        spec = to_spec(job)
        check_spec(spec)
        signed_form(spec)
    except MistakeError as error:
        where = f"job.{place_in_body(error.where)}"
        raise MistakeError(error.what, where=where, mend=error.mend) from None


def _check_parameter(name: str, parameter: Parameter) -> None:
    where = f"parameters.{name[:60]}"
    if not _PARAMETER.fullmatch(name):
        mend = "use up to 40 lower case letters, digits and underscores"
        raise MistakeError(f"{name[:60]!r} cannot name a parameter", where=where, mend=mend)
    bounded = parameter.minimum is not None or parameter.maximum is not None
    if bounded and parameter.kind not in {"integer", "number"}:
        raise MistakeError("only numbers have bounds", where=f"{where}.minimum")
    if parameter.choices and parameter.kind != "text":
        raise MistakeError("only a text has choices", where=f"{where}.choices")
    if parameter.default is not UNSET:
        _convert(parameter.default, parameter, f"{where}.default")


def _sample(parameter: Parameter) -> Filling:
    if parameter.choices:
        return parameter.choices[0]
    if parameter.kind in {"integer", "number"}:
        near = parameter.minimum if parameter.minimum is not None else parameter.maximum
        return math.ceil(near) if near is not None else 1
    return _SAMPLES[parameter.kind]


def _value(name: str, parameter: Parameter, given: Mapping[str, Filling]) -> Filling:
    said = given.get(name, parameter.default)
    if said is UNSET:
        raise MistakeError(
            f"the template needs a value for {name}",
            where=f"values.{name}",
            mend=parameter.about or f"a value of kind {parameter.kind}",
        )
    return _convert(said, parameter, f"values.{name}")


def _convert(said: Filling, parameter: Parameter, where: str) -> Filling:
    """Return a value as its parameter's kind; texts are what command lines have."""
    value = _read(said, parameter.kind) if isinstance(said, str) else said
    if not _is_kind(value, parameter.kind):
        raise MistakeError(f"{str(said)[:60]!r} is no value of kind {parameter.kind}", where=where)
    if parameter.choices and value not in parameter.choices:
        raise MistakeError(
            f"{str(said)[:60]!r} is not one of the choices",
            where=where,
            mend=f"use {', '.join(parameter.choices)}",
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_bounds(value, parameter, where)
    return value


def _read(text: str, kind: str) -> Filling:
    """Return what a text says in another kind, or the text where it says nothing there."""
    try:
        match kind:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "flag":
                return _FLAGS.get(text, text)
            case "texts":
                return [part.strip() for part in text.split(",") if part.strip()]
            case "values":
                pairs = [part.partition("=") for part in text.split(",")]
                return {key.strip(): _scalar(value.strip()) for key, _, value in pairs}
            case _:
                return text
    except ValueError:
        return text


def _scalar(text: str) -> bool | int | float | str:
    if text in _FLAGS:
        return _FLAGS[text]
    for kind in (int, float):
        try:
            number: int | float = kind(text)
        except ValueError:
            continue
        return number
    return text


def _is_kind(value: Filling, kind: str) -> bool:
    match kind:
        case "integer":
            return _is_number(value) and isinstance(value, int) and abs(value) <= limits.INT_MAX
        case "number":
            return _is_number(value)
        case "flag":
            return isinstance(value, bool)
        case "texts":
            return isinstance(value, list)
        case "values":
            return isinstance(value, dict) and all(value)
        case _:
            return isinstance(value, str)


def _is_number(value: Filling) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _check_bounds(value: float, parameter: Parameter, where: str) -> None:
    low, high = parameter.minimum, parameter.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        least, most = ("any" if bound is None else f"{bound:g}" for bound in (low, high))
        raise MistakeError(f"{value} is not in {least} to {most}", where=where)


def _filled(part: Any, values: Mapping[str, Filling], where: str) -> Any:  # noqa: ANN401  # JSON
    match part:
        case str():
            return _filled_text(part, values, where)
        case list():
            return [_filled(one, values, f"{where}[{n}]") for n, one in enumerate(part)]
        case dict():
            return {key: _filled(one, values, f"{where}.{key}") for key, one in part.items()}
        case _:
            return part


def _filled_text(text: str, values: Mapping[str, Filling], where: str) -> Filling:
    for name in _BLANK.findall(text):
        if name not in values:
            mend = f"declare it: [parameters.{name}] with its kind"
            raise MistakeError(f"nothing declares the parameter {name}", where=where, mend=mend)
    if whole := _BLANK.fullmatch(text):
        return values[whole[1]]
    return _BLANK.sub(lambda found: _text(values[found[1]]), text)


def _text(value: Filling) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)


def _listed(template: TemplateBody) -> str:
    return ", ".join(template.parameters) or "none"
