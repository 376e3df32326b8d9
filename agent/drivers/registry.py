"""Every protocol the agent speaks, by the name profiles use.

Owns the choice of a driver; leaves out opening the bus. A driver's module is imported when the
first device needs it: an agent without Modbus devices never pays for pymodbus.
"""

from collections.abc import Callable

from agent.core.device import DeviceSettings
from agent.core.ports import Bus, Driver
from agent.drivers.modbus.plan import frame_bytes, plan
from shared.errors import MistakeError
from shared.model.profile import Profile

Factory = Callable[[DeviceSettings, Bus], Driver]


def make_driver(device: DeviceSettings, bus: Bus) -> Driver:
    """Return the driver that speaks to `device` over `bus`.

    Raises:
        MistakeError: no driver for its protocol, or an address the protocol does not have.
    """
    protocol = device.profile.protocol
    factory = DRIVERS.get(protocol)
    if factory is None:
        raise MistakeError(
            f"no driver speaks {protocol!r}",
            where=f"device {device.id}",
            mend=f"known are {', '.join(DRIVERS)}",
        )
    return factory(device, bus)


def poll_frames(device: DeviceSettings) -> list[tuple[int, int]]:
    """Return the bytes on the wire of one poll: of each request, and of its answer."""
    return FRAMES[device.profile.protocol](device.profile)


def _modbus_frames(profile: Profile) -> list[tuple[int, int]]:
    return [frame_bytes(block) for block in plan(profile.polled, profile.limits)]


def _modbus(device: DeviceSettings, bus: Bus) -> Driver:
    try:
        from agent.drivers.modbus.driver import ModbusDriver  # noqa: PLC0415 - on first use
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("pymodbus"):
            raise
        raise MistakeError(
            "Modbus devices need the package pymodbus",
            where=f"device {device.id}",
            mend='install it with pip install "outstation[modbus]"',
        ) from None
    return ModbusDriver(device.id, bus, unit=device.address, profile=device.profile)


def _smp_frames(profile: Profile) -> list[tuple[int, int]]:
    from agent.drivers.smp.plan import frame_bytes  # noqa: PLC0415 - on first use

    return frame_bytes(profile.polled)


def _smp(device: DeviceSettings, bus: Bus) -> Driver:
    try:
        from agent.drivers.smp.driver import SmpDriver  # noqa: PLC0415 - on first use
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("cbor2"):
            raise
        raise MistakeError(
            "SMP devices need the package cbor2",
            where=f"device {device.id}",
            mend='install it with pip install "outstation[smp]"',
        ) from None
    return SmpDriver(device.id, bus, unit=device.address, profile=device.profile)


def _http_json_frames(profile: Profile) -> list[tuple[int, int]]:
    from agent.drivers.http_json.plan import frame_bytes  # noqa: PLC0415 - on first use

    return frame_bytes(profile.polled)


def _http_json(device: DeviceSettings, bus: Bus) -> Driver:
    from agent.drivers.http_json.driver import HttpJsonDriver  # noqa: PLC0415 - on first use

    return HttpJsonDriver(device.id, bus, unit=device.address, profile=device.profile)


def _line_frames(profile: Profile) -> list[tuple[int, int]]:
    from agent.drivers.line.plan import frame_bytes  # noqa: PLC0415 - on first use

    return frame_bytes(profile)


def _line(device: DeviceSettings, bus: Bus) -> Driver:
    from agent.drivers.line.driver import LineDriver  # noqa: PLC0415 - on first use

    return LineDriver(device.id, bus, unit=device.address, profile=device.profile)


def _snmp_frames(profile: Profile) -> list[tuple[int, int]]:
    from agent.drivers.snmp.plan import frame_bytes  # noqa: PLC0415 - on first use

    return frame_bytes(profile)


def _snmp(device: DeviceSettings, bus: Bus) -> Driver:
    from agent.drivers.snmp.driver import SnmpDriver  # noqa: PLC0415 - on first use

    return SnmpDriver(device.id, bus, unit=device.address, profile=device.profile)


def _mqtt_frames(profile: Profile) -> list[tuple[int, int]]:
    from agent.drivers.mqtt.plan import frame_bytes  # noqa: PLC0415 - on first use

    return frame_bytes(profile)


def _mqtt(device: DeviceSettings, bus: Bus) -> Driver:
    from agent.drivers.mqtt.driver import MqttDriver  # noqa: PLC0415 - on first use

    return MqttDriver(device.id, bus, unit=device.address, profile=device.profile)


DRIVERS: dict[str, Factory] = {
    "modbus": _modbus,
    "smp": _smp,
    "http_json": _http_json,
    "line": _line,
    "snmp": _snmp,
    "mqtt": _mqtt,
}
FRAMES: dict[str, Callable[[Profile], list[tuple[int, int]]]] = {
    "modbus": _modbus_frames,
    "smp": _smp_frames,
    "http_json": _http_json_frames,
    "line": _line_frames,
    "snmp": _snmp_frames,
    "mqtt": _mqtt_frames,
}
