"""Device profile: what a kind of device can be asked, in the units people use.

A TOML text becomes a frozen, bounded value with a content hash. A point keeps its protocol address
(`at`) apart from its meaning (scale, unit, limits). Leaves out registers' bytes
(`shared.model.registers`), the arithmetic (`shared.model.linear`) and one device's own settings.
docs/profiles.md describes the format for people who write one.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import NewType, cast, get_args

from shared import limits
from shared.ids import is_name
from shared.model.calls import USUAL, WRITE_KEYS, Call, Writing, calls_of, writing_of
from shared.model.judging import EVERYTHING, JUDGING_KEYS, Judging, aggregate_name, judging_of
from shared.model.linear import Linear
from shared.model.reading import Kind
from shared.model.registers import (
    ADDRESSES,
    BIT_TABLES,
    REGISTER_TYPES,
    TABLES,
    WRITABLE_TABLES,
    RawType,
    RegisterAddress,
    Table,
    WordOrder,
)
from shared.model.toml_text import TomlTable, TomlText

ProfileHash = NewType("ProfileHash", bytes)
"""sha256 of a profile's canonical form: equal for texts that mean the same."""

FORMAT = 1
"""The only format there is; a text says which one it is written in."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_ROOT_KEYS = ("profile", "name", "kind", "protocol", "limits", "point", "call")
_LIMIT_KEYS = ("max_registers", "max_gap", "silence_ms", "turnaround_ms")
_AT_KEYS = ("table", "address", "type", "word_order")
_MEANING_KEYS = ("scale", "offset", "min", "max")
_POINT_KEYS = (
    *("name", "at", *_MEANING_KEYS, "unit", "kind", "poll", *WRITE_KEYS),
    *JUDGING_KEYS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing a device measures or can be set to."""

    name: str
    at: RegisterAddress
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """What the device can take, for those that can take less than the protocol allows."""

    max_registers: int = limits.MODBUS_REGISTERS
    """Registers read with one request."""
    max_gap: int = 8
    """Registers read for nothing, at most, to join two neighbours into one request."""
    silence_ms: int = 0
    """Pause before each request on the device's port; 0 leaves it to the port."""
    turnaround_ms: int | None = None
    """What the device needs before it answers, for the arithmetic of a bus; None is the usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of device, as its profile describes it."""

    name: str
    kind: str
    """Label for device selectors: pump, meter, inverter."""
    protocol: str
    points: tuple[Point, ...]
    """In the order of the text."""
    limits: RequestLimits = RequestLimits()
    calls: tuple[Call, ...] = ()
    """What it can be told to do."""
    content_hash: ProfileHash

    def call(self, name: str) -> Call | None:
        """Return the call of that name, if there is one."""
        return next((call for call in self.calls if call.name == name), None)

    @property
    def config(self) -> tuple[Point, ...]:
        """Return the points that make up the device's configuration."""
        return tuple(point for point in self.points if point.write.config)

    def point(self, name: str) -> Point | None:
        """Return the point of that name, if there is one."""
        return next((point for point in self.points if point.name == name), None)

    @property
    def polled(self) -> tuple[Point, ...]:
        """Return the points that are read on every poll."""
        return tuple(point for point in self.points if point.poll)


def parse_profile(text: str, *, source: str) -> Profile:
    """Return the profile that `text` describes; `source` names it in complaints.

    Raises:
        MistakeError: with ``SOURCE line N``, for whatever is wrong first.
    """
    document = TomlText(text, source=source, bound=limits.PROFILE_BYTES)
    root = document.root(_ROOT_KEYS)
    root.integer("profile", FORMAT, FORMAT)
    name, kind = _name(root, "name"), _name(root, "kind")
    protocol = root.choice("protocol", ("modbus",))
    request_limits = _request_limits(root.table("limits", _LIMIT_KEYS))
    tables = root.tables("point", _POINT_KEYS)
    if not tables:
        raise root.mistake("the profile has no points", mend="add a [[point]]")
    if len(tables) > limits.POINTS:
        raise root.mistake(f"{len(tables)} points, at most {limits.POINTS} are possible")
    points = tuple(map(_point, tables))
    _refuse_twins(tables, points)
    for table, point in zip(tables, points, strict=True):
        refuse_aggregate_twins(table, point.name, point.judging, {one.name for one in points})
    _refuse_overlaps(tables, points)
    _refuse_unreadable(tables, points, request_limits)
    calls = calls_of(root, points)
    return Profile(
        name=name,
        kind=kind,
        protocol=protocol,
        points=points,
        limits=request_limits,
        calls=calls,
        content_hash=_content_hash(name, kind, protocol, request_limits, points, calls=calls),
    )


def _name(table: TomlTable, key: str) -> str:
    name = table.string(key)
    if not is_name(name):
        raise table.mistake(
            f"{name[:60]!r} is no name",
            key=key,
            mend="use 1 to 40 lower case letters, digits, - and _",
        )
    return name


def _request_limits(table: TomlTable) -> RequestLimits:
    default = RequestLimits()
    most = limits.MODBUS_REGISTERS
    return RequestLimits(
        max_registers=table.integer("max_registers", 1, most, default.max_registers),
        max_gap=table.integer("max_gap", 0, most, default.max_gap),
        silence_ms=table.integer("silence_ms", 0, limits.SILENCE_MS, default.silence_ms),
        turnaround_ms=table.integer("turnaround_ms", 0, limits.SILENCE_MS)
        if "turnaround_ms" in table.values
        else None,
    )


def _point(table: TomlTable) -> Point:
    name = _name(table, "name")
    if "at" not in table.values:
        raise table.mistake(
            "at is missing", mend='write at = { table = "input", address = 0, ... }'
        )
    at = _address(table.table("at", _AT_KEYS))
    if at.type == "bit":
        for key in _MEANING_KEYS:
            if key in table.values:
                raise table.mistake(f"a {at.table} is 0 or 1 and has no {key}", key=key)
    writable = table.flag("writable", default=False)
    if writable and at.table not in WRITABLE_TABLES:
        raise table.mistake(
            f"the {at.table} table cannot be written",
            key="writable",
            mend=f"only {' and '.join(sorted(WRITABLE_TABLES))} can",
        )
    scale, offset = (
        _coefficient(table, "scale", Decimal(1)),
        _coefficient(table, "offset", Decimal(0)),
    )
    if not scale:
        raise table.mistake("a scale of 0 makes every value the same", key="scale")
    minimum, maximum = _limits(table, at, Linear.of(scale, offset))
    kind = cast("Kind", table.choice("kind", _KINDS, "state" if at.type == "bit" else "gauge"))
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


def _address(table: TomlTable) -> RegisterAddress:
    kind = cast("Table", table.choice("table", TABLES))
    bit = kind in BIT_TABLES
    types = ("bit",) if bit else REGISTER_TYPES
    at = RegisterAddress(
        table=kind,
        address=table.integer("address", 0, ADDRESSES - 1),
        type=cast("RawType", table.choice("type", types, "bit" if bit else None)),
        word_order=cast("WordOrder", table.choice("word_order", ("big", "little"), "big")),
    )
    if at.end > ADDRESSES:
        raise table.mistake(
            f"{at.type} at {at.address} ends beyond the last address, {ADDRESSES - 1}",
            key="address",
        )
    if "word_order" in table.values and at.count == 1:
        raise table.mistake(f"{at.type} is a single word and has no order", key="word_order")
    return at


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
    table: TomlTable, at: RegisterAddress, linear: Linear
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


def _refuse_twins(tables: list[TomlTable], points: tuple[Point, ...]) -> None:
    first: dict[str, TomlTable] = {}
    for table, point in zip(tables, points, strict=True):
        if (twin := first.setdefault(point.name, table)) is not table:
            raise table.mistake(
                f"{point.name!r} is the name of a point already, on line "
                f"{twin.text.line(twin.path)}",
                key="name",
            )


def refuse_aggregate_twins(
    table: TomlTable, point: str, judging: Judging, taken: Collection[str]
) -> None:
    """Refuse an aggregate whose channel has a name that is no name, or another point's.

    Raises:
        MistakeError: points at the aggregate.
    """
    for aggregate in judging.aggregate:
        name = aggregate_name(point, aggregate)
        if name in taken or not is_name(name):
            why = "is the name of a point already" if name in taken else "is too long a name"
            raise table.mistake(f"{name!r}, the channel of its {aggregate}, {why}", key="aggregate")


def _refuse_overlaps(tables: list[TomlTable], points: tuple[Point, ...]) -> None:
    order = sorted(
        range(len(points)), key=lambda index: (points[index].at.table, points[index].at.address)
    )
    for before, after in pairwise(order):
        one, two = points[before].at, points[after].at
        if one.table == two.table and two.address < one.end:
            later, earlier = max(before, after), min(before, after)
            raise tables[later].mistake(
                f"{points[later].name!r} overlaps the registers of {points[earlier].name!r} at "
                f"{two.table} {two.address}",
                key="at",
            )


def _refuse_unreadable(
    tables: list[TomlTable], points: tuple[Point, ...], request_limits: RequestLimits
) -> None:
    for table, point in zip(tables, points, strict=True):
        if point.at.count > request_limits.max_registers:
            raise table.mistake(
                f"{point.at.type} takes {point.at.count} registers, max_registers allows "
                f"{request_limits.max_registers}",
                key="at",
            )


def _content_hash(
    name: str,
    kind: str,
    protocol: str,
    request_limits: RequestLimits,
    points: tuple[Point, ...],
    *,
    calls: tuple[Call, ...],
) -> ProfileHash:
    """Hash everything the profile means, in one form, defaults spelt out."""
    rows = [
        [
            [
                point.name,
                point.unit,
                point.kind,
                point.poll,
                point.writable,
                *point.write.canonical,
            ],
            [point.at.table, point.at.address, point.at.type, point.at.word_order],
            [_text(point.scale), _text(point.offset), point.minimum, point.maximum],
            [str(getattr(point.judging, name)) for name in Judging.__dataclass_fields__],
        ]
        for point in points
    ]
    asked = [getattr(request_limits, key) for key in _LIMIT_KEYS]
    canonical = json.dumps(
        [FORMAT, name, kind, protocol, asked, rows, [call.canonical for call in calls]],
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return ProfileHash(hashlib.sha256(canonical.encode()).digest())


def _text(number: Decimal) -> str:
    """Return one text per value: 1, 1.0 and 1E+0 are the same scale."""
    top, bottom = number.as_integer_ratio()
    return f"{top}/{bottom}"
