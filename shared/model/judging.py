"""What is kept of a point's readings, and how urgently: the judging part of a profile.

Owns the values, their keys in TOML, and what may not stand together. A profile sets them for a kind
of device, an agent's configuration for one device. Leaves out the judging itself
(`agent.core.judge`). docs/agent-config.md describes every key.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, cast, get_args

from shared import limits
from shared.model.reading import Kind, Reduction
from shared.model.toml_text import TomlTable

Aggregate = Literal["min", "max", "mean", "last", "count", "increase"]
AGGREGATES: tuple[Aggregate, ...] = get_args(Aggregate)

URGENT, SOON, ROUTINE = 0, 1, 2
"""Priorities: at once, within a minute, when a contact takes it."""

JUDGING_KEYS = (
    *("deadband", "door", "heartbeat_s", "raw", "stale_after_s", "modulus", "priority"),
    *("aggregate", "aggregate_interval_s"),
)
_OF_STATES: frozenset[Aggregate] = frozenset({"last", "count"})
"""Aggregates of a state: its numbers have no order and no mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How the readings of one point are judged; the default keeps every one of them."""

    deadband: float | None = None
    """A reading this near to the last one kept is not kept; 0 keeps changes."""
    percent: bool = False
    """The deadband is in hundredths of the last value kept."""
    door: float | None = None
    """Only the corners of a line that stays this near to every reading are kept."""
    heartbeat_ms: int = 900_000
    """Longest time without a reading kept, while a deadband or a door holds them back."""
    aggregate: tuple[Aggregate, ...] = ()
    aggregate_interval_ms: int = 900_000
    raw: bool = True
    """Readings themselves are kept; without it only aggregates and changes of quality."""
    stale_after_ms: int = 0
    """A measurement that did not change at all for this long is stale; 0 never."""
    modulus: Decimal | None = None
    """Where a counter begins again at 0, in the point's unit."""
    priority: int = ROUTINE

    @property
    def keeps_all(self) -> bool:
        """Tell whether every reading is kept as it is."""
        return not (self.filters or self.aggregate or self.stale_after_ms)

    @property
    def filters(self) -> bool:
        """Tell whether some readings are held back."""
        return self.deadband is not None or self.door is not None or not self.raw

    @property
    def reduction(self) -> Reduction | None:
        """Return what a reader has to know about the readings that were held back."""
        if self.door is not None:
            return Reduction("line", self.door)
        if self.deadband is not None:
            return Reduction("hold", self.deadband, self.percent)
        return None


EVERYTHING = Judging()


def aggregate_name(point: str, aggregate: Aggregate) -> str:
    """Return the name of an aggregate's channel.

    >>> aggregate_name("pressure", "max")
    'pressure_max'
    """
    return f"{point}_{aggregate}"


def judging_of(table: TomlTable, kind: Kind, base: Judging = EVERYTHING) -> Judging:
    """Return `base` with what the keys of `table` say.

    Raises:
        MistakeError: a value that cannot be, or two keys that contradict each other.
    """
    judging = _filter_of(table, kind, base)
    judging = _aggregate_of(table, kind, judging)
    judging = replace(
        judging,
        stale_after_ms=_time_of(table, "stale_after_s", judging.stale_after_ms),
        modulus=_modulus_of(table, kind, judging.modulus),
        priority=table.integer("priority", URGENT, ROUTINE, judging.priority),
    )
    if judging.priority == URGENT and not judging.filters:
        raise table.mistake(
            "every reading of this point would call the coordinator at once",
            key="priority",
            mend="add deadband = 0, so that only changes do",
        )
    return judging


def _filter_of(table: TomlTable, kind: Kind, base: Judging) -> Judging:
    keys = table.values
    if "deadband" in keys and "door" in keys:
        raise table.mistake("a point has a deadband or a door, not both", key="door")
    judging = base
    if "deadband" in keys:
        size, percent = _deadband_of(table)
        judging = replace(judging, deadband=size, percent=percent, door=None)
    if "door" in keys:
        door = table.number("door")
        if kind == "state" or door <= 0:
            what = (
                "a state has no line to follow" if kind == "state" else f"door = {door} is no band"
            )
            raise table.mistake(what, key="door", mend="a deadband of 0 keeps changes")
        judging = replace(judging, door=float(door), deadband=None, percent=False)
    if "heartbeat_s" in keys and judging.deadband is None and judging.door is None:
        raise table.mistake(
            "every reading is kept anyway", key="heartbeat_s", mend="add a deadband or a door"
        )
    return replace(judging, heartbeat_ms=_time_of(table, "heartbeat_s", judging.heartbeat_ms))


def _deadband_of(table: TomlTable) -> tuple[float, bool]:
    written = table.values["deadband"]
    percent = isinstance(written, str) and written.rstrip().endswith("%")
    if percent:
        text = TomlTable(table.text, table.path, {"deadband": written.rstrip()[:-1].strip()})
        size = text.number("deadband")
    else:
        size = table.number("deadband")
    if size < 0 or (percent and size >= 100):
        raise table.mistake(
            f"deadband = {written} is no band",
            key="deadband",
            mend='write a number from 0, or "2 %"',
        )
    return float(size), percent


def _aggregate_of(table: TomlTable, kind: Kind, base: Judging) -> Judging:
    judging = base
    if "aggregate" in table.values:
        named = _names_of(table)
        for name in named:
            if name == "increase" and kind != "counter":
                raise table.mistake(f"a {kind} has no increase", key="aggregate")
            if kind == "state" and name not in _OF_STATES:
                raise table.mistake(f"a state has no {name}", key="aggregate")
        judging = replace(judging, aggregate=named, raw=_keeps_raw(judging, named))
    if "raw" in table.values:
        judging = replace(judging, raw=table.flag("raw", default=True))
    if not judging.raw and not judging.aggregate:
        raise table.mistake(
            "nothing of this point would be kept", key="raw", mend="add an aggregate"
        )
    if "aggregate_interval_s" in table.values and not judging.aggregate:
        raise table.mistake("there is no aggregate", key="aggregate_interval_s")
    interval_ms = _time_of(table, "aggregate_interval_s", judging.aggregate_interval_ms)
    if not interval_ms:
        raise table.mistake("an interval has a length", key="aggregate_interval_s")
    return replace(judging, aggregate_interval_ms=interval_ms)


def _keeps_raw(judging: Judging, named: tuple[Aggregate, ...]) -> bool:
    return not named or judging.deadband is not None or judging.door is not None


def _names_of(table: TomlTable) -> tuple[Aggregate, ...]:
    written = table.values["aggregate"]
    if not isinstance(written, list) or not all(one in AGGREGATES for one in written):
        raise table.mistake(
            "aggregate is a list of " + ", ".join(AGGREGATES),
            key="aggregate",
            mend='write aggregate = ["min", "max", "mean"]',
        )
    if len(set(written)) != len(written):
        raise table.mistake("an aggregate is named twice", key="aggregate")
    return cast("tuple[Aggregate, ...]", tuple(written))


def _modulus_of(table: TomlTable, kind: Kind, base: Decimal | None) -> Decimal | None:
    if "modulus" not in table.values:
        return base
    modulus = table.number("modulus")
    if kind != "counter" or modulus <= 0:
        what = "only a counter begins again" if kind != "counter" else "a modulus is above 0"
        raise table.mistake(what, key="modulus")
    return modulus


def _time_of(table: TomlTable, key: str, default: int) -> int:
    if key not in table.values:
        return default
    return table.integer(key, 0, limits.JUDGING_MAX_MS // 1000) * 1000
