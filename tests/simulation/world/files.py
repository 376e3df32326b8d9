"""Reading the files of the programs of a world."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_AT_REST: dict[Path, sqlite3.Connection] = {}


@contextlib.contextmanager
def at_rest(path: Path) -> Iterator[None]:
    """Keep a file open that is read again and again inside, and that nobody writes meanwhile."""
    with contextlib.closing(sqlite3.connect(path)) as _AT_REST[path]:
        try:
            yield
        finally:
            del _AT_REST[path]


def rows(path: Path, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """Return what a query finds in the database of a program, as it is committed."""
    if path in _AT_REST:
        return _AT_REST[path].execute(sql, values).fetchall()
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()
