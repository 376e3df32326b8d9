"""What is polled and when: the channel table, poll groups, and one bus's timetable.

Owns the order of channels, the spread of devices over their interval, late ticks that coalesce, and
the patience with devices that do not answer. Leaves out waiting and reading (the bus tasks). Time
is monotonic throughout: a step of the wall clock never moves a poll.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.device import DeviceSettings
from shared import limits
from shared.block.schema import Schema
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.reading import Channel

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

    @property
    def offset_ms(self) -> int:
        """Return where in its interval the device is polled.

        Made from its name: stable over restarts, spread over the devices of a bus.
        """
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
    for device in devices:
        points = device.profile.polled
        if not points:
            continue
        first = len(channels)
        channels.extend(Channel(device.id, point.name, point.unit, point.kind) for point in points)
        groups.append(
            PollGroup(
                device=device.id,
                bus=device.bus,
                points=tuple(point.name for point in points),
                channels=tuple(range(first, len(channels))),
                interval_ms=device.poll_interval_ms,
            )
        )
    assert len(channels) <= limits.CHANNELS, "the configuration refuses more channels"
    return ChannelTable(Schema(tuple(channels)), tuple(groups))


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


class Timetable:
    """When each group of one bus is due; the earliest goes first, then the configured order."""

    def __init__(self, groups: Sequence[PollGroup], *, now_ms: MonoMs) -> None:
        """Start at `now_ms`: every group has its first poll within one interval."""
        self.groups = tuple(groups)
        self._due = [next_slot(group, now_ms - 1) for group in self.groups]
        self._failures = dict.fromkeys((group.device for group in self.groups), 0)
        self.coalesced = 0
        """Polls that fell away because the bus was still busy when the next one was due."""

    def next_due(self) -> MonoMs | None:
        """Return when the next poll is due, or None on a bus without any."""
        return min(self._due, default=None)

    def take(self, now_ms: MonoMs) -> PollGroup | None:
        """Return the group to poll now, if one is due, and set its next time.

        A group that is late by whole intervals is polled once, not once for each.
        """
        due_ms = self.next_due()
        if due_ms is None or due_ms > now_ms:
            return None
        index = self._due.index(due_ms)
        group = self.groups[index]
        self._due[index] = next_slot(group, now_ms)
        self.coalesced += max(0, (now_ms - due_ms) // group.interval_ms)
        return group

    def answered(self, device: DeviceId, *, now_ms: MonoMs) -> None:
        """Note that a device answered: it is polled at its regular times."""
        if self._failures[device] >= limits.DEGRADE_AFTER:
            self._postpone(device, now_ms, 0)
        self._failures[device] = 0

    def silent(self, device: DeviceId, *, now_ms: MonoMs) -> None:
        """Note that a device did not answer; soon it is asked only rarely."""
        self._failures[device] += 1
        if pause := pause_ms(self._failures[device]):
            self._postpone(device, now_ms, pause)

    def failures(self, device: DeviceId) -> int:
        """Return how many polls of a device failed in a row."""
        return self._failures[device]

    def due_ms(self, device: DeviceId) -> MonoMs:
        """Return when a device is polled next."""
        times = zip(self.groups, self._due, strict=True)
        return min(due for group, due in times if group.device == device)

    def _postpone(self, device: DeviceId, now_ms: MonoMs, pause: int) -> None:
        for index, group in enumerate(self.groups):
            if group.device == device:
                self._due[index] = max(next_slot(group, now_ms), MonoMs(now_ms + pause))
