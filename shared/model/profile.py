"""Device profile: what a kind of device can be asked, in the units people use.

A TOML text becomes a frozen, bounded value with a content hash. Leaves out
one point (`shared.model.point`), where points live (`shared.model.addressing`), how firmware gets
into the device (`shared.model.firmware`) and one device's own settings.
docs/profiles.md describes the format for people who write one.
"""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NewType

from shared import limits
from shared.ids import is_name
from shared.model.addressing import PROTOCOLS, SECTIONS, Sections, refuse_overlaps, sections_of
from shared.model.calls import Call, calls_of
from shared.model.firmware import Assertion, FirmwareSection, assertions_of, firmware_of
from shared.model.identity import ANYTHING, IDENTITY_KEYS, Expected, expected_of
from shared.model.judging import Judging, aggregate_name
from shared.model.matching import MATCH_KEYS, NO_RULE, Match, match_of
from shared.model.point import POINT_KEYS, Point, name_of, point_of
from shared.model.registers import RegisterAddress
from shared.model.toml_text import TomlTable, TomlText

__all__ = [
    "Point",
    "Profile",
    "ProfileHash",
    "RequestLimits",
    "parse_profile",
    "profile_of",
    "refuse_aggregate_twins",
]

ProfileHash = NewType("ProfileHash", bytes)
"""sha256 of a profile's canonical form: equal for texts that mean the same."""

FORMAT = 1
"""The only format there is; a text says which one it is written in."""

_ROOT_KEYS = (
    "profile",
    "name",
    "kind",
    "protocol",
    "limits",
    "identity",
    "match",
    "point",
    "call",
    "firmware",
    "health",
    *SECTIONS,
)
_LIMIT_KEYS = ("max_registers", "max_gap", "silence_ms", "turnaround_ms")


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
    identity: Expected = ANYTHING
    """What such a device says of itself."""
    match: Match = NO_RULE
    """By what such a device is known when it is found."""
    firmware: FirmwareSection | None = None
    """How firmware gets into it; None: it stays as it is."""
    health: tuple[Assertion, ...] = ()
    """What it reads when it is well."""
    sections: Sections = field(default_factory=dict)
    """What it says of its protocol beside the points: requests by name, how lines are made."""
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
    return profile_of(TomlText(text, source=source, bound=limits.PROFILE_BYTES))


def profile_of(document: TomlText) -> Profile:
    """Return the profile that a document describes.

    Raises:
        MistakeError: as `parse_profile`.
    """
    root = document.root(_ROOT_KEYS)
    root.integer("profile", FORMAT, FORMAT)
    name, kind = name_of(root, "name"), name_of(root, "kind")
    protocol = root.choice("protocol", PROTOCOLS)
    request_limits = _request_limits(root.table("limits", _LIMIT_KEYS))
    sections = sections_of(root, protocol)
    tables = root.tables("point", POINT_KEYS)
    if not tables:
        raise root.mistake("the profile has no points", mend="add a [[point]]")
    if len(tables) > limits.POINTS:
        raise root.mistake(f"{len(tables)} points, at most {limits.POINTS} are possible")
    points = tuple(point_of(table, protocol, sections) for table in tables)
    _refuse_twins(tables, points)
    for table, point in zip(tables, points, strict=True):
        refuse_aggregate_twins(table, point.name, point.judging, {one.name for one in points})
    refuse_overlaps(tables, [one.name for one in points], [one.at for one in points])
    _refuse_unreadable(tables, points, request_limits)
    calls = calls_of(root, points)
    identity = expected_of(root.table("identity", IDENTITY_KEYS))
    match = match_of(root.table("match", MATCH_KEYS))
    firmware, health = firmware_of(root, protocol), assertions_of(root, points)
    return Profile(
        name=name,
        kind=kind,
        protocol=protocol,
        points=points,
        limits=request_limits,
        calls=calls,
        identity=identity,
        match=match,
        firmware=firmware,
        health=health,
        sections=sections,
        content_hash=_content_hash(
            *(name, kind, protocol, request_limits, points),
            calls=calls,
            identity=identity,
            care=[
                *match.canonical,
                *(firmware.canonical if firmware else ()),
                *([one.point, one.low, one.high] for one in health),
                *(section.canonical for section in sections.values()),
            ],
        ),
    )


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


def _refuse_unreadable(
    tables: list[TomlTable], points: tuple[Point, ...], request_limits: RequestLimits
) -> None:
    for table, point in zip(tables, points, strict=True):
        at = point.at
        if isinstance(at, RegisterAddress) and at.count > request_limits.max_registers:
            raise table.mistake(
                f"{at.type} takes {at.count} registers, max_registers allows "
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
    identity: Expected,
    care: list[object],
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
            point.at.canonical,
            [_text(point.scale), _text(point.offset), point.minimum, point.maximum],
            [str(getattr(point.judging, name)) for name in Judging.__dataclass_fields__],
        ]
        for point in points
    ]
    asked = [getattr(request_limits, key) for key in _LIMIT_KEYS]
    canonical = json.dumps(
        [
            *(FORMAT, name, kind, protocol, asked, rows, [call.canonical for call in calls]),
            *identity.canonical,
            *care,
        ],
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return ProfileHash(hashlib.sha256(canonical.encode()).digest())


def _text(number: Decimal) -> str:
    """Return one text per value: 1, 1.0 and 1E+0 are the same scale."""
    top, bottom = number.as_integer_ratio()
    return f"{top}/{bottom}"
