"""How much of a port's time its devices will take: arithmetic over what is known before a poll.

Owns the sum and the sentence for a bus that cannot keep what it is asked for. Leaves out the frames
of a protocol (the drivers), the pace of a port (`agent.buses.timing`) and what a running port
really spends (`BusCounters.busy_ms`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared import limits
from shared.ids import DeviceId

SHOWN = 3
"""Devices named in the sentence; the largest shares come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What one exchange costs beside its bytes."""

    seconds_per_byte: float
    silence_s: float
    """Between two frames."""
    turnaround_s: float
    """From the last byte of a request to the first of its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLoad:
    """What polling one device costs its port."""

    device: DeviceId
    interval_ms: int
    poll_ms: float
    """All requests of a poll with their answers, pauses included."""

    @property
    def share(self) -> float:
        """Return the part of the port's time, from 0; over 1 it is more than there is."""
        return self.poll_ms / self.interval_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLoad:
    """What all devices of a port cost it while all of them answer."""

    bus: str
    devices: tuple[DeviceLoad, ...]

    @property
    def share(self) -> float:
        """Return the part of the port's time that is planned."""
        return sum(device.share for device in self.devices)

    @property
    def fits(self) -> bool:
        """Tell whether there is room left for repeats, commands and probes."""
        return self.share <= limits.BUS_UTILISATION


def poll_ms(frames: Iterable[tuple[int, int]], pace: Pace) -> float:
    """Return how long one poll holds its port; `frames` are bytes of request and answer.

    >>> round(poll_ms([(8, 23)], Pace(seconds_per_byte=11 / 9600, silence_s=0.004, turnaround_s=0)))
    40
    """
    beside = pace.silence_s + pace.turnaround_s
    seconds = sum((up + down) * pace.seconds_per_byte + beside for up, down in frames)
    return seconds * 1000


def sentence(load: BusLoad) -> tuple[str, str]:
    """Return what is wrong with a bus that is planned too full, and the mend."""
    largest = sorted(load.devices, key=lambda one: -one.share)
    named = ", ".join(map(_told, largest[:SHOWN]))
    more = f" and {len(largest) - SHOWN} more" if len(largest) > SHOWN else ""
    what = (
        f"bus {load.bus!r} would be busy {load.share:.0%} of the time, "
        f"{limits.BUS_UTILISATION:.0%} is the most that leaves room for repeats and commands: "
        f"{named}{more}"
    )
    return what, f"{_mend(load, largest)}, poll fewer points, or raise the line's speed"


def _told(one: DeviceLoad) -> str:
    return (
        f"{one.device} takes {one.poll_ms:.0f} ms every {one.interval_ms / 1000:g} s "
        f"({one.share:.0%})"
    )


def _mend(load: BusLoad, largest: Sequence[DeviceLoad]) -> str:
    """Return what would do: a longer interval for the largest, or for all where that is not it."""
    first = largest[0]
    room = limits.BUS_UTILISATION - (load.share - first.share)
    if len(largest) == 1 or room > first.share / 4:
        interval_s = _rounded_up(first.poll_ms / room / 1000)
        return f"poll {first.device} every {interval_s:g} s"
    times = load.share / limits.BUS_UTILISATION
    return f"poll all of them {times:.1f} times less often"


def _rounded_up(seconds: float) -> float:
    """Return a time that people would write, not shorter: tenths below 10 s, else seconds."""
    step = 10 if seconds < 10 else 1
    return -(-seconds * step // 1) / step
