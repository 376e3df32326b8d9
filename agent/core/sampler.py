"""What is polled and when: the channel table, poll groups, and one bus's timetable.

Owns the order of channels, the spread of devices over their interval, late ticks that coalesce, and
the patience with devices that do not answer. Leaves out waiting and reading (the bus tasks). Time
is monotonic throughout: a step of the wall clock never moves a poll.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core.device import DeviceSettings
from agent.core.judge import JudgedPoint
from agent.core.patience import UNKNOWN_MS
from shared import limits
from shared.block.schema import Schema
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.judging import aggregate_name
from shared.model.profile import Point
from shared.model.reading import Channel, Kind

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PollGroup:
    """The points of one device that are read together and share a time stamp."""

    device: DeviceId
    bus: str
    points: tuple[str, ...]
    channels: tuple[int, ...]
    """Indices into the agent's schema, one for each point."""
    interval_ms: int
    address: int = 0
    """Of the device on its bus."""
    alone: bool = False
    """No other device is polled on its bus."""
    judged: tuple[JudgedPoint, ...] = ()
    """How each point's readings are judged; empty keeps every one."""

    @property
    def offset_ms(self) -> int:
        """Return where in its interval the device is polled.

        Made from its name: stable over restarts, spread over the devices of a bus. Devices that
        have a bus to themselves hold nobody up: they are polled together, with one wake-up.
        """
        if self.alone:
            return 0
        digest = hashlib.sha256(self.device.encode()).digest()
        return int.from_bytes(digest[:8]) % self.interval_ms


@dataclass(frozen=True, slots=True)
class ChannelTable:
    """Every channel of an agent, and the groups in which they are polled."""

    schema: Schema
    groups: tuple[PollGroup, ...]

    @property
    def readings_per_day(self) -> int:
        """Return how many readings a day brings while every device answers."""
        return sum(len(group.channels) * DAY_MS // group.interval_ms for group in self.groups)

    def on_bus(self, name: str) -> tuple[PollGroup, ...]:
        """Return the groups of one bus."""
        return tuple(group for group in self.groups if group.bus == name)


def channel_table(devices: Iterable[DeviceSettings]) -> ChannelTable:
    """Return the channels of the devices' polled points, in the order of the configuration.

    A device without polled points has no group.
    """
    channels: list[Channel] = []
    groups: list[PollGroup] = []
    polled = [device for device in devices if device.profile.polled]
    on_bus = Counter(device.bus for device in polled)
    for device in polled:
        points = device.profile.polled
        first = len(channels)
        channels += [_channel(device, point) for point in points]
        judged: list[JudgedPoint] = []
        for index, point in enumerate(points, start=first):
            derived = _aggregates(device, point)
            numbers = tuple(range(len(channels), len(channels) + len(derived)))
            judged.append(_judged(device, point, index, numbers))
            channels += derived
        groups.append(
            PollGroup(
                device=device.id,
                bus=device.bus,
                points=tuple(point.name for point in points),
                channels=tuple(range(first, first + len(points))),
                interval_ms=device.poll_interval_ms,
                address=device.address,
                alone=on_bus[device.bus] == 1,
                judged=tuple(judged),
            )
        )
    assert len(channels) <= limits.CHANNELS, "the configuration refuses more channels"
    return ChannelTable(Schema(tuple(channels)), tuple(groups))


def _channel(device: DeviceSettings, point: Point) -> Channel:
    reduction = device.judging_of(point).reduction
    return Channel(device.id, point.name, point.unit, point.kind, reduction)


def _aggregates(device: DeviceSettings, point: Point) -> list[Channel]:
    """Return the channels of a point's aggregates: a count has no unit, an increase is a gauge."""
    found: list[Channel] = []
    for aggregate in device.judging_of(point).aggregate:
        kind: Kind = "gauge" if aggregate in {"count", "increase"} else point.kind
        unit = "" if aggregate == "count" else point.unit
        found.append(Channel(device.id, aggregate_name(point.name, aggregate), unit, kind))
    return found


def _judged(
    device: DeviceSettings, point: Point, channel: int, aggregates: tuple[int, ...]
) -> JudgedPoint:
    judging = device.judging_of(point)
    if judging.modulus is None and "increase" in judging.aggregate:
        judging = replace(judging, modulus=point.natural_modulus)
    divisor = point.linear.divisor
    return JudgedPoint(
        name=point.name,
        channel=channel,
        judging=judging,
        aggregates=aggregates,
        decimals=None if point.at.is_float else len(str(divisor)) - 1,
        zero=point.offset,
    )


def next_slot(group: PollGroup, after_ms: int) -> MonoMs:
    """Return the group's first regular time that is later than `after_ms`."""
    passed = (after_ms - group.offset_ms) // group.interval_ms
    return MonoMs((passed + 1) * group.interval_ms + group.offset_ms)


def pause_ms(failures: int) -> int:
    """Return how long a device is left alone after so many failed polls in a row.

    >>> [pause_ms(failures) // 1000 for failures in (1, 2, 3, 5, 6, 99)]
    [0, 60, 120, 480, 600, 600]
    """
    doublings = failures - limits.DEGRADE_AFTER
    if doublings < 0:
        return 0
    return min(limits.DEGRADE_FIRST_MS << min(doublings, 16), limits.DEGRADE_MAX_MS)


class Standing(StrEnum):
    """What is known of a device's being there."""

    PROBING = "probing"
    """It has not answered since the start: nobody knows yet."""
    LIVE = "live"
    DEGRADED = "degraded"
    """It failed polls in a row and is asked rarely."""


@dataclass(slots=True)
class _Presence:
    known: bool = False
    """It has answered since the start."""
    failures: int = 0
    """Polls in a row that it did not answer."""

    @property
    def on_probation(self) -> bool:
        """Tell whether its next poll is a probe, which may not cost the living their time."""
        return self.failures >= (limits.DEGRADE_AFTER if self.known else 1)


class Timetable:
    """When each group of one bus is due; the earliest goes first, then the configured order.

    A probe of a silent device waits until nobody who answers is due for as long as it may take.
    Where a busy bus has no such gap, probes get one part in `limits.PROBE_SHARE` of its time.
    """

    def __init__(
        self, groups: Sequence[PollGroup], *, now_ms: MonoMs, probe_ms: int = UNKNOWN_MS
    ) -> None:
        """Start at `now_ms`: every group has its first poll within one interval.

        `probe_ms` is what a probe takes when it is not answered.
        """
        self.groups = tuple(groups)
        self._due = [next_slot(group, now_ms - 1) for group in self.groups]
        self._presence = {group.device: _Presence() for group in self.groups}
        self._probe_ms = probe_ms
        # At the start nobody is known: the living must be found first.
        self._probes_from_ms = MonoMs(now_ms + probe_ms * limits.PROBE_SHARE)
        self.coalesced = 0
        """Polls that fell away because the bus was still busy when the next one was due."""

    def next_due(self, now_ms: MonoMs) -> MonoMs | None:
        """Return when the next poll is due, or None on a bus without any."""
        times = (self._next_poll()[0], self._next_probe(now_ms)[0])
        return min((time for time in times if time is not None), default=None)

    def take(self, now_ms: MonoMs) -> PollGroup | None:
        """Return the group to poll now, if one is due, and set its next time.

        A group that is late by whole intervals is polled once, not once for each.
        """
        due_ms, index = self._next_poll()
        if due_ms is None or due_ms > now_ms:
            due_ms, index = self._next_probe(now_ms)
            if due_ms is None or due_ms > now_ms:
                return None
            self._due[index] = next_slot(self.groups[index], now_ms)
            return self.groups[index]
        group = self.groups[index]
        self._due[index] = next_slot(group, now_ms)
        self.coalesced += max(0, (now_ms - due_ms) // group.interval_ms)
        return group

    def is_probe(self, device: DeviceId) -> bool:
        """Tell whether the poll of a device is a probe: one attempt, with a patience of its own."""
        presence = self._presence[device]
        return presence.on_probation or not presence.known

    def answered(self, device: DeviceId, *, now_ms: MonoMs) -> None:
        """Note that a device answered: it is polled at its regular times."""
        presence = self._presence[device]
        if presence.on_probation:
            self._postpone(device, now_ms, 0)
        presence.known, presence.failures = True, 0

    def silent(self, device: DeviceId, *, began_ms: MonoMs, now_ms: MonoMs) -> None:
        """Note that a device did not answer a poll that began then; soon it is asked only rarely.

        One that never answered is asked once more as soon as that costs nobody anything: its first
        poll did not wait for long.
        """
        presence = self._presence[device]
        if presence.on_probation:
            self._probes_from_ms = MonoMs(now_ms + (now_ms - began_ms) * limits.PROBE_SHARE)
        presence.failures += 1
        if pause := pause_ms(presence.failures):
            self._postpone(device, now_ms, pause)
        elif presence.on_probation:
            for index in self._of(device):
                self._due[index] = now_ms

    def failures(self, device: DeviceId) -> int:
        """Return how many polls of a device failed in a row."""
        return self._presence[device].failures

    def standing(self, device: DeviceId) -> Standing:
        """Return what is known of a device's being there."""
        presence = self._presence[device]
        if presence.failures >= limits.DEGRADE_AFTER:
            return Standing.DEGRADED
        return Standing.LIVE if presence.known else Standing.PROBING

    def due_ms(self, device: DeviceId) -> MonoMs:
        """Return when a device is polled next, at the earliest."""
        return min(self._due[index] for index in self._of(device))

    def _of(self, device: DeviceId) -> list[int]:
        return [index for index, group in enumerate(self.groups) if group.device == device]

    def _next_poll(self) -> tuple[MonoMs | None, int]:
        """Return the earliest poll of a device that is there, or may be: when, and its index."""
        return self._earliest(probes=False)

    def _next_probe(self, now_ms: MonoMs) -> tuple[MonoMs | None, int]:
        """Return the earliest probe: when it may begin, and its index."""
        due_ms, index = self._earliest(probes=True)
        if due_ms is None:
            return None, index
        begins_ms = max(due_ms, now_ms)
        poll_ms, _ = self._next_poll()
        if poll_ms is None or poll_ms - begins_ms >= self._probe_ms:
            return begins_ms, index
        return max(begins_ms, self._probes_from_ms), index

    def _earliest(self, *, probes: bool) -> tuple[MonoMs | None, int]:
        found = [
            (due, index)
            for index, (group, due) in enumerate(zip(self.groups, self._due, strict=True))
            if self._presence[group.device].on_probation is probes
        ]
        if not found:
            return None, -1
        return min(found)

    def _postpone(self, device: DeviceId, now_ms: MonoMs, pause: int) -> None:
        for index in self._of(device):
            regular_ms = next_slot(self.groups[index], now_ms)
            self._due[index] = max(regular_ms, MonoMs(now_ms + pause))
