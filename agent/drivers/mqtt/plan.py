"""Which topics tell of an MQTT device's points. Pure."""

from shared.model.mqtt_address import MqttAddress, MqttDialect
from shared.model.point import Point
from shared.model.profile import Profile


def address(point: Point) -> MqttAddress:
    """Return where a point lives in a message."""
    assert isinstance(point.at, MqttAddress), "a driver gets points of its own protocol"
    return point.at


def dialect_of(profile: Profile) -> MqttDialect:
    """Return what a profile says of its devices."""
    dialect = profile.sections["mqtt"]
    assert isinstance(dialect, MqttDialect), "the section of such a profile"
    return dialect


def frame_bytes(_: Profile) -> list[tuple[int, int]]:
    """Return one pair: a poll is one question to the broker, however many topics there are."""
    return [(0, 0)]
