"""SNMP under hostile bytes, on both sides of the wire."""

from collections.abc import Sequence
from functools import cache

from agent.drivers import plain
from agent.drivers.snmp import codec
from agent.drivers.snmp.codec import SnmpDecoder, encode
from agent.drivers.snmp.plan import address
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.models import find_model
from firmware_sim.snmp.agent import Agent
from shared import limits
from shared.errors import Reason, RefusedError
from tests.driver_rigs import shipped

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


@cache
def _agent() -> Agent:
    return Agent(Bench(Device(find_model("ups")), can=TEXT_FAULTS))
