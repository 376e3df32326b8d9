"""Believable measurements as pure functions of simulated time and a seed.

Owns the shapes (day, pump cycle, load, battery, soil) and their parameters. Leaves out registers,
scaling, and what a master wrote, except for the one setting that a signal may follow.

Counters are integrals in closed form, not sums over polls: the same instant always shows the same
count, however often or seldom somebody looked.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Protocol

from firmware_sim.noise import uniform, wander
from shared.errors import MistakeError

DAY_S = 86_400.0
INSTALLED_S = 1_704_067_200.0
"""2024-01-01T00:00:00Z: when all simulated meters were mounted with a count of zero."""
CYCLE_S = 120.0
"""From one start of a pump to the next: short enough to be seen while somebody watches."""
RUN_S = 75.0
"""How long it runs of that, on average."""

_CYCLE, _LOAD, _RAIN = 0x63796331, 0x6C6F6164, 0x7261696E  # streams shared by a device's points


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a signal may depend on."""

    t_s: float
    """Simulated UTC in seconds."""
    seed: int
    """The device's: points of one device share its pump cycle, its load and its rain."""
    salt: int = 0
    """The point's: each point has noise of its own."""
    setting: float = 0.0
    """Present value of the holding point this one follows; 0 when it follows none."""

    def noise(self, step_s: float = 1.0) -> float:
        """Return this point's noise in [-1, 1], new every `step_s` seconds."""
        return wander(self.t_s, step_s, self.seed, self.salt)


class Signal(Protocol):
    """One measurement's course; every implementation is a frozen value."""

    def at(self, moment: Moment) -> float:
        """Return the measurement in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Always the same: a state word, or a point that `--set` holds fast."""

    value: float = 0.0

    def at(self, moment: Moment) -> float:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Held near a level by a regulator: mains voltage, frequency."""

    mean: float
    drift: float = 0.0
    """Slow wandering to either side, over minutes."""
    noise: float = 0.0

    def at(self, moment: Moment) -> float:
        """Return the level with its drift and noise."""
        return self.mean + self.drift * moment.noise(300.0) + self.noise * moment.noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """A temperature: warm in the afternoon, cold before dawn, with weather and noise."""

    mean: float
    swing: float
    """Half of the difference between the day's warmest and coldest hour."""
    noise: float = 0.0
    peak_hour: float = 15.0
    """Hour of the day (UTC) of the maximum."""

    def at(self, moment: Moment) -> float:
        """Return the temperature."""
        angle = (moment.t_s / DAY_S - self.peak_hour / 24.0) * math.tau
        weather = 0.25 * self.swing * moment.noise(DAY_S / 4)
        return self.mean + self.swing * math.cos(angle) + weather + self.noise * moment.noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One pump cycle: when the pump last started and stopped, and for how long it ran in all."""

    since_start_s: float | None
    """Seconds since it started, None while it stands still."""
    since_stop_s: float
    ran_before_s: float
    total_s: float
    """Seconds run since INSTALLED_S."""


def _run(moment: Moment, cycle_s: float, run_s: float) -> _Run:
    """Place an instant in the device's start and stop cycles.

    Runs of odd and even cycles are lengthened and shortened by the same amount, so the total is
    known without adding up the years.
    """
    index = math.floor((moment.t_s - INSTALLED_S) / cycle_s)
    inside_s = moment.t_s - INSTALLED_S - index * cycle_s

    def window(k: int) -> tuple[float, float]:
        stretch = 0.1 * run_s * (2.0 * uniform(_CYCLE, moment.seed, k // 2) - 1.0)
        length = run_s + (stretch if k % 2 == 0 else -stretch)
        start = (cycle_s - 1.1 * run_s) * uniform(_CYCLE, moment.seed, k, 1)
        return start, length

    start, length = window(index)
    total = index * run_s + (window(index - 1)[1] - run_s if index % 2 else 0.0)
    total += min(max(inside_s - start, 0.0), length)
    if start <= inside_s < start + length:
        return _Run(
            since_start_s=inside_s - start, since_stop_s=0.0, ran_before_s=0.0, total_s=total
        )
    if inside_s >= start + length:
        stopped, ran = inside_s - start - length, length
    else:
        last_start, ran = window(index - 1)
        stopped = inside_s + cycle_s - last_start - ran
    return _Run(since_start_s=None, since_stop_s=stopped, ran_before_s=ran, total_s=total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """1 while the pump runs, otherwise 0."""

    cycle_s: float = CYCLE_S
    run_s: float = RUN_S

    def at(self, moment: Moment) -> float:
        """Return 1 or 0."""
        return 0.0 if _run(moment, self.cycle_s, self.run_s).since_start_s is None else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Follows the pump with a lag: pressure, flow, motor current."""

    on: float
    """Level while it runs, before the share of the setting."""
    off: float = 0.0
    per_setting: float = 0.0
    """Added to `on` for each unit of the followed holding point."""
    lag_s: float = 1.5
    noise: float = 0.0
    """Noise at full level; at rest a tenth of it remains, the sensor's own."""
    cycle_s: float = CYCLE_S
    run_s: float = RUN_S

    def at(self, moment: Moment) -> float:
        """Return the level."""
        run = _run(moment, self.cycle_s, self.run_s)
        if run.since_start_s is not None:
            share = 1.0 - math.exp(-run.since_start_s / self.lag_s)
        else:
            reached = 1.0 - math.exp(-run.ran_before_s / self.lag_s)
            share = reached * math.exp(-run.since_stop_s / self.lag_s)
        level = self.on + self.per_setting * moment.setting
        noise = self.noise * (0.1 + 0.9 * share) * moment.noise()
        return self.off + (level - self.off) * share + noise


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEnergy:
    """Energy counter of a pump in Wh; never falls."""

    run_w: float
    idle_w: float = 0.0
    cycle_s: float = CYCLE_S
    run_s: float = RUN_S

    def at(self, moment: Moment) -> float:
        """Return watt-hours since installation."""
        ran_s = _run(moment, self.cycle_s, self.run_s).total_s
        return max(0.0, (self.run_w * ran_s + self.idle_w * (moment.t_s - INSTALLED_S)) / 3600.0)


def _load_phases(seed: int) -> tuple[float, float]:
    return math.tau * (18.0 + uniform(_LOAD, seed, 1)) / 24.0, math.tau * uniform(_LOAD, seed, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Power or current of consumers: two humps a day, the higher one in the evening."""

    FIRST: ClassVar[float] = 0.4
    SECOND: ClassVar[float] = 0.25
    mean: float
    noise: float = 0.0

    def at(self, moment: Moment) -> float:
        """Return the load."""
        first, second = _load_phases(moment.seed)
        angle = math.tau * moment.t_s / DAY_S
        humps = self.FIRST * math.cos(angle - first) + self.SECOND * math.cos(2 * angle - second)
        return self.mean * (1.0 + humps) + self.noise * moment.noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEnergy:
    """Energy counter of a `Load` in Wh: its integral; never falls as the humps add up to < 1."""

    mean: float
    """Mean power in W."""

    def at(self, moment: Moment) -> float:
        """Return watt-hours since installation."""
        first, second = _load_phases(moment.seed)

        def integral(t_s: float) -> float:
            angle = math.tau * t_s / DAY_S
            humps = Load.FIRST * math.sin(angle - first)
            humps += Load.SECOND / 2 * math.sin(2 * angle - second)
            return t_s + DAY_S / math.tau * humps

        return max(0.0, self.mean * (integral(moment.t_s) - integral(INSTALLED_S)) / 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """Voltage of a solar-charged battery: floats in the afternoon, sags until dawn."""

    empty: float
    full: float
    noise: float = 0.01

    def at(self, moment: Moment) -> float:
        """Return the voltage."""
        sun = math.cos((moment.t_s / DAY_S - 15.0 / 24.0) * math.tau)
        charge = min(1.0, 0.5 + 0.7 * sun + 0.05 * moment.noise(3600.0))
        volts = self.empty + (self.full - self.empty) * max(0.0, charge)
        return volts + self.noise * moment.noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moisture:
    """Water content of soil: soaks within the hour at each rain, then dries for days."""

    dry: float
    wet: float
    every_s: float = 2.5 * DAY_S
    drain_s: float = 2.0 * DAY_S
    noise: float = 0.0

    def at(self, moment: Moment) -> float:
        """Return the water content, between `dry` and `wet` but for the noise."""
        index = math.floor(moment.t_s / self.every_s)
        water = 0.0
        for k in range(index - 5, index + 1):
            rained_s = (k + 0.5 * uniform(_RAIN, moment.seed, k)) * self.every_s
            if (since_s := moment.t_s - rained_s) > 0.0:
                amount = 0.3 + 0.5 * uniform(_RAIN, moment.seed, k, 1)
                soaked = 1.0 - math.exp(-since_s / 1800.0)
                water += amount * soaked * math.exp(-since_s / self.drain_s)
        return self.dry + (self.wet - self.dry) * min(1.0, water) + self.noise * moment.noise()


@dataclass(frozen=True, slots=True, kw_only=True)
class Polls:
    """Counts how often this very point was read; the device keeps the count, not the time."""

    def at(self, moment: Moment) -> float:
        """Never asked: the device answers from its own count."""
        raise AssertionError("a poll counter's value is the device's")


type_of_kind: Mapping[str, type[Signal]] = {
    "constant": Constant,
    "steady": Steady,
    "daily": Daily,
    "running": Running,
    "cycle": Cycle,
    "cycle_energy": CycleEnergy,
    "load": Load,
    "load_energy": LoadEnergy,
    "battery": Battery,
    "moisture": Moisture,
    "polls": Polls,
}


def make_signal(spec: Mapping[str, object], *, where: str) -> Signal:
    """Return the signal that a model's table ``{kind = "daily", mean = 20, swing = 5}`` describes.

    Raises:
        MistakeError: the kind is unknown, or a parameter is missing, unknown or not a number.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in type_of_kind:
        raise MistakeError(
            f"{kind!r} is not a kind of signal", where=where, mend=f"use {', '.join(type_of_kind)}"
        )
    wanted = {f.name: f for f in fields(type_of_kind[kind])}  # type: ignore[arg-type]  # all are dataclasses
    given: dict[str, float] = {}
    for name, value in spec.items():
        if name == "kind":
            continue
        if name not in wanted:
            known = ", ".join(wanted) or "no parameter"
            raise MistakeError(
                f"a {kind} signal has no parameter {name!r}", where=where, mend=f"it takes {known}"
            )
        given[name] = _finite(name, value, where)
    for name, field in wanted.items():
        if name not in given and field.default is MISSING:
            raise MistakeError(f"a {kind} signal needs {name}", where=where)
    _check_times(given, where)
    return type_of_kind[kind](**given)


def _finite(name: str, value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise MistakeError(f"{name} = {value!r} is not a number", where=where)


def _check_times(given: Mapping[str, float], where: str) -> None:
    for name, value in given.items():
        if name.endswith("_s") and value <= 0.0:
            raise MistakeError(f"{name} = {value:g} must be above zero", where=where)
    cycle_s, run_s = given.get("cycle_s", CYCLE_S), given.get("run_s", RUN_S)
    if {"cycle_s", "run_s"} & given.keys() and 1.1 * run_s > cycle_s:
        raise MistakeError(
            f"a pump cannot run {run_s:g} s of every {cycle_s:g} s",
            where=where,
            mend="keep run_s below 0.9 of cycle_s: runs differ by a tenth",
        )
