"""`outstation-sim device`: devices, faults, ledger and one port, until told to stop."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.address import Address
from firmware_sim.clock import SimTime
from firmware_sim.commands.parts import fault_commands, make_time, open_ledger, set_command
from firmware_sim.commands.running import say, serve_until_told
from firmware_sim.control import Command, serve_control
from firmware_sim.device import Device
from firmware_sim.model import Model
from firmware_sim.models import find_model
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.replay import Recording, Replay, bind, read_recording
from firmware_sim.station import Line, Station
from shared import limits
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOrder:
    """What `outstation-sim device` was asked for."""

    models: Sequence[str]
    """NAME or NAME@UNIT each."""
    serial: Path | None
    tcp: Address | None
    units: Sequence[int] = ()
    count: int = 1
    seed: int = 0
    faults: Sequence[str] = ()
    replay: Path | None = None
    columns: Mapping[str, str]
    settings: Sequence[tuple[int | None, str, float]] = ()
    """(unit or all, point, value)."""
    ledger: Path | None = None
    speed: float = 1.0
    start_ms: int | None = None
    baud: int | None = None
    control: Path | None = None
    ready_fd: int | None = None


async def run_device(order: DeviceOrder) -> None:
    """Serve devices on one port until SIGINT or SIGTERM.

    Raises:
        MistakeError, WorldError: it cannot start, or the world made it stop.
    """
    line = Line.SERIAL if order.serial is not None else Line.TCP
    time = make_time(order.speed, order.start_ms)
    devices = make_devices(order, time)
    async with AsyncExitStack() as stack:
        ledger = open_ledger(order.ledger, time, stack)
        station = Station(
            line, devices, faults=order.faults, ledger=ledger, time=time, seed=order.seed
        )
        for unit, name, value in order.settings:
            station.set_value(name, value, unit=unit)
        if order.serial is not None:
            pty = await stack.enter_async_context(serve_pty(station, order.serial, baud=order.baud))
            where, failed = str(order.serial), pty.failed
        else:
            assert order.tcp is not None, "the command line asks for one of the two"
            tcp = await stack.enter_async_context(serve_tcp(station, *order.tcp))
            where, failed = str(tcp.address), tcp.failed
        if order.control is not None:
            await stack.enter_async_context(serve_control(order.control, device_commands(station)))
        for device in devices:
            say(f"{device.model.name} answers as unit {device.unit} on {where}")
        await serve_until_told(where, order.ready_fd, failed)


def make_devices(order: DeviceOrder, time: SimTime) -> list[Device]:
    """Return the devices that were asked for, each at its unit.

    Raises:
        MistakeError: an unknown model, a unit that is none, a recording that does not fit.
    """
    recording = read_recording(order.replay) if order.replay is not None else None
    return [
        Device(
            model,
            unit=unit,
            seed=order.seed,
            started_s=time.start_ms / 1000.0,
            replay=None if recording is None else _bound(recording, model, order.columns),
        )
        for model, unit in _placed(order)
    ]


def _bound(recording: Recording, model: Model, columns: Mapping[str, str]) -> Replay:
    replay = bind(recording, model, columns)
    pairs = (f"{point} from {column}" for point, column in replay.column_of_point.items())
    say(f"{model.name} replays {', '.join(pairs)}")
    if unused := set(recording.columns) - set(replay.column_of_point.values()):
        say(f"not replayed: {', '.join(sorted(unused))} (choose with --map POINT=COLUMN)")
    return replay


def _placed(order: DeviceOrder) -> list[tuple[Model, int]]:
    placed: list[tuple[Model, int]] = []
    if len(order.models) > 1 and (order.units or order.count != 1):
        raise MistakeError(
            "--unit and --count are for one model", mend="write several like pump@1 meter@2"
        )
    for text in order.models:
        name, at, unit_text = text.rpartition("@")
        if not at:
            name, units = text, list(order.units) or [placed[-1][1] + 1 if placed else 1]
            units.extend(range(units[-1] + 1, units[-1] + order.count))
        elif not unit_text.isdecimal() or order.units:
            raise MistakeError(f"{text!r} is not MODEL@UNIT", mend="write it like pump@3")
        else:
            units = [int(unit_text) + step for step in range(order.count)]
        model = find_model(name)
        placed.extend((model, unit) for unit in units)
    for _, unit in placed:
        if not 1 <= unit <= limits.SIM_UNITS:
            raise MistakeError(f"there is no unit {unit}", mend="units go from 1 to 247")
    if len({unit for _, unit in placed}) != len(placed):
        raise MistakeError("two devices have the same unit", mend="give each one of its own")
    return placed


def device_commands(station: Station) -> Mapping[str, Command]:
    """Return the commands of a running device's control socket."""

    def show(_: Sequence[str]) -> object:
        now_s = station.time.now_s()
        return {
            str(device.unit): {p.name: round(device.value(p, now_s), 6) for p in device.points}
            for device in station.devices
        }

    def stats(_: Sequence[str]) -> object:
        return {
            "requests": station.requests,
            "malformed": station.malformed,
            "strangers": station.strangers,
            "faults": [str(active) for active in station.faults],
        }

    faults = fault_commands(station, "silence:p=0.1,for=5")
    return {**faults, "set": set_command(station), "show": show, "stats": stats}
