"""What people see: tables and facts with rich on a terminal, plain text in a pipe.

With ``--json`` each command prints exactly what the API answered, as one JSON document.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GOOD = frozenset({"SUCCEEDED", "COMPLETED", "ONLINE", "DONE"})
_BAD = frozenset(
    {
        *("FAILED", "TIMED_OUT", "ROLLED_BACK", "ROLLBACK_FAILED", "REJECTED", "QUARANTINED"),
        *("EXPIRED", "REVOKED", "OVERDUE", "SILENT"),
    }
)

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, changes of direction, halves of letters, other ends of lines."""


class Screen:
    """Prints results; knows whether they are for people or for programs."""

    def __init__(self, *, as_json: bool) -> None:
        """Choose the form once for the whole command."""
        self.as_json = as_json
        # A pipe has no width of its own; 80 columns would break ids apart there.
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=200)

    @property
    def width(self) -> int:
        """Return how many characters fit into a line."""
        return self.console.width if self.console.is_terminal else 80

    def json(self, value: object) -> None:
        """Print one JSON document."""
        print(msgspec.json.encode(value).decode())

    def text(self, line: str = "") -> None:
        """Print a line as it is; what would move the cursor is spelled out."""
        self.console.print(plain(line), markup=False, emoji=False, soft_wrap=True)

    def whole(self, text: str) -> None:
        """Print what somebody keeps in a file: into a pipe to the letter."""
        if self.console.is_terminal:
            self.text(text.removesuffix("\n"))
        else:
            self.console.file.write(text)

    def warn(self, line: str) -> None:
        """Print a line about what went wrong, where errors go."""
        Console(stderr=True, highlight=False).print(
            f"outstation: {plain(line)}", markup=False, emoji=False, soft_wrap=True
        )

    def progress(self, line: str) -> None:
        """Show how far something is, over the line before; only where somebody is looking."""
        if self.console.is_terminal:
            shown = plain(line).ljust(self.console.width - 1)
            self.console.print(shown, markup=False, emoji=False, end="\r")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under heads; numbers stand at the right."""
        found = [list(row) for row in rows]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for index, head in enumerate(heads):
            numeric = bool(found) and all(isinstance(row[index], int | float) for row in found)
            table.add_column(head, justify="right" if numeric else "left", overflow="fold")
        for row in found:
            table.add_row(*map(_cell, row))
        self._draw(table)

    def facts(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values, one pair a line."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in pairs:
            table.add_row(Text(name, "dim"), _cell(value))
        self._draw(table)

    def _draw(self, table: Table) -> None:
        """Print a table; into a pipe without the blanks that fill its last column."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as drawn:
            self.console.print(table)
        for line in drawn.get().splitlines():
            self.text(line.rstrip())


def plain(text: str) -> str:
    r"""Return a text with what would move the cursor, or hide, spelled out.

    >>> plain("30 °C\x1b[8m"), plain("two\nlines")
    ('30 °C\\x1b[8m', 'two\nlines')
    """
    return "".join(
        letter if _is_seen(letter) else letter.encode("unicode_escape").decode() for letter in text
    )


def ago(time: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago a moment was, as people say it.

    >>> ago(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 2, 5, tzinfo=UTC))
    '2 min ago'
    """
    if time is None:
        return "never"
    passed = (now or datetime.now(UTC)) - time
    return "just now" if passed < timedelta(seconds=1) else f"{span(passed)} ago"


def span(length: timedelta) -> str:
    """Return a length of time in its largest unit."""
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def count(numbers: dict[str, int]) -> str:
    """Return counts by name as one line."""
    return ", ".join(f"{value} {name}" for name, value in sorted(numbers.items()) if value) or "-"


def _cell(value: object) -> Text:
    text = "-" if value is None else plain(str(value))
    if value in _GOOD:
        return Text(text, "green")
    return Text(text, "bold red" if value in _BAD else "")


def _is_seen(letter: str) -> bool:
    return letter in "\n\t" or unicodedata.category(letter) not in _UNSEEN
