"""Where points live, protocol by protocol: the ``at`` of a profile's points.

Owns which protocols a profile may speak, the sections and the keys of addresses they have, and
what of two addresses cannot be. Leaves out the addresses' own bytes (`shared.model.registers`,
`shared.model.smp_address`, `shared.model.text_form`) and everything a point means
(`shared.model.point`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

from shared import limits
from shared.model import http_address, line_address, mqtt_address, snmp_address
from shared.model.http_address import HttpAddress
from shared.model.line_address import LineAddress, LineDialect
from shared.model.mqtt_address import MqttAddress, MqttDialect
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
from shared.model.smp_address import FILE_FIELDS, SMP_TYPES, SmpAddress, SmpType
from shared.model.snmp_address import SnmpAddress
from shared.model.toml_text import TomlTable

Address = RegisterAddress | SmpAddress | HttpAddress | LineAddress | SnmpAddress | MqttAddress
"""A point's place; which of them follows from its profile's protocol."""

_REGISTER_KEYS = ("table", "address", "type", "word_order")
_SMP_KEYS = ("stat", "field", "setting", "file", "type")


class Section(Protocol):
    """What a profile says of its protocol beside its points."""

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""


Sections = Mapping[str, Any]
"""`Section`s by name; what else they are, only their own family and its driver know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What one protocol adds to the format of profiles."""

    keys: tuple[str, ...]
    """Of an ``at``."""
    read: Callable[[TomlTable, Sections], Address]
    example: str
    sections: tuple[str, ...] = ()
    prepare: Callable[[TomlTable], Sections] | None = None


def sections_of(root: TomlTable, protocol: str) -> Sections:
    """Return what a profile says of its protocol beside its points.

    Raises:
        MistakeError: points at the line; also where another protocol has such a section.
    """
    family = _FAMILIES[protocol]
    for key in SECTIONS:
        if key in root.values and key not in family.sections:
            speakers = [name for name, one in _FAMILIES.items() if key in one.sections]
            what = f"{protocol} has no section {key!r}"
            raise root.mistake(what, key=key, mend=f"protocol = {' or '.join(speakers)} has it")
    return family.prepare(root) if family.prepare else {}


def addresses_of(protocol: str, sections: Sections) -> tuple[int, int] | None:
    """Return the addresses that devices of a protocol can have on one port; None: just one, 0.

    Modbus units depend on the port; theirs are the agent's business.
    """
    dialect = sections.get(protocol)
    return dialect.addresses if isinstance(dialect, LineDialect | MqttDialect) else None


def address_of(point: TomlTable, protocol: str, sections: Sections) -> Address:
    """Return where a point lives, from its table of a profile.

    Raises:
        MistakeError: points at the line.
    """
    family = _FAMILIES[protocol]
    if "at" not in point.values:
        raise point.mistake("at is missing", mend=f"write at = {family.example}")
    return family.read(point.table("at", family.keys), sections)


def unwritable(at: Address) -> tuple[str, str]:
    """Return why nothing can be written there, and the mend."""
    if isinstance(at, RegisterAddress):
        writable = " and ".join(sorted(WRITABLE_TABLES))
        return f"the {at.table} table cannot be written", f"only {writable} can"
    if isinstance(at, HttpAddress | LineAddress):
        return (
            "no request writes it",
            'write write = "NAME" of a request with {value}',
        )
    if isinstance(at, SnmpAddress):
        return f"a {at.type} cannot be written", "only an integer, a gauge or a truth can"
    if isinstance(at, MqttAddress):
        return "no command writes it", 'write write = "NAME" of a [command.NAME]'
    return "a statistic or a file cannot be written", "only a setting can"


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
    fields: dict[tuple[str, ...], int] = {}
    for index, at in enumerate(places):
        if not isinstance(at, RegisterAddress):
            place = (at.place, at.name, at.field) if isinstance(at, SmpAddress) else at.place
            first = fields.setdefault(place, index)
            if first != index:
                raise tables[index].mistake(
                    f"{names[index]!r} is where {names[first]!r} is already", key="at"
                )


def _register(table: TomlTable, _: Sections) -> RegisterAddress:
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


def _smp(table: TomlTable, _: Sections) -> SmpAddress:
    if sum(place in table.values for place in ("stat", "setting", "file")) != 1:
        raise table.mistake(
            "it is either a field of a statistics group, a setting or what is known of a file",
            mend='write { stat = "GROUP", field = "F" }, { setting = "NAME", type = "int32" }'
            ' or { file = "PATH", field = "size" }',
        )
    if "file" in table.values:
        if "type" in table.values:
            raise table.mistake("what is known of a file has its own type", key="type")
        field = table.choice("field", FILE_FIELDS)
        return SmpAddress("file", _text(table, "file"), field, "uint32")
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
    if isinstance(at, RegisterAddress):
        return at.table
    return at.place if isinstance(at, SmpAddress) else at.type


def _text(table: TomlTable, key: str) -> str:
    text = table.string(key)
    if not text or len(text) > limits.SMP_NAME_CHARS or not text.isprintable():
        raise table.mistake(f"{key} has 1 to {limits.SMP_NAME_CHARS} printable characters", key=key)
    return text


_FAMILIES: dict[str, _Family] = {
    "modbus": _Family(
        keys=_REGISTER_KEYS, read=_register, example='{ table = "input", address = 0, ... }'
    ),
    "smp": _Family(keys=_SMP_KEYS, read=_smp, example='{ stat = "sensors", field = "moisture" }'),
    "http_json": _Family(
        keys=http_address.KEYS,
        read=http_address.address_of,
        example=http_address.EXAMPLE,
        sections=("request",),
        prepare=http_address.requests_of,
    ),
    "line": _Family(
        keys=line_address.KEYS,
        read=line_address.address_of,
        example=line_address.EXAMPLE,
        sections=("line", "request"),
        prepare=line_address.sections_of,
    ),
    "snmp": _Family(
        keys=snmp_address.KEYS,
        read=snmp_address.address_of,
        example=snmp_address.EXAMPLE,
        sections=("snmp",),
        prepare=snmp_address.sections_of,
    ),
    "mqtt": _Family(
        keys=mqtt_address.KEYS,
        read=mqtt_address.address_of,
        example=mqtt_address.EXAMPLE,
        sections=("mqtt", "command"),
        prepare=mqtt_address.sections_of,
    ),
}
PROTOCOLS = tuple(_FAMILIES)
"""What a profile may speak."""
SECTIONS = tuple(dict.fromkeys(key for one in _FAMILIES.values() for key in one.sections))
"""Sections that not every protocol has."""
