"""Kubernetes label selectors over small label maps: parse once, match often.

Grammar: requirements joined by commas, all of which must hold:
``key=value``, ``key==value``, ``key!=value``, ``key in (a,b)``, ``key notin (a,b)``, ``key``,
``!key``. As in Kubernetes, `!=` and `notin` also hold for things without that label.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared import limits
from shared.errors import MistakeError

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9_.-]{0,63}"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\(\s*({_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One clause; `negated` turns "is one of" into "is none of" (or has no such label)."""

    key: str
    values: frozenset[str] | None
    """The accepted values, or None when only the label's presence counts."""
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether `labels` satisfy this clause."""
        present = self.key in labels
        hit = present if self.values is None else present and labels[self.key] in self.values
        return hit is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; the empty one matches everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether every clause holds."""
        return all(requirement.holds(labels) for requirement in self.requirements)

    def joined(self, other: "Selector") -> "Selector":
        """Return the selector of what both match."""
        return Selector(self.requirements + other.requirements)


def is_label(key: str, value: str) -> bool:
    """Tell whether a selector can name this label.

    >>> is_label("role", "pump"), is_label("role", "big pump")
    (True, False)
    """
    return bool(re.fullmatch(_KEY, key) and re.fullmatch(_VALUE, value))


def parse_selector(text: str, *, where: str = "selector") -> Selector:
    """Return the selector that `text` stands for.

    Raises:
        MistakeError: `text` is not a selector; the sentence points at the column.

    >>> parse_selector("site in (north,south),role=pump").matches({"site": "north", "role": "pump"})
    True
    """
    if len(text) > limits.SELECTOR_CHARS:
        raise MistakeError(
            f"a selector has at most {limits.SELECTOR_CHARS} characters", where=where
        )
    found: list[Requirement] = []
    position = _skip(text, 0)
    while position < len(text):
        requirement, position = _clause(text, position, where)
        found.append(requirement)
        position = _skip(text, position)
        if position == len(text):
            break
        if text[position] != ",":
            raise _mistake(text, position, where)
        position = _skip(text, position + 1)
        if position == len(text):
            raise _mistake(text, position, where)
    return Selector(tuple(found))


def _clause(text: str, position: int, where: str) -> tuple[Requirement, int]:
    if match := _SET.match(text, position):
        values = frozenset(value.strip() for value in match[3].split(","))
        return Requirement(match[1], values, match[2] == "notin"), match.end()
    if match := _EQUAL.match(text, position):
        return Requirement(match[1], frozenset({match[3]}), match[2] == "!="), match.end()
    if match := _EXISTS.match(text, position):
        return Requirement(match[2], None, match[1] == "!"), match.end()
    raise _mistake(text, position, where)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _mistake(text: str, position: int, where: str) -> MistakeError:
    return MistakeError(
        f"{text!r} is no label selector from column {position + 1} on",
        where=where,
        mend="write for example site in (north,south),role=pump",
    )
