"""How the demo speaks: plain lines anywhere, colours and a live table on a terminal.

Owns presentation only. Everything goes to standard error, so that with ``--json`` the last line
of standard output is the result.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One line of the live table."""

    site: str
    link: str
    polls: int
    delivered: int
    backlog: int
    setpoint: str


class Narrator(Protocol):
    """Tells the story."""

    def act(self, number: int, title: str) -> None:
        """Begin an act."""

    def say(self, text: str) -> None:
        """Tell one thing."""

    def verdict(self, text: str, good: bool) -> None:  # noqa: FBT001
        """Tell how something came out."""

    def table(self, rows: Sequence[SiteRow]) -> None:
        """Show where every site stands."""

    def close(self) -> None:
        """Stop whatever is live."""


class PlainNarrator:
    """Lines without colour or movement, for logs and pipes."""

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        print(f"\n{number}. {title}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Tell one thing."""
        print(f"   {text}", file=sys.stderr, flush=True)

    def verdict(self, text: str, good: bool) -> None:  # noqa: FBT001
        """Tell how something came out."""
        print(f"   {'ok  ' if good else 'FAIL'} {text}", file=sys.stderr, flush=True)

    def table(self, rows: Sequence[SiteRow]) -> None:
        """Say nothing: a table per second would bury the story."""

    def close(self) -> None:
        """Nothing is live."""


class LiveNarrator:
    """The story above, a table of the sites below, redrawn in place."""

    def __init__(self) -> None:
        """Take over the lower edge of the terminal."""
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._live.start()

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        self._console.print(f"\n[bold]{number}. {title}[/bold]")

    def say(self, text: str) -> None:
        """Tell one thing."""
        self._console.print(f"   {text}", markup=False)

    def verdict(self, text: str, good: bool) -> None:  # noqa: FBT001
        """Tell how something came out."""
        mark = "[green]✔[/green]" if good else "[bold red]✘[/bold red]"
        self._console.print(f"   {mark} {text}")

    def table(self, rows: Sequence[SiteRow]) -> None:
        """Show where every site stands."""
        from rich.table import Table  # noqa: PLC0415

        table = Table(title="sites", title_justify="left")
        table.add_column("site")
        table.add_column("link")
        for name in ("polls", "delivered", "waiting here", "setpoint"):
            table.add_column(name, justify="right")
        for row in rows:
            link = "[green]up[/green]" if row.link == "up" else f"[bold red]{row.link}[/bold red]"
            table.add_row(
                row.site, link, str(row.polls), str(row.delivered), str(row.backlog), row.setpoint
            )
        self._live.update(table)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._live.stop()


def narrator(*, live: bool) -> Narrator:
    """Return the narrator that fits where the story is read."""
    return LiveNarrator() if live else PlainNarrator()
