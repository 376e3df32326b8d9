"""What every command shares: its options, its client and screen, and the question before a deed."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from cyclopts import Parameter

from coordinator.cli.access import find_access
from coordinator.cli.client import Client
from coordinator.cli.show import Screen
from coordinator.contract.trace import TRACEPARENT, Trace
from shared import limits
from shared.errors import MistakeError

T = TypeVar("T")

MOST = 500
"""List items shown unless more are asked for."""
FOREVER_S = limits.DELAY_S
"""A wait that nobody bounded."""
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command."""

    config: Annotated[Path | None, Parameter(help="admin.toml of the coordinator")] = None
    json: Annotated[bool, Parameter(help="print what the API answered", negative="")] = False


DEFAULT = Common()


@Parameter(name="*")
@dataclass(frozen=True)
class Waiting:
    """Options of every command that hands in work or calls it off."""

    wait: Annotated[
        bool,
        Parameter(help="until it is over; status 0 only if it went well everywhere", negative=""),
    ] = False
    timeout: Annotated[
        int, Parameter(help="seconds to wait at most; status 7 after that, and it goes on")
    ] = FOREVER_S

    @property
    def span_s(self) -> int | None:
        """Return how long to wait, None: not at all."""
        return self.timeout if self.wait else None


AT_ONCE = Waiting()
Yes = Annotated[bool, Parameter(help="do not ask", negative="")]


def with_client(common: Common, do: Callable[[Client, Screen], T]) -> T:
    """Run a command's body with a client of the coordinator that its options name.

    Raises:
        MistakeError: nothing says where the coordinator is.
        CallError: it did not do what was asked.
    """
    trace = Trace.of(os.environ.get(TRACEPARENT.upper(), ""))
    client = Client(find_access(common.config, os.environ), trace)
    try:
        return do(client, Screen(as_json=common.json))
    finally:
        client.close()


def ask_first(question: str, *, yes: bool) -> bool:
    """Ask before something that cannot be undone; true at once with ``--yes``.

    Raises:
        MistakeError: nobody is there to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise MistakeError("nobody is there to be asked", where="--yes", mend="add it in scripts")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def delete(
    common: Common, what: str, path: str, type_: type[T], *, yes: bool, said: Callable[[T], str]
) -> None:
    """Delete a thing after asking; `said` tells what it was.

    Raises:
        MistakeError: nobody is there to be asked.
        CallError: it is not there, or stays.
    """

    def do(client: Client, screen: Screen) -> None:
        gone = client.delete(path, type_)
        if screen.as_json:
            screen.json(gone)
        else:
            screen.text(f"{what} is deleted{said(gone)}")

    if ask_first(f"delete {what}?", yes=yes):
        with_client(common, do)


def parse_span_s(text: str, *, where: str) -> int:
    """Return the seconds in ``30m``, ``12h`` or ``7d``.

    Raises:
        MistakeError: it is none of these, or longer than a year.

    >>> parse_span_s("12h", where="--expires")
    43200
    """
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 1 <= seconds <= limits.DELAY_S:
        raise MistakeError(
            f"{text!r} is not a time up to a year", where=where, mend="for example 30m, 12h or 7d"
        )
    return seconds
