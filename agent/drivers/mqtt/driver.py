"""One device behind an MQTT broker: its last messages in, readings out; commands.

Owns how far a message is believed, and turning faults into readings without values. Leaves out the
connection (`agent.buses.mqtt`), packets (`agent.core.mqtt`), JSON (`agent.drivers.http_json`) and
arithmetic (`agent.drivers.plain`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.buses.mqtt import Heard, MqttBus
from agent.core import mqtt
from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers import plain
from agent.drivers.http_json.document import count_at, read_document, written
from agent.drivers.mqtt.plan import address, dialect_of
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.mqtt_address import DEVICE, VALUE, filled, is_topic
from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.reading import Quality

_OFFLINE: Final = "the device is not there, says its broker"


class MqttDriver:
    """A device whose messages a broker passes on, as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus, which follows its topics from now on.

        Raises:
            MistakeError: such a bus carries no MQTT, or its URL does not say which device it is.
        """
        self.device = device
        self.profile = profile
        where = f"device {device}"
        if not isinstance(bus, MqttBus):
            raise MistakeError("MQTT is spoken over mqtt:// and mqtts:// only", where=where)
        self._bus = bus
        self._unit = unit
        self._dialect = dialect_of(profile)
        self._points = {point.name: point for point in profile.points}
        if not bus.device and any(DEVICE in topic for topic in self._dialect.topics):
            what = f"topics of profile {profile.name} name the device, the bus' URL does not"
            raise MistakeError(what, where=where, mend="write mqtt://HOST/DEVICE")
        topics = [self._topic(address(point).topic) for point in profile.points]
        self._online_topic = self._topic(self._dialect.online_topic)
        topics += [self._online_topic] if self._online_topic else []
        if not all(map(is_topic, topics)):
            raise MistakeError(f"{bus.device[:60]!r} makes no topics", where=where)
        bus.follow(topics, who=where)

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`.

        One question to the broker tells that the connection lives and that all came which it had.
        """
        wanted = [self._points[name] for name in dict.fromkeys(points) if name in self._points]
        found: dict[str, PointReading] = {}
        if wanted:
            try:
                await self._look([address(point).topic for point in wanted], urgency)
                found = {point.name: self._reading(point) for point in wanted}
            except WorldError as error:
                found = plain.failed(wanted, error.reason)
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or plain.unread(name, unknown) for name in points]

    def expected(self, values: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        return plain.expected(self.profile, self.device, values)

    async def write(self, values: Mapping[str, Value]) -> None:
        """Send a command for each point, in the order given; see `agent.core.ports.Driver`.

        The broker's word is that it has the command. What the device made of it, its next message
        tells: older ones no longer count.
        """
        raws = plain.raws(self.profile, self.device, values)
        if raws:
            # A command into a dead connection would be one of which nobody knows.
            await self._look([], Urgency.COMMAND)
        done: list[str] = []
        for point, raw in raws:
            at = address(point)
            assert at.write is not None, "only writable points have raw counts to write"
            topic = self._topic(at.topic)
            before = f" (written before: {', '.join(done)})" if done else ""
            if topic in self._bus.post.refused:
                detail = f"{point.name}: the broker does not tell of {topic}{before}"
                raise WorldError(Reason.DEVICE_EXCEPTION, detail)
            text = written(at, raw) if at.pointer is not None else at.form.text(raw)
            payload = at.write.payload.replace(VALUE, text).encode()
            number = self._bus.number()
            self._bus.post.forget([topic])
            command = mqtt.publish(number, self._topic(at.write.topic), payload)
            try:
                await self._bus.exchange(command, mqtt.Puback(number), urgency=Urgency.COMMAND)
            except WorldError as error:
                raise WorldError(error.reason, f"{point.name}: {error.detail}{before}") from error
            done.append(point.name)

    async def identify(self) -> Identity | None:
        """Return None: there is no common topic in which devices say what they are."""
        return None

    # --- the last messages -----------------------------------------------------------------------
    async def _look(self, topics: Iterable[str], urgency: Urgency) -> None:
        """Make sure of the connection and, as far as anybody says it, of the device.

        Raises:
            WorldError: no connection, or the device is offline.
        """
        await self._bus.exchange(mqtt.PING, mqtt.Pong(), urgency=urgency)
        followed = [self._topic(topic) for topic in topics]
        own = [self._online_topic] if self._online_topic else []
        told_ms = self._bus.settings.response_timeout_ms
        wait_ms = min(self._dialect.wait_ms, told_ms or self._dialect.wait_ms)
        await self._bus.post.wait([*own, *followed], wait_ms / 1000)
        heard = self._bus.post.messages.get(self._online_topic)
        if heard is not None and heard.payload != self._dialect.online.encode():
            raise WorldError(Reason.DEVICE_SILENT, _OFFLINE)

    def _reading(self, point: Point) -> PointReading:
        at = address(point)
        topic = self._topic(at.topic)
        heard = self._bus.post.messages.get(topic)
        if heard is None:
            refused = topic in self._bus.post.refused
            reason = Reason.DEVICE_EXCEPTION if refused else Reason.DEVICE_SILENT
            return plain.unread(point.name, reason)
        reading = said(point, heard)
        age_s = asyncio.get_running_loop().time() - heard.at_s
        if reading.quality is not Quality.GOOD:
            return reading
        if self._dialect.stale_s and age_s > self._dialect.stale_s:
            return replace(reading, quality=Quality.STALE)
        # A broker keeps a last word for ever: only who says that the device is there vouches.
        vouched = not heard.retained or self._online_topic in self._bus.post.messages
        return reading if vouched else replace(reading, quality=Quality.UNCERTAIN)

    def _topic(self, topic: str) -> str:
        return filled(topic, device=self._bus.device, address=self._unit)


def said(point: Point, heard: Heard) -> PointReading:
    """Return what a message says of a point."""
    at = address(point)
    if at.pointer is None:
        text = heard.payload.decode("utf-8", "replace").strip()
        return plain.reading(point, at.form.read(text))
    try:
        there, raw = count_at(read_document(heard.payload), at)
    except RefusedError as error:
        return plain.unread(point.name, error.reason)
    return plain.reading(point, raw) if there else plain.unread(point.name, Reason.POINT_UNKNOWN)
