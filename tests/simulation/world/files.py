"""Reading the files of the programs of a world."""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def rows(path: Path, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """Return what a query finds in the database of a program, as it is committed."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()
