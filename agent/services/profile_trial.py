"""Holds a profile against a device that stands somewhere: every point is read and looked at.

Owns opening a port for one try and the verdict on each point. Writes nothing. Leaves out printing
(`agent.profile_cli`).
"""

from dataclasses import dataclass

import msgspec

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Identity, PointReading, Urgency
from agent.drivers.registry import make_driver
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.identity import IDENTITY_KEYS
from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.reading import Quality


class PointVerdict(msgspec.Struct, frozen=True):
    """One point, as the device answered."""

    point: str
    value: int | float | None
    unit: str
    wrong: str = ""
    """Empty: nothing."""


class ProfileVerdict(msgspec.Struct, frozen=True):
    """What came of it."""

    profile: str
    hash: str
    """Hex of the profile's content hash."""
    url: str
    address: int
    identity: dict[str, str]
    """What the device says of itself; empty where it has no words for it."""
    drift: dict[str, str]
    """What the profile expects instead."""
    points: list[PointVerdict]
    wrong: int
    """How many points, and parts of the identity, are not as the profile says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the device is."""

    url: str
    address: int
    timeout_ms: int | None = None


async def try_profile(profile: Profile, place: Place) -> ProfileVerdict:
    """Read all that a profile names from one device.

    Raises:
        MistakeError: no such port, or no such address on it.
        WorldError: nobody answers there at all.
    """
    bus = open_bus(
        BusSettings(name="test", url=place.url, response_timeout_ms=place.timeout_ms, retries=1)
    )
    try:
        device = DeviceSettings(
            id=DeviceId("test"), bus="test", address=place.address, profile=profile
        )
        driver = make_driver(device, bus)
        readings = await _read(driver, profile)
        told = said(await _identity(driver))
    finally:
        await bus.close()
    points = [
        PointVerdict(point.name, reading.value, point.unit, _wrong(point, reading))
        for point, reading in zip(_readable(profile), readings, strict=True)
    ]
    drift = profile.identity.drift(told)
    return ProfileVerdict(
        profile=profile.name,
        hash=profile.content_hash.hex(),
        url=place.url,
        address=place.address,
        identity=told,
        drift=drift,
        points=points,
        wrong=sum(bool(point.wrong) for point in points) + len(drift),
    )


def said(identity: Identity | None) -> dict[str, str]:
    """Return what a device said of itself, by name; empty parts are left out."""
    if identity is None:
        return {}
    own = {key: getattr(identity, key) for key in IDENTITY_KEYS}
    return {key: text for key, text in {**own, **identity.more}.items() if text}


async def _read(driver: Driver, profile: Profile) -> list[PointReading]:
    points = [point.name for point in _readable(profile)]
    readings = await driver.read(points, urgency=Urgency.COMMAND)
    reasons = {reading.reason for reading in readings}
    if reasons and reasons <= {Reason.DEVICE_SILENT, Reason.BUS_DOWN}:
        raise WorldError(readings[0].reason or Reason.DEVICE_SILENT, "nobody answers there")
    return readings


async def _identity(driver: Driver) -> Identity | None:
    try:
        return await driver.identify()
    except WorldError:
        return None


def _readable(profile: Profile) -> list[Point]:
    """Return the points that a device can be asked for."""
    return [point for point in profile.points if point.write.verify != "none"]


def _wrong(point: Point, reading: PointReading) -> str:
    if reading.value is None:
        return reading.reason.text if reading.reason is not None else "no value"
    if reading.quality is Quality.BAD_RANGE:
        return f"outside its limits, {point.limits_text}"
    if reading.quality is not Quality.GOOD:
        return reading.quality.name.lower()
    return ""


def place_of(url: str, address: int | None, profile: Profile, timeout_ms: int | None) -> Place:
    """Return where to look; an address is needed where a port has several.

    Raises:
        MistakeError: it is missing.
    """
    if address is None and profile.protocol == "modbus":
        raise MistakeError(
            "a Modbus device has an address", where="--address", mend="write --address 1"
        )
    return Place(url=url, address=address or 0, timeout_ms=timeout_ms)
