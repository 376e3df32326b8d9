"""Named SQL: statements live in `.sql` files, Python only says their names.

A file is a list of blocks that start with ``-- name: some_name``. Parameters are written ``$1``,
``$2``: PostgreSQL's own form. SQLite would take them as names, and a mapping for each statement;
so it is given its own numbered form, which takes values as they stand. Leaves out the schema, which
is `shared.runtime.migrations`.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

_MARK = re.compile(r"^-- name:[ \t]*(\S*)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"\$(\d)")


def bind(*values: object) -> tuple[object, ...]:
    """Return the values of a statement's parameters, as many as it has."""
    return values


def for_sqlite(queries: Mapping[str, str]) -> Mapping[str, str]:
    """Return statements in the form that SQLite binds fastest.

    >>> dict(for_sqlite({"one": "SELECT $1"}))
    {'one': 'SELECT ?1'}
    """
    return MappingProxyType({name: _PARAMETER.sub(r"?\1", sql) for name, sql in queries.items()})


def parse_queries(text: str) -> Mapping[str, str]:
    r"""Return the statements of a query file by name, in file order.

    >>> dict(parse_queries("-- name: one\nSELECT 1;\n"))
    {'one': 'SELECT 1'}
    """
    head, *blocks = _MARK.split(text)
    # A statement before the first name could never be called: a slip of the pen.
    assert not _statement(head), "a query file starts with a name"
    queries: dict[str, str] = {}
    for name, body in zip(blocks[::2], blocks[1::2], strict=True):
        assert _NAME.fullmatch(name), f"{name!r} cannot name a query"
        assert name not in queries, f"query {name} stands twice"
        queries[name] = _statement(body)
        assert queries[name], f"query {name} is empty"
    return MappingProxyType(queries)


def load_queries(package: str, resource: str) -> Mapping[str, str]:
    """Return the statements of a packaged `.sql` file for SQLite, e.g. of the agent's stores.

    `resource` may contain slashes. Raises AssertionError when the file is malformed: it is ours.
    """
    return for_sqlite(parse_queries((folder_of(package) / resource).read_text("utf-8")))


def folder_of(package: str) -> Path:
    """Return where an installed package lies: wheels are unpacked, so its files are files.

    `importlib.resources` would also read packages out of archives; for that it loads zipfile,
    tempfile and compressors, which a small gateway would carry for ever: 0.9 MB.
    """
    [place] = import_module(package).__path__
    return Path(place)


def _statement(body: str) -> str:
    """Return a block without leading and trailing comment lines, blank lines and semicolon."""
    lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().removesuffix(";").rstrip()
