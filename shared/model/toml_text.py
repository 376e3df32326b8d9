"""TOML that a person wrote: parsed, typed, and every complaint points at a line.

Owns reading of tables key by key with unknown keys refused, and the light scan that finds out where
a key stands (`tomllib` does not say). Leaves out what the keys mean. Numbers with a fraction are
`Decimal`, so that 0.01 is one hundredth. Pure: text in, values or one `MistakeError` out.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.errors import MistakeError, nearest

Path = tuple[str | int, ...]
"""Where a value stands: keys, and positions in arrays, from the document's root."""

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
_PART = re.compile(_KEY)
_SYNTAX = re.compile(r"(.*) \((?:at line (\d+), column \d+|at end of document)\)", re.DOTALL)


class TomlMistakeError(MistakeError):
    """A mistake in a document that knows where it stands, so that the others can be found too."""

    def __init__(self, what: str, *, where: str, mend: str, path: Path) -> None:
        self.path = path
        """Of the key at fault, or of the table where one is missing."""
        super().__init__(what, where=where, mend=mend)


class TomlText:
    """One parsed document that knows the line of each of its keys."""

    def __init__(self, text: str, *, source: str, bound: int) -> None:
        """Parse `text`; `source` names it in complaints.

        Raises:
            MistakeError: longer than `bound` bytes, or not TOML.
        """
        self.source = source
        if len(text.encode("utf-8", "surrogatepass")) > bound:
            raise MistakeError(f"the file is longer than {bound} bytes", where=source)
        self._lines = scan_lines(text)
        try:
            self.values: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(str(error), text) from None
        except (InvalidOperation, RecursionError, ValueError) as error:
            # An exponent beyond Decimal's, nesting beyond the parser's stack, a year 0.
            raise MistakeError(f"this is no TOML: {error}", where=source) from None

    def line(self, path: Path) -> int:
        """Return the line of the value at `path`, or of the nearest thing around it."""
        # A table that only stands in the headers of its inner tables is where the first of them is.
        inside = [line for part, line in self._lines.items() if part[: len(path)] == path]
        if path and path not in self._lines and inside:
            return min(inside)
        around = (path[:length] for length in range(len(path), 0, -1))
        return next((self._lines[part] for part in around if part in self._lines), 1)

    def where(self, path: Path) -> str:
        """Return the same as ``FILE line N``."""
        return f"{self.source} line {self.line(path)}"

    def root(self, known: Sequence[str]) -> "TomlTable":
        """Return the document's outermost table; only `known` keys may stand in it."""
        return TomlTable.of(self, (), self.values, known)

    def _syntax(self, message: str, text: str) -> MistakeError:
        line = text.count("\n") + 1
        if found := _SYNTAX.fullmatch(message):
            message, line = found[1], int(found[2] or line)
        return MistakeError(
            f"this is no TOML: {message[:1].lower()}{message[1:]}",
            where=f"{self.source} line {line}",
        )


def scan_lines(text: str) -> dict[Path, int]:
    r"""Return the line, from 1, on which each header and each key at a line's start stands.

    Good enough to point a person at the place: keys inside inline tables are not looked for.

    >>> scan_lines('[[point]]\nname = "a"\n[[point]]\nat.table = "input"')[("point", 1, "at")]
    4
    """
    lines: dict[Path, int] = {}
    arrays: dict[Path, int] = {}
    table: Path = ()
    quote = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not quote:
            if header := _HEADER.match(line):
                table = _table(_parts(header[2]), arrays, new_item=header[1] == "[[")
                lines.setdefault(table, number)
            elif assignment := _ASSIGNMENT.match(line):
                parts = _parts(assignment[1])
                for length in range(1, len(parts) + 1):
                    lines.setdefault((*table, *parts[:length]), number)
        quote = _open_quote(line, quote)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _table(parts: tuple[str, ...], arrays: dict[Path, int], *, new_item: bool) -> Path:
    """Return the path a header opens; a name of an array stands for its latest item."""
    path: Path = ()
    for index, part in enumerate(parts):
        path = (*path, part)
        if new_item and index == len(parts) - 1:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = (*path, arrays[path])
    return path


def _open_quote(line: str, quote: str) -> str:
    """Return the triple quote that is still open after `line`, or an empty text."""
    position = 0
    while True:
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return quote
            position, quote = end + 3, ""
            continue
        starts = [(line.find(mark, position), mark) for mark in ('"""', "'''")]
        found = min((start for start in starts if start[0] >= 0), default=None)
        if found is None or "#" in line[position : found[0]]:
            return ""
        position, quote = found[0] + 3, found[1]


@dataclass(frozen=True, slots=True)
class TomlTable:
    """One table of a document, read key by key; every fault is a `MistakeError` with its line."""

    text: TomlText
    path: Path
    values: dict[str, Any]

    @staticmethod
    def of(text: TomlText, path: Path, values: dict[str, Any], known: Sequence[str]) -> "TomlTable":
        """Return the table, once it is certain that it has only `known` keys."""
        table = TomlTable(text, path, values)
        for key in values:
            if key not in known:
                close = nearest(key, known)
                mend = f"did you mean {close!r}?" if close else f"known are {', '.join(known)}"
                raise table.mistake(f"unknown key {key!r}", key=key, mend=mend)
        return table

    def mistake(self, what: str, *, key: str | None = None, mend: str = "") -> TomlMistakeError:
        """Return the complaint that points at `key`, or at the table itself."""
        path = self.path if key is None else (*self.path, key)
        return TomlMistakeError(what, where=self.text.where(path), mend=mend, path=path)

    def string(self, key: str, default: str | None = None) -> str:
        """Return a text; without a default it is required."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.mistake(f"{key} is a text", key=key, mend=f'write {key} = "..."')
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """Return a text that is one of `choices`."""
        value = self.string(key, default)
        if value not in choices:
            close = nearest(value, choices)
            mend = f"did you mean {close!r}?" if close else f"it is one of {', '.join(choices)}"
            raise self.mistake(f"{key} cannot be {value!r}", key=key, mend=mend)
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number in [`low`, `high`]."""
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.mistake(
                f"{key} = {_shown(value)} is not a whole number from {low} to {high}", key=key
            )
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.mistake(f"{key} is true or false, without quotes", key=key)
        return value

    def number(self, key: str, default: Decimal | None = None) -> Decimal:
        """Return a finite decimal, written as a number or as a text."""
        value = self._take(key, default)
        try:
            number = Decimal("nan" if isinstance(value, bool) else value)
        except (ArithmeticError, TypeError, ValueError):
            number = Decimal("nan")
        if not number.is_finite():
            raise self.mistake(f"{key} = {_shown(value)} is not a number", key=key)
        return number

    def table(self, key: str, known: Sequence[str]) -> "TomlTable":
        """Return the table under `key`; an absent one reads as empty."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.mistake(f"{key} is a table", key=key, mend=f"write {key} = {{ ... }}")
        return TomlTable.of(self.text, (*self.path, key), value, known)

    def tables(self, key: str, known: Sequence[str]) -> "list[TomlTable]":
        """Return the tables of the array under `key`; an absent one reads as empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.mistake(f"{key} is a list of tables", key=key, mend=f"write [[{key}]]")
        return [
            TomlTable.of(self.text, (*self.path, key, index), item, known)
            for index, item in enumerate(value)
        ]

    def _take(self, key: str, default: object) -> Any:  # noqa: ANN401 - callers narrow at once
        if key in self.values:
            return self.values[key]
        if default is None:
            raise self.mistake(f"{key} is missing")
        return default


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
