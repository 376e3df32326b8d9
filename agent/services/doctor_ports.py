"""Ports and devices, looked at: may this user open them, and does anybody answer.

Owns the look at a port's file and one read per device where no agent runs. Where one runs, nothing
is sent: the ports are its own, and its status says more.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.doctor import Finding, fail, ok, warn
from agent.core.ports import BusSettings, Driver, Urgency
from agent.core.status import Status
from agent.drivers.registry import make_driver
from shared.errors import MistakeError, Reason

_ASK_S = 15
"""For one device: its time-out, a repeat, and a port that opens slowly."""


def look_at_ports(
    buses: Sequence[BusSettings], devices: Sequence[DeviceSettings], status: Status
) -> Iterator[Finding]:
    """Yield how each port and each device is."""
    usable: set[str] = set()
    for bus in buses:
        finding = _port_file(bus)
        if finding is not None:
            yield finding
        if finding is None or finding.level == "ok":
            usable.add(bus.name)
    if status.running:
        yield from _as_status_says(status)
        return
    for bus in buses:
        here = [device for device in devices if device.bus == bus.name]
        if bus.name in usable and here:
            yield from asyncio.run(_ask_all(bus, here))


def _port_file(bus: BusSettings) -> Finding | None:
    """Return how a serial port's file is; None for a port that has none."""
    parts = urlsplit(bus.url)
    if parts.scheme != "serial":
        return None
    path, where = Path(parts.path), f"bus {bus.name}"
    if not path.exists():
        return fail(
            "port",
            f"{path} is not there",
            where=where,
            mend="is the adapter plugged in? ls -l /dev/serial/by-id shows what is",
        )
    if not path.is_char_device():
        return fail("port", f"{path} is no serial port", where=where, mend="name a /dev/tty...")
    if not os.access(path, os.R_OK | os.W_OK):
        return fail(
            "port",
            f"{path} may not be opened by this user",
            where=where,
            mend="add the user to the port's group (often dialout), then log in again",
        )
    return ok("port", f"{path} may be opened", where)


def _as_status_says(status: Status) -> Iterator[Finding]:
    for bus in status.buses:
        if bus.problem or not bus.up:
            yield fail(
                "port",
                bus.problem or "is not open",
                where=f"bus {bus.name}, {bus.url}",
                mend="the agent tries again by itself every 15 seconds at the latest",
            )
        elif bus.late_polls:
            yield warn(
                "port",
                f"too slow: {bus.late_polls} polls fell away",
                where=f"bus {bus.name}",
                mend="a longer poll_interval_s, a higher baud rate, or fewer devices on it",
            )
    for device in status.devices:
        if device.failed:
            yield _silent(device.id, device.bus, device.problem or "does not answer")
        elif device.polls:
            yield ok("device", f"{device.id} answers", f"bus {device.bus}")
        else:
            yield warn("device", f"{device.id} was not polled yet", where=f"bus {device.bus}")


async def _ask_all(bus: BusSettings, devices: Sequence[DeviceSettings]) -> list[Finding]:
    """Read one point of each device, one after the other, and close the port."""
    try:
        port = open_bus(bus)
    except MistakeError as error:
        return [fail("port", error.what, where=error.where, mend=error.mend)]
    try:
        return [await _ask(device, make_driver(device, port)) for device in devices]
    except MistakeError as error:
        return [fail("device", error.what, where=error.where, mend=error.mend)]
    finally:
        await port.close()


async def _ask(device: DeviceSettings, driver: Driver) -> Finding:
    points = [point.name for point in device.profile.polled][:1]
    if not points:
        return warn("device", f"{device.id} has no polled point", where=f"bus {device.bus}")
    try:
        async with asyncio.timeout(_ASK_S):
            (reading,) = await driver.read(points, urgency=Urgency.COMMAND)
    except TimeoutError:
        return _silent(device.id, device.bus, "says nothing")
    if reading.value is None and reading.reason is Reason.BUS_DOWN:
        return fail(
            "port",
            "cannot be opened",
            where=f"bus {device.bus}",
            mend="who else has it? is the converter on the network?",
        )
    if reading.value is None:
        why = reading.reason.text if reading.reason else reading.quality.name.lower()
        return _silent(device.id, device.bus, why)
    return ok("device", f"{device.id} answers: {points[0]} = {reading.value}", f"bus {device.bus}")


def _silent(device: str, bus: str, why: str) -> Finding:
    return fail(
        "device",
        f"{device}: {why}",
        where=f"bus {bus}",
        mend="power, address, baud and parity of the device; A and B of the line not swapped?",
    )
