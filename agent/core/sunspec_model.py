"""A SunSpec model as the SunSpec Alliance publishes it: JSON in, points of registers out. Pure.

Owns what of such a file is read (Device Information Model Specification, "Model definition
encoding"): points, their order, scale factors, groups that repeat. Strings, addresses and pads have
their place and are no points. Leaves out what registers are worth (`agent.core.sunspec`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from agent.core.sunspec import SIZES, ModelPoint, Type
from shared import limits
from shared.errors import MistakeError

_HEAD: Final = 2
"""Registers of a model's ID and length, which stand before what a device's map says is in it."""
_WORDS: Final = {"string": 0, "sunssf": 1, "pad": 1, "ipaddr": 2, "ipv6addr": 8, "eui48": 4}
"""Types that are no points here, and how many registers one takes; a string says so itself."""
_TYPES: Final[Mapping[str, Type]] = {"count": "uint16", "raw16": "uint16"}
"""Types that are another one by a second name."""
_SAME: Final = ("A", "V", "W", "Hz", "var", "%", "deg", "mm", "m/s", "W/m2", "W/s", "Hz/s")
_RENAMED: Final = (
    "VA=V.A Var=var Wh=W.h WH=W.h kWh=kW.h VAh=V.A.h varh=var.h Varh=var.h Ah=A.h AH=A.h "
    "kAH=kA.h C=Cel Pct=% Secs=s Sec=s mSecs=ms Tms=s Degrees=deg W/m^2=W/m2 ohms=Ohm "
    "kO=kOhm mps=m/s HPa=hPa"
)
_UCUM: Final = {**{one: one for one in _SAME}, **dict(x.split("=") for x in _RENAMED.split())}
"""What SunSpec calls units, and UCUM; what it says in words of its own is left out."""


class _Point(msgspec.Struct, frozen=True):
    name: str
    type: str
    size: int = 0
    sf: str | int = ""
    units: str = ""


class _Group(msgspec.Struct, frozen=True):
    name: str
    points: list[_Point] = []
    groups: list["_Group"] = []
    count: str | int = 1
    """How often it stands there: a number, the name of a point, or 0: up to the model's end."""


class SunSpecModel(msgspec.Struct, frozen=True):
    """One model's definition."""

    id: int
    group: _Group

    def points(self, registers: Sequence[int]) -> Iterator[ModelPoint]:
        """Yield the points of a model as one device has it, group by group.

        Args:
            registers: those behind ID and length; counts of groups stand among them.
        """
        walk = _Walk(registers)
        yield from walk.group(self.group, "", {})


def sunspec_model(text: bytes, *, source: str) -> SunSpecModel:
    """Return the model that a file defines.

    Raises:
        MistakeError: it is no such file.
    """
    try:
        model = msgspec.json.decode(text, type=SunSpecModel)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MistakeError(
            f"this is no definition of a SunSpec model ({str(error)[:100]})",
            where=source,
            mend="take model_NNN.json as the SunSpec Alliance publishes it",
        ) from None
    if [point.name for point in model.group.points[:_HEAD]] != ["ID", "L"]:
        raise MistakeError("a SunSpec model begins with its points ID and L", where=source)
    _check(model.group, source, 1)
    return model


def _check(group: _Group, source: str, depth: int) -> None:
    if depth > limits.SUNSPEC_DEPTH:
        raise MistakeError(f"groups lie more than {limits.SUNSPEC_DEPTH} deep", where=source)
    for point in group.points:
        unknown = _type(point) is None and point.type not in _WORDS
        if unknown or not 0 <= point.size <= limits.SUNSPEC_REGISTERS or not _size(point):
            what = f"point {point.name[:40]!r} has no type and size of SunSpec: {point.type[:20]!r}"
            raise MistakeError(what, where=source)
    for inner in group.groups:
        _check(inner, source, depth + 1)


class _Walk:
    """One model, register by register."""

    def __init__(self, registers: Sequence[int]) -> None:
        self._registers, self._at = registers, -_HEAD

    def group(self, group: _Group, prefix: str, around: Mapping[str, int]) -> Iterator[ModelPoint]:
        """Yield the points of one group where it stands, and go on behind it."""
        places: dict[str, int] = dict(around)
        own: list[tuple[_Point, int]] = []
        for point in group.points:
            places[point.name] = self._at
            own.append((point, self._at))
            self._at += _size(point)
        for point, at in own:
            kind = _type(point)
            if kind is None or at < 0:
                continue
            scale = places.get(point.sf) if isinstance(point.sf, str) else None
            if isinstance(point.sf, str) and point.sf and not self._holds(scale):
                continue
            yield ModelPoint(
                name=_name(prefix + point.name),
                offset=at,
                type=kind,
                unit=_UCUM.get(point.units.strip(), ""),
                scale=scale,
                power=point.sf if isinstance(point.sf, int) else 0,
            )
        for inner in group.groups:
            yield from self._repeated(inner, prefix, places)

    def _repeated(
        self, group: _Group, prefix: str, around: Mapping[str, int]
    ) -> Iterator[ModelPoint]:
        count, many = group.count, group.count != 1
        if isinstance(count, str):
            place = around.get(count)
            count = self._registers[place] if place is not None and self._holds(place) else 0
        elif count == 0:
            count = limits.SUNSPEC_REGISTERS
        for number in range(count):
            begin = self._at
            if begin >= len(self._registers):
                return
            yield from self.group(
                group, f"{prefix}{group.name}{number + 1 if many else ''}_", around
            )
            if self._at == begin:
                return

    def _holds(self, place: int | None) -> bool:
        return place is not None and 0 <= place < len(self._registers)


def _type(point: _Point) -> Type | None:
    kind = _TYPES.get(point.type, point.type)
    return next((known for known in SIZES if known == kind), None)


def _size(point: _Point) -> int:
    kind = _type(point)
    return SIZES[kind] if kind is not None else point.size or _WORDS.get(point.type, 0)


def _name(text: str) -> str:
    """Return a name as profiles have them, but for its length.

    >>> _name("module1_DCA")
    'module1_dca'
    """
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
