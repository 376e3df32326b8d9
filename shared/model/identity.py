"""What a profile expects a device to say of itself: vendor, model, firmware.

Owns the ``[identity]`` table and the comparison. Asking the device is its driver's; a device that
says nothing of itself contradicts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared import limits
from shared.model.toml_text import TomlTable

IDENTITY_KEYS = ("vendor", "model", "firmware")
"""Of the table, and of what a device tells."""
SAID: Final = frozenset(IDENTITY_KEYS)
"""Labels of a device that only the device knows: whoever chooses by them has to ask it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is right, by key; anything is where nothing is listed."""

    vendor: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()

    def drift(self, told: Mapping[str, str]) -> dict[str, str]:
        """Return what is expected, by the keys where a device told something else.

        >>> Expected(model=("A", "B"), firmware=("2.1",)).drift({"model": "C", "firmware": ""})
        {'model': 'A or B'}
        """
        found: dict[str, str] = {}
        for key in IDENTITY_KEYS:
            wanted, said = getattr(self, key), told.get(key, "")
            if wanted and said and said not in wanted:
                found[key] = " or ".join(wanted)
        return found

    @property
    def canonical(self) -> list[list[str]]:
        """Return what of it goes into a profile's hash; nothing where anything is right."""
        return [sorted(getattr(self, key)) for key in IDENTITY_KEYS] if self != ANYTHING else []


ANYTHING = Expected()


def expected_of(table: TomlTable) -> Expected:
    """Return what a profile's ``[identity]`` table expects.

    Raises:
        MistakeError: points at the line.
    """
    return Expected(**{key: _texts(table, key) for key in IDENTITY_KEYS})


def _texts(table: TomlTable, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str) or not 0 < len(text) <= limits.IDENTITY_CHARS:
            raise table.mistake(
                f"{key} is a text, or a list of texts",
                key=key,
                mend=f'write {key} = "X" or {key} = ["X", "Y"]',
            )
    if len(texts) > limits.IDENTITY_OBJECTS:
        raise table.mistake(f"{len(texts)} of {key}, at most {limits.IDENTITY_OBJECTS}", key=key)
    return tuple(texts)
