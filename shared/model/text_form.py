"""How a count is written as text: in a document or a sentence of a device.

Owns the types that such points have, and text <-> raw count. Leaves out where the text stands
(`shared.model.http_address`, `shared.model.line_address`) and what a count means
(`shared.model.linear`).
"""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, cast, get_args

from shared import limits
from shared.model.toml_text import TomlTable

TextType = Literal["number", "int", "hex", "flag", "word", "degrees"]
"""``degrees`` is NMEA 0183's ddmm.mmmm with a hemisphere in the next field."""
TEXT_TYPES: Final[tuple[TextType, ...]] = get_args(TextType)
_RANGES: Final[dict[TextType, tuple[int, int]]] = {
    "int": (-(1 << 63), (1 << 63) - 1),
    "hex": (0, (1 << 32) - 1),
    "flag": (0, 1),
}
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"
)
"""A double that is written without its exponent has 309 digits before the point at most, and 340
behind it that tell it from its neighbours."""
_INT: Final = re.compile(r"[+-]?[0-9]{1,20}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
_DEGREES: Final = re.compile(r"([0-9]{1,3})([0-9]{2}(?:\.[0-9]{1,9})?)([NSEW])")
_FLAGS: Final = {"0": 0, "1": 1, "false": 0, "true": 1, "off": 0, "on": 1}


@dataclass(frozen=True, slots=True)
class TextForm:
    """One point's way to be written."""

    type: TextType = "number"
    words: tuple[str, ...] = ()
    """Of type ``word``: a count is the position of its word."""

    @property
    def is_float(self) -> bool:
        """Tell whether the raw count is a floating point number."""
        return self.type in {"number", "degrees"}

    @property
    def range(self) -> tuple[int, int]:
        """Return the lowest and the highest count of an integer type."""
        assert not self.is_float, "a float's range is no pair of integers"
        return (0, len(self.words) - 1) if self.type == "word" else _RANGES[self.type]

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.type, *self.words]

    def read(self, text: str) -> int | float | None:
        """Return the raw count that a text says, None where it says none.

        >>> TextForm("hex").read("00fF"), TextForm("word", ("A", "V")).read("V")
        (255, 1)
        >>> TextForm("degrees").read("4916.45S")
        -49.274166666666666
        """
        if self.type == "word":
            return self.words.index(text) if text in self.words else None
        if self.type == "flag":
            return _FLAGS.get(text.lower())
        if self.type == "degrees":
            return _degrees(text)
        if self.type == "number":
            number = float(text) if _NUMBER.fullmatch(text) else math.nan
            return number if math.isfinite(number) else None
        known = (_HEX if self.type == "hex" else _INT).fullmatch(text)
        count = int(text, 16 if self.type == "hex" else 10) if known else None
        low, high = self.range
        return count if count is not None and low <= count <= high else None

    def text(self, raw: float) -> str:
        """Return a raw count as a device wants it.

        >>> TextForm("number").text(1e-7), TextForm("flag").text(1)
        ('0.0000001', '1')
        """
        if self.type == "word":
            return self.words[int(raw)]
        if self.type == "hex":
            return f"{int(raw):X}"
        if not self.is_float:
            return str(int(raw))
        whole = isinstance(raw, int) or raw.is_integer()
        # repr has as few digits as tell a double apart; devices rarely read its exponent.
        plain = f"{raw:.0f}" if whole else f"{_exact(raw):f}"
        return "0" if plain == "-0" else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPlace:
    """What places of all protocols of text have in common: how the point is written there."""

    form: TextForm

    @property
    def type(self) -> TextType:
        """Return the type of the raw count."""
        return self.form.type

    @property
    def is_bit(self) -> bool:
        """Tell whether it is 0 or 1 by its place."""
        return self.form.type == "flag"

    @property
    def is_float(self) -> bool:
        """Tell whether the raw count is a floating point number."""
        return self.form.is_float

    @property
    def range(self) -> tuple[int, int]:
        """Return the lowest and the highest count of an integer type."""
        return self.form.range


def form_of(table: TomlTable, types: tuple[TextType, ...]) -> TextForm:
    """Return the form that an ``at`` names with `type` and `words`.

    Raises:
        MistakeError: points at the line.
    """
    words = table.values.get("words")
    kind = cast("TextType", table.choice("type", types, "number" if words is None else "word"))
    if (kind == "word") != (words is not None):
        raise table.mistake('words belong to type = "word"', mend='write words = ["off", "on"]')
    if words is None:
        return TextForm(kind)
    if not isinstance(words, list) or not 2 <= len(words) <= limits.WORDS:
        raise table.mistake(f"words is a list of 2 to {limits.WORDS} texts", key="words")
    if not all(isinstance(word, str) and _is_word(word) for word in words):
        most = limits.WORD_CHARS
        raise table.mistake(f"a word has 1 to {most} printable ASCII characters", key="words")
    if len(set(words)) != len(words):
        raise table.mistake("a word stands there twice", key="words")
    return TextForm(kind, tuple(words))


def _is_word(text: str) -> bool:
    return 0 < len(text) <= limits.WORD_CHARS and text.isascii() and text.isprintable()


def _exact(raw: float) -> Decimal:
    return Decimal(repr(raw))


def _degrees(text: str) -> float | None:
    found = _DEGREES.fullmatch(text)
    if found is None:
        return None
    value = int(found[1]) + float(found[2]) / 60
    most = 90 if found[3] in "NS" else 180
    return (-value if found[3] in "SW" else value) if value <= most else None
