"""The named statements of this package: one text for both engines."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from shared.runtime.queries import folder_of, parse_queries


@cache
def load_statements() -> Mapping[str, str]:
    """Return every named statement of this package; a name stands once in all files."""
    statements: dict[str, str] = {}
    for file in (folder_of("coordinator.store") / "queries").iterdir():
        found = parse_queries(file.read_text("utf-8"))
        repeated = statements.keys() & found.keys()
        assert not repeated, f"{file.name} repeats {sorted(repeated)}"
        statements.update(found)
    return MappingProxyType(statements)
