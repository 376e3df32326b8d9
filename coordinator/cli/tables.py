"""Lines of a report as a table for people, JSON for programs, CSV for spreadsheets."""

import csv
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter

from coordinator.cli.show import Screen, ago

AS_CSV = Annotated[bool, Parameter(name="--csv", negative="", help="comma separated values")]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def print_lines(
    screen: Screen, lines: Sequence[msgspec.Struct], kind: type[msgspec.Struct], *, as_csv: bool
) -> None:
    """Print lines of one kind, by the names of its members."""
    names = kind.__struct_fields__
    if screen.as_json:
        screen.json(lines)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([_in_csv(getattr(one, name)) for name in names] for one in lines)
    elif lines:
        heads = [name.upper().replace("_", " ") for name in names]
        rows = [[_shown(getattr(one, name)) for name in names] for one in lines]
        screen.table(heads, rows)
    else:
        screen.text("nothing to look at")


def _in_csv(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    plain = _plain(value)
    # A spreadsheet takes what begins so for a formula.
    return f"'{plain}" if isinstance(plain, str) and plain.startswith(_FORMULA) else plain


def _shown(value: object) -> object:
    return ago(value) if isinstance(value, datetime) else _plain(value)


def _plain(value: object) -> object:
    return "; ".join(map(str, value)) if isinstance(value, list) else value
