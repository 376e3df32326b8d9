"""Where a point of an SNMP device lives: one object instance, named by its OID.

Owns the ``[snmp]`` section of profiles and the addresses of protocol ``snmp``. Types are those of
SMIv2 (RFC 2578, 7.1) and of what agents put into octet strings. Leaves out BER and messages
(`agent.drivers.snmp`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from shared import limits
from shared.model.toml_text import TomlTable

SnmpType = Literal["integer", "gauge", "counter32", "counter64", "ticks", "truth", "float", "text"]
"""``truth`` is TruthValue (RFC 2579: true is 1, false 2), ``float`` net-snmp's opaque float,
``text`` a number that stands in an octet string."""
_TYPES: Final[tuple[SnmpType, ...]] = get_args(SnmpType)
_RANGES: Final[dict[SnmpType, tuple[int, int]]] = {
    "integer": (-(1 << 31), (1 << 31) - 1),
    "gauge": (0, (1 << 32) - 1),
    "counter32": (0, (1 << 32) - 1),
    "counter64": (0, (1 << 64) - 1),
    "ticks": (0, (1 << 32) - 1),
    "truth": (0, 1),
}
_WRITABLE: Final = frozenset({"integer", "gauge", "truth"})
_ARC: Final = re.compile(r"0|[1-9][0-9]{0,9}")
KEYS: Final = ("oid", "type")
EXAMPLE: Final = '{ oid = "1.3.6.1.2.1.33.1.2.4.0", type = "integer" }'
_SECTION_KEYS: Final = ("max_oids", "vendor", "model", "firmware")

Oid = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpDialect:
    """What a profile says of a kind of SNMP agent beside its points."""

    max_oids: int
    """Objects of one request."""
    identity: Mapping[str, Oid]
    """Where it says its ``vendor``, ``model`` and ``firmware``, as far as it does."""

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        told = [f"{name}={oid_text(oid)}" for name, oid in sorted(self.identity.items())]
        return ["snmp", self.max_oids, *told]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpAddress:
    """One point's place in an SNMP device."""

    oid: Oid
    type: SnmpType

    @property
    def writable(self) -> bool:
        """Tell whether such an object can be set; the device has the last word."""
        return self.type in _WRITABLE

    @property
    def is_bit(self) -> bool:
        """Tell whether it is 0 or 1 by its place."""
        return self.type == "truth"

    @property
    def is_float(self) -> bool:
        """Tell whether the raw count is a floating point number."""
        return self.type in {"float", "text"}

    @property
    def range(self) -> tuple[int, int]:
        """Return the lowest and the highest count of an integer type."""
        assert not self.is_float, "a float's range is no pair of integers"
        return _RANGES[self.type]

    @property
    def place(self) -> tuple[str, ...]:
        """Return what no two points have in common."""
        return (oid_text(self.oid),)

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [oid_text(self.oid), self.type]


def oid_text(oid: Oid) -> str:
    """Return an OID as people write it.

    >>> oid_text((1, 3, 6, 1))
    '1.3.6.1'
    """
    return ".".join(map(str, oid))


def oid_of(text: str) -> Oid | None:
    """Return the OID that a text says (RFC 2578, 3.5: up to 128 arcs of 32 bits); None: it is none.

    >>> oid_of("1.3.6.1.2.1.1.1.0"), oid_of("1.40"), oid_of(".1.3")
    ((1, 3, 6, 1, 2, 1, 1, 1, 0), None, None)
    """
    parts = text.split(".")
    if not 2 <= len(parts) <= limits.SNMP_ARCS or not all(map(_ARC.fullmatch, parts)):
        return None
    oid = tuple(map(int, parts))
    first_fits = (oid[0] < 2 and oid[1] < 40) or oid[0] == 2
    return oid if first_fits and max(oid) < 1 << 32 else None


def sections_of(root: TomlTable) -> dict[str, SnmpDialect]:
    """Return what the profile says of its agents, under ``snmp``.

    Raises:
        MistakeError: points at the line.
    """
    table = root.table("snmp", _SECTION_KEYS)
    named = ("vendor", "model", "firmware")
    identity = {key: _oid(table, key) for key in named if key in table.values}
    usual = limits.SNMP_OIDS
    most = table.integer("max_oids", 1, limits.SNMP_OIDS_MOST, usual)
    return {"snmp": SnmpDialect(max_oids=most, identity=identity)}


def address_of(table: TomlTable, _: Mapping[str, Any]) -> SnmpAddress:
    """Return the place that an ``at`` names.

    Raises:
        MistakeError: points at the line.
    """
    kind = cast("SnmpType", table.choice("type", _TYPES, "integer"))
    return SnmpAddress(oid=_oid(table, "oid"), type=kind)


def _oid(table: TomlTable, key: str) -> Oid:
    text = table.string(key)
    oid = oid_of(text)
    if oid is None:
        what = f"{text[:60]!r} is no OID"
        mend = "write numbers with dots between, and the instance: 1.3.6.1.2.1.33.1.2.4.0"
        raise table.mistake(what, key=key, mend=mend)
    return oid
