"""How a profile lets a device be changed: how a point is written, and what calls there are.

Owns the keys of a writable point and the ``[[call]]`` tables. Points themselves, and what their
values mean, stand in `shared.model.profile`; doing it in `agent.actions`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, cast, get_args

from shared import limits
from shared.ids import is_name
from shared.model.toml_text import TomlTable

Verify = Literal["read_back", "echo", "none"]
"""How a write is proven: the point is read again; the device's answer is taken for it; not at
all, for pulses and registers that cannot be read."""
_MODES: tuple[Verify, ...] = get_args(Verify)
WRITE_KEYS = ("writable", "verify", "min_write_interval_s", "config")
_CALL_KEYS = ("name", "point", "value", "pulse_ms", "rest", "idempotent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """How one point is written, where it can be."""

    verify: Verify = "read_back"
    min_interval_s: int = 0
    """Seconds that must pass between two writes: memory in the device wears out."""
    config: bool = False
    """It is part of the device's configuration."""

    @property
    def canonical(self) -> list[str | int | bool]:
        """Return what of it goes into a profile's hash."""
        return [self.verify, self.min_interval_s, self.config]


USUAL = Writing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One thing a device can be told to do: a value into a point, for a while or for good."""

    name: str
    point: str
    value: int | float | None = None
    """What is written; None: the job says it, within the point's limits."""
    pulse_ms: int = 0
    """After which `rest` is written; 0: the value stays."""
    rest: int | float = 0
    idempotent: bool = False
    """Doing it twice is the same as doing it once."""

    @property
    def canonical(self) -> list[str | int | float | bool | None]:
        """Return what of it goes into a profile's hash."""
        return [self.name, self.point, self.value, self.pulse_ms, self.rest, self.idempotent]


class _Point(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def writable(self) -> bool: ...
    def within_limits(self, value: float) -> bool: ...


def writing_of(table: TomlTable, *, writable: bool) -> Writing:
    """Return how a point is written, from its table of a profile.

    Raises:
        MistakeError: points at the line.
    """
    for key, what in (
        ("verify", "is verified"),
        ("min_write_interval_s", "wears out"),
        ("config", "is configuration"),
    ):
        if key in table.values and not writable:
            raise table.mistake(f"only a writable point {what}", key=key)
    verify = cast("Verify", table.choice("verify", _MODES, "read_back"))
    config = table.flag("config", default=False)
    if config and verify == "none":
        raise table.mistake("what cannot be read back is no configuration", key="config")
    if verify == "none" and table.values.get("poll") is not False:
        raise table.mistake(
            "a point whose writes cannot be proven is not polled",
            key="verify",
            mend="write poll = false, or another verify",
        )
    most = limits.WRITE_INTERVAL_S
    return Writing(
        verify=verify,
        min_interval_s=table.integer("min_write_interval_s", 0, most, 0),
        config=config,
    )


def calls_of(root: TomlTable, points: Sequence[_Point]) -> tuple[Call, ...]:
    """Return the calls of a profile.

    Raises:
        MistakeError: points at the line.
    """
    tables = root.tables("call", _CALL_KEYS)
    if len(tables) > limits.CALLS:
        raise root.mistake(f"{len(tables)} calls, at most {limits.CALLS} are possible")
    by_name = {point.name: point for point in points}
    calls: list[Call] = []
    for table in tables:
        call = _call(table, by_name)
        if any(other.name == call.name for other in calls):
            raise table.mistake(f"{call.name!r} is the name of a call already", key="name")
        calls.append(call)
    return tuple(calls)


def _call(table: TomlTable, points: dict[str, _Point]) -> Call:
    name = table.string("name")
    if not is_name(name):
        raise table.mistake(
            f"{name[:60]!r} is no name",
            key="name",
            mend="use 1 to 40 lower case letters, digits, - and _",
        )
    point = points.get(table.string("point"))
    if point is None or not point.writable:
        raise table.mistake(
            f"{table.string('point')[:60]!r} is no writable point of this profile", key="point"
        )
    pulse_ms = table.integer("pulse_ms", 0, limits.PULSE_MS, 0)
    if "rest" in table.values and not pulse_ms:
        raise table.mistake("only a pulse comes to rest", key="rest", mend="write pulse_ms = 500")
    value = _value(table, "value", point) if "value" in table.values else None
    rest = _value(table, "rest", point) if pulse_ms else 0
    return Call(
        name=name,
        point=point.name,
        value=value,
        pulse_ms=pulse_ms,
        rest=rest,
        idempotent=table.flag("idempotent", default=False),
    )


def _value(table: TomlTable, key: str, point: _Point) -> int | float:
    number = table.number(key, Decimal(0))
    value = int(number) if number == number.to_integral_value() else float(number)
    if not point.within_limits(value):
        raise table.mistake(f"{key} = {value} is beyond the limits of {point.name!r}", key=key)
    return value
