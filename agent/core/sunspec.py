"""SunSpec models as tables: which registers of a device mean what. Pure.

Written after the public SunSpec Device Information Model Specification and its model reference:
models 101 to 103 (inverters, integers with scale factors), 111 to 113 (the same as floats), 120
(nameplate) and 160 (multiple MPPT). Leaves out asking a device (`agent.services.sunspec_import`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from shared.model.registers import RegisterAddress

Type = Literal["int16", "uint16", "acc32", "float32", "enum16"]
_NOT_THERE: Final[dict[Type, tuple[int, ...]]] = {
    "int16": (0x8000,),
    "uint16": (0xFFFF,),
    "enum16": (0xFFFF,),
}
"""Registers of a point that the device does not implement ("Data Types"); floats are no number."""
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

    @property
    def count(self) -> int:
        """Return how many registers it takes."""
        return 2 if self.type in {"acc32", "float32"} else 1


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
    for point in _trackers(registers) if model == TRACKERS else MODELS.get(model, ()):
        words = registers[point.offset : point.offset + point.count]
        if len(words) < point.count or not _is_there(point, words):
            continue
        power = 0 if point.scale is None else _signed(registers[point.scale])
        if power not in _SCALES:
            continue
        kinds: dict[Type, Literal["int16", "uint16", "uint32", "float32"]] = {
            "int16": "int16",
            "uint16": "uint16",
            "enum16": "uint16",
            "acc32": "uint32",
            "float32": "float32",
        }
        yield Found(
            name=point.name,
            at=RegisterAddress("holding", first + point.offset, kinds[point.type]),
            unit=point.unit,
            scale=power,
            counter=point.name.endswith("energy"),
            state=point.type == "enum16",
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
    if point.type == "float32":
        return words[0] & 0x7F80 != 0x7F80
    if point.type == "acc32":
        return any(words)
    return words[0] not in _NOT_THERE[point.type]


def _signed(word: int) -> int:
    return word - 0x1_0000 if word & 0x8000 else word
