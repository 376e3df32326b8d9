"""The templates that come with the program: the maintenance work of a fleet, one file each.

They are version 0 of their names; a fleet's own version of a name goes before them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import msgspec

from coordinator.contract.templates import TemplateBody
from shared.runtime.queries import folder_of


@cache
def shipped_templates() -> Mapping[str, TemplateBody]:
    """Return every template that came with the program, by name."""
    found = {}
    for file in sorted((folder_of("coordinator.contract") / "maintenance").glob("*.toml")):
        document = {"name": file.stem, **tomllib.loads(file.read_text("utf-8"))}
        found[file.stem] = msgspec.convert(document, TemplateBody)
    return MappingProxyType(found)
