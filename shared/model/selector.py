"""Kubernetes label selectors over small label maps: parse once, match often.

Grammar: requirements joined by commas, all of which must hold:
``key=value``, ``key==value``, ``key!=value``, ``key in (a,b)``, ``key notin (a,b)``, ``key``,
``!key``. As in Kubernetes, `!=` and `notin` also hold for things without that label.

Beyond Kubernetes, for what devices say of themselves: a value may stand in double quotes
(``model="Big Pump 3"``), and ``key<2.1``, ``<=``, ``>``, ``>=`` compare the numbers that a version
begins with, and hold only where there are some on both sides.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shared import limits
from shared.errors import MistakeError

_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9_.-]{0,63}"
_QUOTED = r'"[^"\\\x00-\x1f]{0,63}"'
_WORD = rf"(?:{_QUOTED}|{_VALUE})"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\(\s*({_WORD}(?:\s*,\s*{_WORD})*)\s*\)")
_IN_SET = re.compile(rf"(?:^|,)\s*({_WORD})\s*(?=,|$)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_WORD})")
_ORDER = re.compile(rf"({_KEY})\s*(<=|>=|<|>)\s*({_VALUE}(?:\+[0-9]{{1,10}})?)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_VERSION = re.compile(r"[vV]?([0-9]{1,10}(?:\.[0-9]{1,10}){0,7})(?:\+([0-9]{1,10}))?")
_COMPARE: Final[Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PARTS = 8
"""Numbers of a version, dots between them; the build number after a plus comes behind."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One clause; `negated` turns "is one of" into "is none of" (or has no such label)."""

    key: str
    values: frozenset[str] | None
    """The accepted values, or None when only the label's presence counts."""
    negated: bool
    order: str = ""
    """How the label's version stands to the only one of `values`; empty: it is one of `values`."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Tell whether `labels` satisfy this clause."""
        present = self.key in labels
        if self.order:
            (wanted,) = self.values or ("",)
            here, there = _version(labels.get(self.key, "")), _version(wanted)
            return bool(here and there) and _COMPARE[self.order](here, there)
        hit = present if self.values is None else present and labels[self.key] in self.values
        return hit is not self.negated

    @property
    def text(self) -> str:
        """Return it as it can be read again; no longer than it was written."""
        if self.values is None:
            return "!" * self.negated + self.key
        if self.order:
            return self.key + self.order + "".join(self.values)
        words = [_quoted(value) for value in sorted(self.values)]
        if len(words) == 1:
            return f"{self.key}{'!=' if self.negated else '='}{words[0]}"
        return f"{self.key} {'notin' if self.negated else 'in'} ({','.join(words)})"


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; the empty one matches everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether every clause holds."""
        return all(requirement.holds(labels) for requirement in self.requirements)

    @property
    def text(self) -> str:
        """Return it as `parse_selector` reads it again.

        >>> parse_selector('site in (south, north), model == "Big Pump"').text
        'site in (north,south),model="Big Pump"'
        """
        return ",".join(requirement.text for requirement in self.requirements)

    @property
    def keys(self) -> frozenset[str]:
        """Return the labels that it names."""
        return frozenset(requirement.key for requirement in self.requirements)

    def about(self, keys: frozenset[str], *, only: bool) -> "Selector":
        """Return the clauses that are about these labels (`only`), or those that are not."""
        return Selector(tuple(one for one in self.requirements if (one.key in keys) is only))

    def value_of(self, key: str) -> str:
        """Return the one value that whatever matches has under a label; empty: there is none."""
        for one in self.requirements:
            if one.key == key and one.values and not one.negated and not one.order:
                return next(iter(one.values)) if len(one.values) == 1 else ""
        return ""

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
    >>> parse_selector('model="Big Pump",firmware<2.1').matches(
    ...     {"model": "Big Pump", "firmware": "v2.0.9"}
    ... )
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
        values = frozenset(_plain(value) for value in _IN_SET.findall(match[3]))
        return Requirement(match[1], values, match[2] == "notin"), match.end()
    if match := _EQUAL.match(text, position):
        return Requirement(match[1], frozenset({_plain(match[3])}), match[2] == "!="), match.end()
    if (match := _ORDER.match(text, position)) and _version(match[3]):
        return Requirement(
            match[1], frozenset({match[3]}), negated=False, order=match[2]
        ), match.end()
    if match := _EXISTS.match(text, position):
        return Requirement(match[2], None, match[1] == "!"), match.end()
    raise _mistake(text, position, where)


def _plain(value: str) -> str:
    return value[1:-1] if value.startswith('"') else value


def _quoted(value: str) -> str:
    return value if re.fullmatch(_VALUE, value) else f'"{value}"'


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; nothing where it begins with none."""
    match = _VERSION.match(text)
    if match is None:
        return ()
    parts = [int(part) for part in match[1].split(".")]
    return (*parts, *[0] * (_PARTS - len(parts)), int(match[2] or 0))


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
