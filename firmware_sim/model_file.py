"""Reads a model from its TOML file and says precisely what is wrong with one.

Owns the file format (docs in `firmware_sim/models/pump.toml`) and every check of a register map.
"""

import math
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from firmware_sim.model import Kind, Model, Point, Table, WordOrder
from firmware_sim.signals import Constant, make_signal
from shared import limits
from shared.errors import MistakeError
from shared.ids import is_name

_MODEL_KEYS = frozenset(
    ("name", "about", "vendor", "product", "revision", "allow_gaps", "word_order", "point")
)
_POINT_KEYS = frozenset(
    (
        *("name", "table", "address", "type", "scale", "unit", "about", "signal"),
        *("writable", "min", "max", "default", "follows", "ramp"),
    )
)
_TEXT_LIMIT = 60
"""Longest vendor, product or revision: all three must fit into one identification response."""
_SCALE_LIMIT = 9


class _Reader:
    """Takes typed entries out of one TOML table; knows how to name the place in a complaint."""

    def __init__(self, table: Mapping[str, object], allowed: frozenset[str], where: str) -> None:
        self.table, self.where = table, where
        if unknown := sorted(set(table) - allowed):
            raise MistakeError(
                f"unknown entry {unknown[0]!r}",
                where=where,
                mend=f"known: {', '.join(sorted(allowed))}",
            )

    def text(self, key: str, default: str | None = None) -> str:
        value = self.table.get(key, default)
        if not isinstance(value, str):
            raise MistakeError(f"{key} must be a text", where=self.where)
        return value

    def whole(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        value = self.table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise MistakeError(
                f"{key} must be a whole number from {low} to {high}", where=self.where
            )
        return value

    def number(self, key: str, default: float) -> float:
        value = self.table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise MistakeError(f"{key} must be a number", where=self.where)
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise MistakeError(f"{key} must be true or false", where=self.where)
        return value


_E = TypeVar("_E", bound=StrEnum)


def _one_of(enum: type[_E], text: str, key: str, where: str) -> _E:
    try:
        return enum(text)
    except ValueError:
        known = ", ".join(enum)
        raise MistakeError(
            f"{key} = {text!r} is unknown", where=where, mend=f"use {known}"
        ) from None


def load_model(path: Path) -> Model:
    """Return the model that a file describes.

    Raises:
        MistakeError: the file cannot be read or describes an impossible device.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MistakeError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > limits.PROFILE_BYTES:
        raise MistakeError(f"{path} is longer than {limits.PROFILE_BYTES} bytes")
    try:
        return parse_model(raw.decode(), where=str(path))
    except UnicodeDecodeError:
        raise MistakeError("not a UTF-8 text", where=str(path)) from None


def parse_model(text: str, *, where: str) -> Model:
    """Return the model that a TOML text describes; `where` names it in complaints.

    Raises:
        MistakeError: with the place and the mend.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MistakeError(f"not valid TOML: {error}", where=where) from None
    reader = _Reader(table, _MODEL_KEYS, where)
    rows = table.get("point", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise MistakeError("a model needs at least one [[point]]", where=where)
    if len(rows) > limits.POINTS:
        raise MistakeError(f"more than {limits.POINTS} points", where=where)
    points = tuple(
        sorted(
            (_point(row, where) for row in rows),
            key=lambda p: (p.table is Table.HOLDING, p.address),
        )
    )
    name = reader.text("name")
    if not is_name(name):
        raise MistakeError(f"{name!r} is not a model's name", where=where, mend="use a-z, 0-9, -")
    model = Model(
        name=name,
        about=reader.text("about", ""),
        vendor=reader.text("vendor", "Outstation"),
        product=reader.text("product", name),
        revision=reader.text("revision", "1.0"),
        allow_gaps=reader.flag("allow_gaps", default=True),
        word_order=_one_of(WordOrder, reader.text("word_order", "big"), "word_order", where),
        points=points,
    )
    for text_of in (model.vendor, model.product, model.revision):
        if not text_of.isascii() or len(text_of) > _TEXT_LIMIT:
            raise MistakeError(
                f"{text_of!r} must be ASCII of up to {_TEXT_LIMIT} characters", where=where
            )
    _check_map(model, where)
    return model


def _point(row: Mapping[str, object], where: str) -> Point:
    place = f"{where}, point {row.get('name', '?')}"
    reader = _Reader(row, _POINT_KEYS, place)
    name = reader.text("name")
    if not is_name(name):
        raise MistakeError(f"{name!r} is not a point's name", where=where, mend="use a-z, 0-9, _")
    kind = _one_of(Kind, reader.text("type", "uint16"), "type", place)
    scale = reader.whole("scale", 0, low=-_SCALE_LIMIT, high=_SCALE_LIMIT)
    if kind is Kind.FLOAT32 and scale != 0:
        raise MistakeError("a float32 carries its own exponent", where=place, mend="drop scale")
    smallest, largest = (bound * 10.0**scale for bound in kind.bounds)
    default = reader.number("default", 0.0)
    spec = row.get("signal", {"kind": "constant", "value": default})
    if not isinstance(spec, dict):
        raise MistakeError('signal must be a table like {kind = "daily"}', where=place)
    point = Point(
        name=name,
        table=_one_of(Table, reader.text("table", "input"), "table", place),
        address=reader.whole("address", low=0, high=0xFFFF),
        kind=kind,
        scale=scale,
        unit=reader.text("unit", ""),
        about=reader.text("about", ""),
        signal=make_signal(spec, where=place),
        writable=reader.flag("writable", default=False),
        low=reader.number("min", smallest),
        high=reader.number("max", largest),
        default=default,
        follows=reader.text("follows", ""),
        ramp=reader.text("ramp", ""),
    )
    _check_point(point, (smallest, largest), place)
    return point


def _check_point(point: Point, bounds: tuple[float, float], place: str) -> None:
    smallest, largest = bounds
    if point.end > 0x10000:
        raise MistakeError("its registers end after address 65535", where=place)
    if not smallest <= point.low <= point.high <= largest:
        raise MistakeError(
            f"min {point.low:g} and max {point.high:g} are not a range inside {point.kind}",
            where=place,
            mend=f"it holds {smallest:g} to {largest:g}",
        )
    if not point.low <= point.default <= point.high and point.table is Table.HOLDING:
        raise MistakeError(f"default {point.default:g} is outside min and max", where=place)
    if point.table is Table.INPUT and (point.writable or point.ramp):
        raise MistakeError(
            "an input register cannot be written", where=place, mend='use table = "holding"'
        )
    measured = point.follows or not isinstance(point.signal, Constant)
    if point.table is Table.HOLDING and measured and (point.writable or point.ramp):
        raise MistakeError(
            "a holding register keeps what was written, it has no signal",
            where=place,
            mend="give it a default",
        )
    if point.is_poll_count and point.kind is not Kind.UINT32:
        raise MistakeError('a poll counter has type = "uint32"', where=place)


def _check_map(model: Model, where: str) -> None:
    names: set[str] = set()
    for point in model.points:
        if point.name in names:
            raise MistakeError(f"two points are called {point.name}", where=where)
        names.add(point.name)
    for before, after in zip(model.points, model.points[1:], strict=False):
        if before.table is after.table and after.address < before.end:
            raise MistakeError(
                f"{before.name} and {after.name} share {after.table} register {after.address}",
                where=where,
            )
    for point in model.points:
        for role, name in (("follows", point.follows), ("ramp", point.ramp)):
            other = model.point(name)
            if name and (other is None or not other.is_setting):
                raise MistakeError(
                    f"{point.name} {role} {name!r}, which is no holding point", where=where
                )
