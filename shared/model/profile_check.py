"""Everything that is wrong with a profile, at once: for whoever writes one.

Reading stops at the first mistake; here the lines at fault are blanked and the rest is read again,
so that the next one shows, on its own line. Leaves out what a mistake is (`shared.model.profile`).
"""

import re
from dataclasses import dataclass, field

from shared import limits
from shared.errors import MistakeError
from shared.model.profile import Profile, profile_of
from shared.model.toml_text import TomlMistakeError, TomlText

_HEADER = re.compile(r"\s*\[")
_NAME = re.compile(r"""\s*name\s*=\s*["']([^"']*)["']""")
_QUOTED = re.compile(r"'([^']*)'")
_STAND_INS: dict[str, str | int] = {"profile": 1, "name": "x", "kind": "x"}
"""Taken for what is wrong at the root, so that what follows can be read."""
_REFERS = ("call", "health", "firmware")
"""Tables that name points."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of reading a profile."""

    profile: Profile | None
    """None: something is wrong with it."""
    mistakes: tuple[MistakeError, ...] = ()
    """In the order of their lines, bounded."""


def check_profile(text: str, *, source: str) -> Checked:
    """Return the profile, or all that is wrong with it; `source` names it in the sentences."""
    reading = _Reading(text.splitlines())
    profile: Profile | None = None
    going_on = True
    while going_on and len(reading.found) < limits.PROFILE_MISTAKES:
        going_on = False
        try:
            document = TomlText("\n".join(reading.lines), source=source, bound=limits.PROFILE_BYTES)
        except MistakeError as error:
            reading.found.append((0, error))
            break
        document.values |= reading.stand_ins
        try:
            profile = profile_of(document)
        except TomlMistakeError as error:
            going_on = reading.note(error, document)
        except MistakeError as error:
            reading.found.append((len(reading.lines), error))
    mistakes = tuple(error for _, error in sorted(reading.found, key=lambda pair: pair[0]))
    return Checked(None if mistakes else profile, mistakes)


@dataclass(slots=True)
class _Reading:
    """A text in which what is wrong turns blank, piece by piece."""

    lines: list[str]
    found: list[tuple[int, MistakeError]] = field(default_factory=list)
    """Each with its line."""
    stand_ins: dict[str, str | int] = field(default_factory=dict)
    _blanked: set[int] = field(default_factory=set)
    """Lines of keys that were at fault."""
    _gone: set[str] = field(default_factory=set)
    """Names of points that were left out as a whole."""

    def note(self, error: TomlMistakeError, document: TomlText) -> bool:
        """Take up a mistake and blank what is at fault; False: nothing more can be read."""
        line = document.line(error.path)
        first, end = self._block(line)
        missing = error.what.endswith(" is missing")
        if not self._follows(error, missing=missing, block=range(first, end)):
            self.found.append((line, error))
        if first == 0:
            return self._stand_in(error, line, missing=missing)
        # A mistake of a table itself stands on its header; what is written over several lines
        # cannot be left out by blanking one.
        alone = line != first and not missing and line not in self._blanked
        if alone and self._is_whole(line):
            self._blanked.add(line)
            self.lines[line - 1] = ""
            return True
        return self._drop(first, end)

    def _block(self, line: int) -> tuple[int, int]:
        """Return the line of the header above a line, 0 for the root, and where its table ends."""
        heads = [n for n, text in enumerate(self.lines, 1) if _HEADER.match(text)]
        first = max((head for head in heads if head <= line), default=0)
        return first, min((head for head in heads if head > line), default=len(self.lines) + 1)

    def _follows(self, error: TomlMistakeError, *, missing: bool, block: range) -> bool:
        """Tell whether it is only there because something was left out."""
        if missing and self._blanked & set(block):
            return True
        if error.what == "the profile has no points":
            return bool(self.found)
        return self._names_gone(error, block)

    def _names_gone(self, error: TomlMistakeError, block: range) -> bool:
        if not error.path or error.path[0] not in _REFERS:
            return False
        said = set(_QUOTED.findall(error.what))
        said |= {word for n in block for word in re.findall(r'"([^"]*)"', self.lines[n - 1])}
        return bool(said & self._gone)

    def _is_whole(self, line: int) -> bool:
        """Tell whether a line is a key with all of its value: the text is TOML without it."""
        without = [*self.lines[: line - 1], "", *self.lines[line:]]
        try:
            TomlText("\n".join(without), source="", bound=limits.PROFILE_BYTES)
        except MistakeError:
            return False
        return True

    def _drop(self, first: int, end: int) -> bool:
        block = self.lines[first - 1 : end - 1]
        if "point" in block[0]:
            self._gone |= {name[1] for text in block if (name := _NAME.match(text))}
        changed = any(block)
        self.lines[first - 1 : end - 1] = [""] * len(block)
        return changed

    def _stand_in(self, error: TomlMistakeError, line: int, *, missing: bool) -> bool:
        key = error.what.split(" ", 1)[0] if missing else str(error.path[0] if error.path else "")
        if key in _STAND_INS and key not in self.stand_ins:
            self.stand_ins[key] = _STAND_INS[key]
            return True
        if key in {"protocol", ""} or missing or not self.lines[line - 1] or key in _STAND_INS:
            return False
        self.lines[line - 1] = ""
        return True
