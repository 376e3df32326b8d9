"""Parts for tests of the agent: devices in memory, a clock set by hand, and jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.device import DeviceSettings
from agent.core.ports import Identity, PointReading, Urgency
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import JobSpec, Retry, Step, Targets, Value
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from shared.trust.admission import Admitted, AdmittedJob
from shared.trust.counters import Counters
from shared.wire.codec import pack

WALL = 1_795_000_000_000
DAY = 86_400_000
NEVER = WallMs(WALL + 1000 * DAY)

PUMP_TEXT = """
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"

[[point]]
name = "flow"
at = { table = "input", address = 0, type = "uint16" }

[[point]]
name = "setpoint"
at = { table = "holding", address = 0, type = "uint16" }
writable = true
min = 0
max = 5000

[[point]]
name = "speed"
at = { table = "holding", address = 1, type = "uint16" }
scale = "0.1"
writable = true
"""
PUMP = parse_profile(PUMP_TEXT, source="pump.toml")


def device(name: str, **labels: str) -> DeviceSettings:
    """Return a pump."""
    return DeviceSettings(
        id=DeviceId(name), bus="line", address=1, profile=PUMP, labels=labels or {}
    )


@dataclass
class HandClock:
    """A clock that moves when told."""

    wall: int = WALL
    mono: int = 1_000_000
    boot_id: bytes = b"a" * 16
    state: ClockState = ClockState.SYNCED

    def wall_ms(self) -> WallMs:
        return WallMs(self.wall)

    def mono_ms(self) -> MonoMs:
        return MonoMs(self.mono)

    def now(self) -> Instant:
        return Instant(
            wall_ms=self.wall_ms(), mono_ms=self.mono_ms(), boot_id=self.boot_id, state=self.state
        )

    def advance(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms


class Fixed:
    """Entropy that is none: the same everywhere, so that a test can compute with it."""

    def __init__(self, fraction: float = 0.5) -> None:
        self._fraction, self._count = fraction, 0

    def token(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size)

    def fraction(self) -> float:
        return self._fraction


@dataclass
class MemoryDevice:
    """A device as the driver shows it: points with values, a list of what was written."""

    device: DeviceId
    values: dict[str, int | float] = field(
        default_factory=lambda: {"flow": 7, "setpoint": 100, "speed": 1.5}
    )
    written: list[tuple[str, Value]] = field(default_factory=list)
    silent: bool = False
    deaf: bool = False
    """It says yes to a write and does nothing."""
    said: Identity | None = None
    """What it says of itself; None: its protocol has no word for that."""

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        assert urgency is Urgency.COMMAND
        return [self._reading(point) for point in points]

    def _reading(self, point: str) -> PointReading:
        if self.silent:
            return PointReading(point, None, Quality.BAD_COMM, Reason.DEVICE_SILENT)
        if point not in self.values:
            return PointReading(point, None, Quality.BAD_COMM, Reason.POINT_UNKNOWN)
        return PointReading(point, self.values[point], Quality.GOOD)

    def expected(self, values_by_point: Mapping[str, Value]) -> dict[str, int | float]:
        expected: dict[str, int | float] = {}
        for name, value in values_by_point.items():
            if isinstance(value, str | bool):
                raise MistakeError("is not a number", where=name)
            expected[name] = value
        return expected

    async def identify(self) -> Identity | None:
        if self.silent:
            raise WorldError(Reason.DEVICE_SILENT, "no answer")
        return self.said

    async def write(self, values: Mapping[str, Value]) -> None:
        if self.silent:
            raise WorldError(Reason.DEVICE_SILENT, "no answer")
        for name, value in values.items():
            self.written.append((name, value))
            if not self.deaf:
                assert not isinstance(value, str)
                self.values[name] = value


def write_job(value: int, *, selector: str = "", retry: Retry | None = None, delay_s: int = 0):
    """Return a job that writes the set-point of the selected pumps."""
    return JobSpec(
        name="set",
        steps=[Step("apply", "device.write", {"setpoint": value}, timeout_s=5)],
        targets=Targets(device_selector=selector),
        retry=retry or Retry(),
        delay_s=delay_s,
    )


def read_job(*points: str) -> JobSpec:
    return JobSpec(name="look", steps=[Step("look", "device.read", {"points": list(points)})])


def admitted(seq: int, *jobs: tuple[bytes, JobSpec], not_after: int = NEVER) -> Admitted:
    """Return what the checks of a good bundle give."""
    grants = tuple(
        AdmittedJob(execution, spec, pack(spec), WallMs(not_after), "operate", 86_400, None)
        for execution, spec in jobs
    )
    return Admitted(seq, WallMs(WALL), grants, (), reached(seq), (), b"")


def reached(seq: int) -> Counters:
    """Return the counters of an agent that admitted bundle `seq` last."""
    return Counters(epoch=1, root_version=1, bundle_seq=seq, floor_ms=WALL)


def uid(number: int) -> bytes:
    return number.to_bytes(16)
