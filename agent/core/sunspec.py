"""SunSpec models as tables: which registers of a device mean what. Pure.

Written after the public SunSpec Device Information Model Specification and its model reference:
models 101 to 103 (inverters, integers with scale factors), 111 to 113 (the same as floats), 120
(nameplate) and 160 (multiple MPPT). Leaves out asking a device (`agent.services.sunspec_import`)
and definitions that come from a file (`agent.core.sunspec_model`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from shared.model.registers import RawType, RegisterAddress

Type = Literal[
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "acc16",
    "acc32",
    "acc64",
    "enum16",
    "enum32",
    "bitfield16",
    "bitfield32",
    "bitfield64",
    "float32",
    "float64",
]
SIZES: Final[dict[Type, int]] = {kind: int(kind[-2:]) // 16 for kind in get_args(Type)}
"""How many registers a point takes."""
_SCALES: Final = range(-10, 11)


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """One point of a model."""

    name: str
    offset: int
    """From the first register behind the model's ID and length."""
    type: Type
    unit: str = ""
    scale: int | None = None
    """Offset of its scale factor, a power of ten; None: there is none."""
    power: int = 0
    """Power of ten where no register holds it."""

    @property
    def count(self) -> int:
        """Return how many registers it takes."""
        return SIZES[self.type]


@dataclass(frozen=True, slots=True)
class Found:
    """A point that a device implements."""

    name: str
    at: RegisterAddress
    unit: str
    scale: int
    """Power of ten."""
    counter: bool
    state: bool


def _inverter() -> tuple[ModelPoint, ...]:
    rows: Sequence[tuple[str, int, Type, str, int | None]] = (
        *(("current", 0, "uint16", "A", 4), ("current_a", 1, "uint16", "A", 4)),
        *(("current_b", 2, "uint16", "A", 4), ("current_c", 3, "uint16", "A", 4)),
        *(("voltage_ab", 5, "uint16", "V", 11), ("voltage_bc", 6, "uint16", "V", 11)),
        *(("voltage_ca", 7, "uint16", "V", 11), ("voltage_a", 8, "uint16", "V", 11)),
        *(("voltage_b", 9, "uint16", "V", 11), ("voltage_c", 10, "uint16", "V", 11)),
        *(("power", 12, "int16", "W", 13), ("frequency", 14, "uint16", "Hz", 15)),
        *(("apparent_power", 16, "int16", "V.A", 17), ("reactive_power", 18, "int16", "var", 19)),
        *(("power_factor", 20, "int16", "%", 21), ("energy", 22, "acc32", "W.h", 24)),
        *(("dc_current", 25, "uint16", "A", 26), ("dc_voltage", 27, "uint16", "V", 28)),
        *(("dc_power", 29, "int16", "W", 30), ("cabinet_temperature", 31, "int16", "Cel", 35)),
        *(("sink_temperature", 32, "int16", "Cel", 35), ("state", 36, "enum16", "", None)),
    )
    return tuple(ModelPoint(*row) for row in rows)


def _float_inverter() -> tuple[ModelPoint, ...]:
    names = (
        *("current", "current_a", "current_b", "current_c", "voltage_ab", "voltage_bc"),
        *("voltage_ca", "voltage_a", "voltage_b", "voltage_c", "power", "frequency"),
        *("apparent_power", "reactive_power", "power_factor", "energy", "dc_current"),
        *("dc_voltage", "dc_power", "cabinet_temperature", "sink_temperature"),
    )
    units = {point.name: point.unit for point in _inverter()}
    floats = (ModelPoint(name, 2 * at, "float32", units[name]) for at, name in enumerate(names))
    return (*floats, ModelPoint("state", 46, "enum16"))


_NAMEPLATE: Final = (
    ModelPoint("rated_power", 1, "uint16", "W", 2),
    ModelPoint("rated_apparent_power", 3, "uint16", "V.A", 4),
)
_TRACKER_HEAD, _TRACKER_SIZE = 8, 20
"""Of model 160: registers before the first tracker, and of each."""
MODELS: Final[dict[int, tuple[ModelPoint, ...]]] = {
    **dict.fromkeys((101, 102, 103), _inverter()),
    **dict.fromkeys((111, 112, 113), _float_inverter()),
    120: _NAMEPLATE,
}
TRACKERS: Final = 160
END: Final = 0xFFFF
"""The model that ends a map."""


def points_of(model: int, first: int, registers: Sequence[int]) -> Iterator[Found]:
    """Yield the points of one model that the device implements.

    Args:
        model: its number; of one that is not known here nothing is yielded.
        first: address of the first register behind ID and length.
        registers: as they are now: scale factors are constants of a device.
    """
    yield from found_of(
        _trackers(registers) if model == TRACKERS else MODELS.get(model, ()), first, registers
    )


def found_of(points: Iterable[ModelPoint], first: int, registers: Sequence[int]) -> Iterator[Found]:
    """Yield those of a model's points that the device implements; see `points_of`."""
    for point in points:
        words = registers[point.offset : point.offset + point.count]
        if len(words) < point.count or not _is_there(point, words):
            continue
        held = registers[point.scale : point.scale + 1] if point.scale is not None else ()
        power = _signed(held[0]) if held else point.power
        if power not in _SCALES or (point.scale is not None and not held):
            continue
        yield Found(
            name=point.name,
            at=RegisterAddress("holding", first + point.offset, _raw(point.type)),
            unit=point.unit,
            scale=power,
            counter=point.name.endswith("energy") or point.type.startswith("acc"),
            state=point.type.startswith(("enum", "bitfield")),
        )


def _trackers(registers: Sequence[int]) -> Iterator[ModelPoint]:
    count = registers[6] if len(registers) > _TRACKER_HEAD else 0
    for number in range(min(count, (len(registers) - _TRACKER_HEAD) // _TRACKER_SIZE)):
        at, name = _TRACKER_HEAD + number * _TRACKER_SIZE, f"mppt{number + 1}"
        yield ModelPoint(f"{name}_current", at + 9, "uint16", "A", 0)
        yield ModelPoint(f"{name}_voltage", at + 10, "uint16", "V", 1)
        yield ModelPoint(f"{name}_power", at + 11, "uint16", "W", 2)
        yield ModelPoint(f"{name}_energy", at + 12, "acc32", "W.h", 3)


def _is_there(point: ModelPoint, words: Sequence[int]) -> bool:
    """Tell whether a point is implemented ("Data Types"); a float that is not is no number."""
    first, rest = words[0], words[1:]
    match point.type:
        case "float32":
            return first & 0x7F80 != 0x7F80
        case "float64":
            return first & 0x7FF0 != 0x7FF0
        case "acc16" | "acc32" | "acc64":
            return any(words)
        case "int16" | "int32" | "int64":
            return first != 0x8000 or any(rest)
        case _:
            return any(word != 0xFFFF for word in words)


def _raw(kind: Type) -> RawType:
    """Return how profiles call a type.

    >>> _raw("acc32"), _raw("enum16"), _raw("int64")
    ('uint32', 'uint16', 'int64')
    """
    if kind.startswith(("int", "float")):
        return cast("RawType", kind)
    return cast("RawType", f"uint{kind[-2:]}")


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word
