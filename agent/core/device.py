"""One attached device as the configuration names it.

Owns the values that say which device stands where and what it is; leaves out speaking to it
(`agent.drivers`) and when it is polled (the sampler).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.core.ports import BusSettings
from shared.ids import DeviceId
from shared.model.judging import Judging
from shared.model.profile import Point, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """One device on one bus."""

    id: DeviceId
    bus: str
    """Name of the bus (`BusSettings.name`) it is wired to."""
    address: int
    """Number of the device on its bus: the Modbus unit."""
    profile: Profile
    poll_interval_ms: int = 60_000
    judging: Mapping[str, Judging] = field(default_factory=dict)
    """By point, where this device differs from its profile."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The operator's own; they never hide the labels every device has."""

    def judging_of(self, point: Point) -> Judging:
        """Return how a point's readings are judged on this device."""
        return self.judging.get(point.name, point.judging)

    @property
    def channels(self) -> int:
        """Return how many channels its polled points have, aggregates among them."""
        return sum(1 + len(self.judging_of(point).aggregate) for point in self.profile.polled)

    def selector_labels(self) -> dict[str, str]:
        """Return the labels a job's device selector sees without asking the device."""
        own = {"id": str(self.id), "kind": self.profile.kind, "profile": self.profile.name}
        return {**self.labels, **own}


def with_silence(bus: BusSettings, devices: Iterable[DeviceSettings]) -> BusSettings:
    """Return the bus with the longest pause that any of its devices' profiles asks for.

    The pause belongs to the port, not to the device: a slow device on an RS-485 line still sorts
    out the last frame to its neighbour when the next one comes.
    """
    asked = (d.profile.limits.silence_ms for d in devices if d.bus == bus.name)
    return replace(bus, inter_frame_ms=max(bus.inter_frame_ms, *asked, 0))
