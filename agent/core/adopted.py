"""A device attached from afar: what of it lies in the document beside the local file. Pure.

Owns its fields, and the settings under which they are kept. Making a device of it is
`agent.config_adopted`'s; the trial that it has to stand `agent.core.self_config`'s.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from shared.model.job import Value

PREFIX: Final = "device."
"""Of the setting of one device; an empty value: it was let go."""
FOLDER: Final = "profiles"
"""In the data directory: profiles that came from afar, by the sha256 of their bytes."""


class Adopted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device."""

    bus: str
    address: int
    profile: str
    """Hex of the sha256 of its profile's text."""
    poll_interval_ms: int
    serial: str = ""
    """What it said when it was adopted."""

    def text(self) -> str:
        """Return the value of its setting."""
        return msgspec.json.encode(self).decode()


def adopted_in(settings: Mapping[str, Value]) -> dict[str, Adopted]:
    """Return the devices among settings from afar, by id; what cannot be read is left out."""
    found: dict[str, Adopted] = {}
    for name, value in settings.items():
        if name.startswith(PREFIX) and isinstance(value, str) and value:
            try:
                found[name.removeprefix(PREFIX)] = msgspec.json.decode(value, type=Adopted)
            except msgspec.MsgspecError:
                continue
    return found


def without_adopted(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return the settings that are no devices."""
    return {name: value for name, value in settings.items() if not name.startswith(PREFIX)}
