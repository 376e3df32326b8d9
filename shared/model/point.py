"""One point of a device profile: a protocol address apart from its meaning, and its limits.

Owns the keys of a ``[[point]]`` table. Leaves out where points live (`shared.model.addressing`),
how they are written (`shared.model.calls`) and what is kept of their readings
(`shared.model.judging`).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import cast, get_args

from shared import limits
from shared.ids import is_name
from shared.model.addressing import Address, Sections, address_of, bit_name, unwritable
from shared.model.calls import USUAL, WRITE_KEYS, Writing, writing_of
from shared.model.judging import EVERYTHING, JUDGING_KEYS, Judging, judging_of
from shared.model.linear import Linear
from shared.model.reading import Kind
from shared.model.registers import RegisterAddress
from shared.model.toml_text import TomlTable

_KINDS: tuple[Kind, ...] = get_args(Kind)
_MEANING_KEYS = ("scale", "offset", "min", "max")
POINT_KEYS = (
    *("name", "at", *_MEANING_KEYS, "unit", "kind", "poll", *WRITE_KEYS),
    *JUDGING_KEYS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing a device measures or can be set to."""

    name: str
    at: Address
    scale: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)
    """``value = raw * scale + offset``, exact."""
    unit: str = ""
    """UCUM text, for example ``kW.h``."""
    kind: Kind = "gauge"
    poll: bool = True
    """False: read only when somebody asks."""
    writable: bool = False
    write: Writing = USUAL
    """How it is written, where it can be."""
    minimum: int | float | None = None
    """In engineering units: the least that is written, and the least that is believed."""
    maximum: int | float | None = None
    judging: Judging = EVERYTHING
    """What is kept of its readings, unless an agent's configuration says otherwise."""

    @property
    def register(self) -> RegisterAddress:
        """Return where it lives in a Modbus device; asked of no other."""
        assert isinstance(self.at, RegisterAddress), "a driver gets points of its own protocol"
        return self.at

    @property
    def linear(self) -> Linear:
        """Return the exact conversion between counts and values."""
        return Linear.of(self.scale, self.offset)

    @property
    def natural_modulus(self) -> Decimal | None:
        """Return where a counter of this type begins again, in the point's unit, if it does."""
        if self.at.is_float or self.at.range[0] < 0:
            return None
        return (self.at.range[1] + 1) * abs(self.scale)

    def within_limits(self, value: float) -> bool:
        """Tell whether an engineering value lies in [`minimum`, `maximum`]."""
        return not (
            (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum)
        )

    @property
    def limits_text(self) -> str:
        """Return the limits of what may be written, for people; asked where there are some."""
        if self.minimum is None:
            return f"at most {self.maximum}"
        if self.maximum is None:
            return f"at least {self.minimum}"
        return f"{self.minimum} to {self.maximum}"


def point_of(table: TomlTable, protocol: str, sections: Sections) -> Point:
    """Return a point from its table of a profile.

    Raises:
        MistakeError: points at the line.
    """
    name = name_of(table, "name")
    at = address_of(table, protocol, sections)
    if at.is_bit:
        for key in _MEANING_KEYS:
            if key in table.values:
                raise table.mistake(f"a {bit_name(at)} is 0 or 1 and has no {key}", key=key)
    writable = table.flag("writable", default=False)
    if writable and not at.writable:
        what, mend = unwritable(at)
        raise table.mistake(what, key="writable", mend=mend)
    scale, offset = (
        _coefficient(table, "scale", Decimal(1)),
        _coefficient(table, "offset", Decimal(0)),
    )
    if not scale:
        raise table.mistake("a scale of 0 makes every value the same", key="scale")
    minimum, maximum = _limits(table, at, Linear.of(scale, offset))
    kind = cast("Kind", table.choice("kind", _KINDS, "state" if at.is_bit else "gauge"))
    judging = judging_of(table, kind)
    poll = table.flag("poll", default=True)
    if not poll and judging != EVERYTHING:
        raise table.mistake("a point that is not polled has nothing to judge", key="poll")
    return Point(
        name=name,
        at=at,
        scale=scale,
        offset=offset,
        unit=_unit(table),
        kind=kind,
        poll=poll,
        writable=writable,
        write=writing_of(table, writable=writable),
        minimum=minimum,
        maximum=maximum,
        judging=judging,
    )


def name_of(table: TomlTable, key: str) -> str:
    """Return a name.

    Raises:
        MistakeError: points at the line.
    """
    name = table.string(key)
    if not is_name(name):
        raise table.mistake(
            f"{name[:60]!r} is no name",
            key=key,
            mend="use 1 to 40 lower case letters, digits, - and _",
        )
    return name


def _coefficient(table: TomlTable, key: str, default: Decimal) -> Decimal:
    number = table.number(key, default)
    if not number:
        return Decimal(0)
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    if abs(number.adjusted()) > limits.SCALE_EXPONENT or len(digits) > limits.SCALE_DIGITS:
        raise table.mistake(
            f"{key} is beyond {limits.SCALE_DIGITS} digits or 10 to the {limits.SCALE_EXPONENT}",
            key=key,
        )
    return number.normalize()


def _limits(
    table: TomlTable, at: Address, linear: Linear
) -> tuple[int | float | None, int | float | None]:
    """Return (min, max), once it is certain that the point's type can hold them."""
    found: dict[str, Decimal] = {}
    for key in ("min", "max"):
        if key not in table.values:
            continue
        found[key] = _coefficient(table, key, Decimal(0))
        if at.is_float:
            continue
        top, bottom = linear.raw(found[key])
        low, high = at.range
        if not low * bottom <= top <= high * bottom:
            first, last = sorted((linear.value(low), linear.value(high)))
            raise table.mistake(
                f"{key} = {found[key]:f} is out of reach: {at.type} goes from {first} to {last}",
                key=key,
            )
    if "min" in found and "max" in found and found["min"] > found["max"]:
        raise table.mistake(f"min {found['min']:f} is above max {found['max']:f}", key="min")
    low_limit, high_limit = (
        None if number is None else _plain(number)
        for number in (found.get("min"), found.get("max"))
    )
    return low_limit, high_limit


def _plain(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)


def _unit(table: TomlTable) -> str:
    unit = table.string("unit", "")
    if len(unit) > limits.UNIT_CHARS or not unit.isprintable():
        raise table.mistake(
            f"a unit has at most {limits.UNIT_CHARS} printable characters", key="unit"
        )
    return unit
