"""Which profile fits a device that was found: the ``[match]`` table, and the choice among several.

Owns its keys and how two fits compare. Rules are texts with ``*`` for any letters, compared without
case. Leaves out finding devices and deciding: a person adopts what fits.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared import limits
from shared.model.identity import Expected
from shared.model.toml_text import TomlTable

MATCH_KEYS = ("vendor", "model", "firmware", "name")
"""Of the table, and of what a candidate tells; ``name`` is that of an announcement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a device of the profile's kind tells, by key; anything fits where nothing is listed."""

    vendor: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    name: tuple[str, ...] = ()

    @property
    def canonical(self) -> list[list[str]]:
        """Return what of it goes into a profile's hash; nothing where there is no rule."""
        return [sorted(getattr(self, key)) for key in MATCH_KEYS] if self != NO_RULE else []

    def fit(self, told: Mapping[str, str], expected: Expected) -> int:
        """Return how many of the rules hold, 0 where one does not; more is the better fit.

        A profile without rules is matched by what it expects devices to say (``[identity]``).

        >>> Match(vendor=("acme*",)).fit({"vendor": "ACME AG"}, Expected())
        1
        """
        rules = self
        if self == NO_RULE:
            rules = Match(vendor=expected.vendor, model=expected.model, firmware=expected.firmware)
        held = 0
        for key in MATCH_KEYS:
            wanted = getattr(rules, key)
            if not wanted:
                continue
            if not any(_pattern(rule).fullmatch(told.get(key, "")) for rule in wanted):
                return 0
            held += 1
        return held


NO_RULE = Match()


def match_of(table: TomlTable) -> Match:
    """Return the rules of a profile's ``[match]`` table.

    Raises:
        MistakeError: points at the line.
    """
    return Match(**{key: _texts(table, key) for key in MATCH_KEYS})


def _pattern(rule: str) -> re.Pattern[str]:
    # Stars only: what follows a star is looked for once, so that no rule takes long.
    parts = re.sub(r"\*+", "*", rule).split("*")
    return re.compile(".*".join(map(re.escape, parts)), re.IGNORECASE | re.DOTALL)


def _texts(table: TomlTable, key: str) -> tuple[str, ...]:
    value = table.values.get(key, [])
    texts = value if isinstance(value, list) else [value]
    sound = all(isinstance(text, str) and 0 < len(text) <= limits.IDENTITY_CHARS for text in texts)
    if not sound or len(texts) > limits.IDENTITY_OBJECTS:
        raise table.mistake(
            f"{key} is a text, or a list of at most {limits.IDENTITY_OBJECTS} texts",
            key=key,
            mend=f'write {key} = "Acme*"',
        )
    stars = max((text.count("*") for text in texts), default=0)
    if stars > limits.MATCH_STARS:
        raise table.mistake(f"{stars} stars, at most {limits.MATCH_STARS} are possible", key=key)
    return tuple(texts)
