"""`outstation-sim device MODEL --http|--snmp|--mqtt` or `--line`: no registers, one port each.

Owns which models speak what. Imports nothing of Modbus' ports.
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.address import Address, parse_address
from firmware_sim.bench import Bench
from firmware_sim.clock import SimTime
from firmware_sim.commands.parts import (
    fault_commands,
    make_time,
    open_ledger,
    parse_setting,
    set_command,
)
from firmware_sim.commands.running import say, serve_until_told
from firmware_sim.control import Command, serve_control
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.http_json.ports import serve_http
from firmware_sim.http_json.relay import Relay
from firmware_sim.line.device import FAULTS, TextDevice
from firmware_sim.line.gauge import Gauge
from firmware_sim.line.ports import serve_line_pty, serve_line_tcp
from firmware_sim.line.sdi12 import Probe
from firmware_sim.line.weather import Weather
from firmware_sim.models import find_model
from firmware_sim.mqtt.plug import Plug
from firmware_sim.mqtt.ports import serve_mqtt
from firmware_sim.replay import bind, read_recording
from firmware_sim.snmp.agent import Agent
from firmware_sim.snmp.ports import serve_snmp
from shared.errors import MistakeError

RELAY = "relay"
UPS = "ups"
SPEAKERS: Mapping[str, Callable[[Bench], TextDevice]] = {
    "tank": Gauge,
    "weather": Weather,
    "soil": lambda bench: Probe(bench, address=str(bench.device.unit % 10)),
}
"""What a model speaks on a line of text: a gauge's protocol, NMEA 0183, SDI-12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOrder:
    """What was asked for."""

    model: str
    http: Address | None
    snmp: Address | None
    mqtt: Address | None
    serial: Path | None
    tcp: Address | None
    unit: int = 1
    baud: int | None = None
    password: str = ""
    seed: int = 0
    faults: Sequence[str] = ()
    replay: Path | None = None
    columns: Mapping[str, str]
    settings: Sequence[tuple[int | None, str, float]] = ()
    ledger: Path | None = None
    speed: float = 1.0
    start_ms: int | None = None
    control: Path | None = None
    ready_fd: int | None = None


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Add what only devices that answer in text take."""
    add = parser.add_argument_group("only for devices that answer in text").add_argument
    speakers = ", ".join(SPEAKERS)
    add("--line", action="store_true", help=f"{speakers} speak lines of text instead of Modbus")
    add("--password", default="", metavar="TEXT", help=f"a {RELAY} asks who speaks: admin:TEXT")


def text_order(given: argparse.Namespace, columns: Mapping[str, str]) -> TextOrder:
    """Return what was asked for.

    Raises:
        MistakeError: no such device speaks so, or it takes no such option.
    """
    if len(given.models) != 1 or given.count != 1 or len(given.unit) > 1:
        raise MistakeError("a device that answers in text has a port for itself")
    (model,) = given.models
    if given.http is not None and model != RELAY:
        raise MistakeError(f"a {model} speaks no HTTP", mend=f"a {RELAY} does")
    if given.snmp is not None and model != UPS:
        raise MistakeError(f"a {model} speaks no SNMP", mend=f"a {UPS} does")
    if given.mqtt is not None and model != RELAY:
        raise MistakeError(f"a {model} speaks no MQTT", mend=f"a {RELAY} does")
    if given.line and model not in SPEAKERS:
        raise MistakeError(
            f"a {model} speaks no lines of text", mend=f"choose one of {', '.join(SPEAKERS)}"
        )
    if given.password and given.http is None and given.mqtt is None:
        raise MistakeError("--password is for --http and --mqtt")
    if given.line and given.serial is None and given.tcp is None:
        raise MistakeError("--line needs a port", mend="use --serial PATH or --tcp HOST:PORT")
    return TextOrder(
        model=model,
        http=None if given.http is None else parse_address(given.http),
        snmp=None if given.snmp is None else parse_address(given.snmp),
        mqtt=None if given.mqtt is None else parse_address(given.mqtt),
        serial=given.serial,
        tcp=None if given.tcp is None else parse_address(given.tcp),
        unit=given.unit[0] if given.unit else 1,
        baud=given.baud,
        password=given.password,
        seed=given.seed,
        faults=given.faults,
        replay=given.replay,
        columns=columns,
        settings=[parse_setting(text) for text in given.settings],
        ledger=given.ledger,
        speed=given.speed,
        start_ms=given.start_ms,
        control=given.control,
        ready_fd=given.ready_fd,
    )


async def run_text(order: TextOrder) -> None:
    """Serve one device until SIGINT or SIGTERM.

    Raises:
        MistakeError, WorldError: it cannot start, or the world made it stop.
    """
    async with AsyncExitStack() as stack:
        time = make_time(order.speed, order.start_ms)
        ledger = open_ledger(order.ledger, time, stack)
        bench = Bench(
            _device(order, time),
            can=FAULTS if order.serial or order.tcp else TEXT_FAULTS,
            faults=order.faults,
            ledger=ledger,
            time=time,
            seed=order.seed,
        )
        for _, name, value in order.settings:
            bench.set_value(name, value)
        where, failed = await _serve(order, bench, stack)
        if order.control is not None:
            await stack.enter_async_context(serve_control(order.control, _commands(bench)))
        say(f"{order.model} answers on {where}")
        await serve_until_told(where, order.ready_fd, failed)


async def _serve(
    order: TextOrder, bench: Bench, stack: AsyncExitStack
) -> tuple[str, "asyncio.Future[None]"]:
    if order.http is not None:
        relay = Relay(bench, password=order.password, seed=order.seed)
        http = await stack.enter_async_context(serve_http(relay, *order.http))
        return str(http.address), http.failed
    if order.snmp is not None:
        snmp = await stack.enter_async_context(serve_snmp(Agent(bench), *order.snmp))
        return str(snmp.address), snmp.failed
    if order.mqtt is not None:
        user = "admin" if order.password else ""
        broker = await stack.enter_async_context(
            serve_mqtt(Plug(bench), *order.mqtt, user=user, password=order.password)
        )
        return str(broker.address), broker.failed
    devices = [SPEAKERS[order.model](bench)]
    if order.serial is not None:
        serving = serve_line_pty(devices, order.serial, baud=order.baud)
    else:
        assert order.tcp is not None, "the command line asks for one of them"
        serving = serve_line_tcp(devices, *order.tcp)
    line = await stack.enter_async_context(serving)
    return str(line.where), line.failed


def _device(order: TextOrder, time: SimTime) -> Device:
    model = find_model(order.model)
    replay = None
    if order.replay is not None:
        replay = bind(read_recording(order.replay), model, order.columns)
    started_s = time.start_ms / 1000.0
    return Device(model, unit=order.unit, seed=order.seed, started_s=started_s, replay=replay)


def _commands(bench: Bench) -> Mapping[str, Command]:
    def show(_: Sequence[str]) -> object:
        return {point.name: round(bench.value(point.name), 6) for point in bench.device.points}

    def stats(_: Sequence[str]) -> object:
        faults = [str(active) for active in bench.faults]
        return {"requests": bench.requests, "malformed": bench.malformed, "faults": faults}

    faults = fault_commands(bench, "silence:p=0.1,for=5")
    return {**faults, "set": set_command(bench), "show": show, "stats": stats}
