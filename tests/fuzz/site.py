"""SNMP and MQTT under hostile bytes, on both sides of the wire."""

from collections.abc import Iterable, Sequence
from functools import cache

from agent.buses.mqtt import Heard
from agent.core import mqtt
from agent.drivers import plain
from agent.drivers.mqtt.driver import said
from agent.drivers.snmp import codec
from agent.drivers.snmp.codec import SnmpDecoder, encode
from agent.drivers.snmp.plan import address
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.models import find_model
from firmware_sim.mqtt import packets
from firmware_sim.snmp.agent import Agent
from shared import limits
from shared.errors import Reason, RefusedError
from tests.driver_rigs import shipped
from tests.fuzz.cutting import pieces

_NUMBER, _COMMUNITY = 0x12345678, b"public"
_known = cache(shipped)


def snmp_answer(data: bytes) -> None:
    """One datagram, asked for every point of a power supply."""
    decoder = SnmpDecoder(number=_NUMBER, community=_COMMUNITY, repeatable=True)
    answer = decoder.feed(data)
    if answer is None:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "somebody else's")
    assert len(answer.values) <= limits.SNMP_OIDS_MOST
    assert answer.complaint
    for value in answer.values.values():
        assert len(value.text) <= limits.IDENTITY_CHARS
        for point in _known("generic-ups").points:
            reading = plain.reading(point, value.count(address(point)))
            assert reading.value is None or reading.reason is None or point.minimum is not None


def snmp_request(data: bytes) -> None:
    """What a simulated power supply hears."""
    answer, _ = _agent().answer(data)
    if not answer:
        raise RefusedError(Reason.BAD_SHAPE, "no request")
    assert len(answer) <= 1472


def snmp_answers() -> Sequence[bytes]:
    """All points, what it is, and a no."""
    return [_agent().answer(request)[0] for request in snmp_requests()]


def snmp_requests() -> Sequence[bytes]:
    """Two readings and two writings, one of which is refused."""
    points = _known("generic-ups").points
    objects = [(address(point).oid, b"") for point in points]
    system = [((1, 3, 6, 1, 2, 1, 1, arc, 0), b"") for arc in (1, 2, 3, 5)]
    timed = next(point for point in points if point.name == "low_battery_time")
    change = [(address(timed).oid, codec.written(address(timed), 7))]
    refused = [(objects[0][0], change[0][1])]
    return [
        encode(kind, _COMMUNITY, _NUMBER, asked)
        for kind, asked in (
            (codec.GET, objects),
            (codec.GET, system),
            (codec.SET, change),
            (codec.SET, refused),
        )
    ]


def mqtt_heard(data: bytes) -> None:
    """What a broker says, whole and in pieces: the same comes out."""
    whole: list[object] = []
    parts: list[object] = []
    fault = _cut(mqtt.Packets(), [data], whole)
    broken = _cut(mqtt.Packets(), pieces(data), parts)
    assert (parts, broken) == (whole, fault), "it depends on how it was cut"
    if fault or not whole:
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "no packets")


def _cut(packets: mqtt.Packets, cut: Iterable[bytes], found: list[object]) -> bool:
    waiting = (mqtt.Connack(), mqtt.Pong(), mqtt.Puback(7), mqtt.Suback(7))
    try:
        for piece in cut:
            for packet in packets.feed(piece):
                assert len(packet) <= limits.MQTT_PACKET_BYTES
                if packet[0] >> 4 == mqtt.PUBLISH:
                    message = mqtt.message_of(packet)
                    found.append(message)
                    _said(message.payload)
                else:
                    found += [one.feed(packet) for one in waiting]
    except RefusedError:
        return True
    return False


def _said(payload: bytes) -> None:
    for point in _known("tasmota-plug").points:
        reading = said(point, Heard(payload, retained=False, at_s=0.0))
        assert reading.point == point.name


def mqtt_client(data: bytes) -> None:
    """What a simulated broker hears."""
    heard = 0
    try:
        for packet in packets.Cutter().feed(data):
            read = {
                packets.Kind.CONNECT: packets.greeting,
                packets.Kind.PUBLISH: packets.publication,
                packets.Kind.SUBSCRIBE: packets.wanted,
            }.get(packet.kind)
            heard += 1
            if read is not None:
                read(packet)
    except packets.MalformedError:
        heard = 0
    if not heard:
        raise RefusedError(Reason.BAD_SHAPE, "no request")


def mqtt_streams() -> Sequence[bytes]:
    """A greeting, what was asked for, messages, acknowledgements."""
    kind, encode_packet = packets.Kind, packets.encode
    told = [
        encode_packet(kind.CONNACK, b"\0\0"),
        encode_packet(kind.SUBACK, b"\0\7\0\x80"),
        packets.published("tele/a/SENSOR", b'{"ENERGY":{"Power":41}}', retained=True),
        packets.published("stat/a/POWER", b"ON", retained=False),
        encode_packet(kind.PUBACK, b"\0\7"),
        encode_packet(kind.PINGRESP),
    ]
    return [b"".join(told), packets.published("a", b"x" * 300, retained=False)]


def mqtt_clients() -> Sequence[bytes]:
    """All that our own client says."""
    return [
        mqtt.connect("c", "name", "password")
        + mqtt.subscribe(7, ["a/b", "c"])
        + mqtt.publish(8, "a/b", b"ON")
        + mqtt.PING
    ]


@cache
def _agent() -> Agent:
    return Agent(Bench(Device(find_model("ups")), can=TEXT_FAULTS))
