"""Where points live, protocol by protocol: the ``at`` of a profile's points.

Owns which protocols a profile may speak, the keys of their addresses, and what of two addresses
cannot be. Leaves out the addresses' own bytes (`shared.model.registers`,
`shared.model.smp_address`) and everything a point means (`shared.model.point`).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

from shared import limits
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
from shared.model.smp_address import SMP_TYPES, SmpAddress, SmpType
from shared.model.toml_text import TomlTable

Address = RegisterAddress | SmpAddress
"""A point's place; which of them follows from its profile's protocol."""

_REGISTER_KEYS = ("table", "address", "type", "word_order")
_SMP_KEYS = ("stat", "field", "setting", "type")


def address_of(point: TomlTable, protocol: str) -> Address:
    """Return where a point lives, from its table of a profile.

    Raises:
        MistakeError: points at the line.
    """
    keys, read, example = _FAMILIES[protocol]
    if "at" not in point.values:
        raise point.mistake("at is missing", mend=f"write at = {example}")
    return read(point.table("at", keys))


def unwritable(at: Address) -> tuple[str, str]:
    """Return why nothing can be written there, and the mend."""
    if isinstance(at, RegisterAddress):
        writable = " and ".join(sorted(WRITABLE_TABLES))
        return f"the {at.table} table cannot be written", f"only {writable} can"
    return "a statistic cannot be written", "only a setting can"


def refuse_overlaps(
    tables: Sequence[TomlTable], names: Sequence[str], places: Sequence[Address]
) -> None:
    """Refuse points that share registers, or are the same field.

    Raises:
        MistakeError: points at the later one.
    """
    registers = {index: at for index, at in enumerate(places) if isinstance(at, RegisterAddress)}
    order = sorted(registers, key=lambda index: (registers[index].table, registers[index].address))
    for before, after in pairwise(order):
        one, two = registers[before], registers[after]
        if one.table == two.table and two.address < one.end:
            later, earlier = max(before, after), min(before, after)
            raise tables[later].mistake(
                f"{names[later]!r} overlaps the registers of {names[earlier]!r} at "
                f"{two.table} {two.address}",
                key="at",
            )
    fields: dict[tuple[str, str, str], int] = {}
    for index, at in enumerate(places):
        if isinstance(at, SmpAddress):
            first = fields.setdefault((at.place, at.name, at.field), index)
            if first != index:
                raise tables[index].mistake(
                    f"{names[index]!r} is where {names[first]!r} is already", key="at"
                )


def _register(table: TomlTable) -> RegisterAddress:
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


def _smp(table: TomlTable) -> SmpAddress:
    if ("stat" in table.values) == ("setting" in table.values):
        raise table.mistake(
            "it is either a field of a statistics group or a setting",
            mend='write { stat = "GROUP", field = "F" } or { setting = "NAME", type = "int32" }',
        )
    if "setting" in table.values:
        if "field" in table.values:
            raise table.mistake("a setting has no fields", key="field")
        kind = cast("SmpType", table.choice("type", SMP_TYPES))
        return SmpAddress("setting", _text(table, "setting"), "", kind)
    integers = tuple(kind for kind in SMP_TYPES if kind != "float32")
    kind = cast("SmpType", table.choice("type", integers, "int64"))
    return SmpAddress("stat", _text(table, "stat"), _text(table, "field"), kind)


def bit_name(at: Address) -> str:
    """Return what people call a place that is 0 or 1."""
    return at.table if isinstance(at, RegisterAddress) else at.place


def _text(table: TomlTable, key: str) -> str:
    text = table.string(key)
    if not text or len(text) > limits.SMP_NAME_CHARS or not text.isprintable():
        raise table.mistake(f"{key} has 1 to {limits.SMP_NAME_CHARS} printable characters", key=key)
    return text


_FAMILIES: dict[str, tuple[tuple[str, ...], Callable[[TomlTable], Address], str]] = {
    "modbus": (_REGISTER_KEYS, _register, '{ table = "input", address = 0, ... }'),
    "smp": (_SMP_KEYS, _smp, '{ stat = "sensors", field = "moisture" }'),
}
PROTOCOLS = tuple(_FAMILIES)
"""What a profile may speak."""
