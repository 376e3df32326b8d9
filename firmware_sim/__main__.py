"""`outstation-sim`: simulated field devices and bad links, on real ports.

Owns the command line's grammar, its help and its exit codes: 0 stopped when told to, 1 the world
failed (a port is taken), 2 a mistake in what was asked.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_sim import faults
from firmware_sim.address import parse_address
from firmware_sim.commands.device import DeviceOrder, run_device
from firmware_sim.commands.image import add_image_options, run_image
from firmware_sim.commands.link import LinkOrder, run_link
from firmware_sim.commands.models import models_json, models_text
from firmware_sim.commands.node_line import NAME as SENSOR_NODE
from firmware_sim.commands.node_line import add_node_options, node_order
from firmware_sim.commands.parts import parse_setting
from firmware_sim.commands.tell import run_tell
from firmware_sim.commands.text import add_text_options, run_text, text_order
from shared import limits
from shared.errors import MistakeError, WorldError
from shared.version import add_version

PROG = "outstation-sim"

_DEVICE_EXAMPLES = f"""\
examples:
  {PROG} device pump --tcp 127.0.0.1:1502
      then, in another terminal:  mbpoll -0 -1 -t 3 -r 0 -c 7 -p 1502 127.0.0.1
  {PROG} device pump --serial /tmp/pump
      a Modbus RTU line:          mbpoll -0 -1 -m rtu -P none -t 3 -r 0 -c 7 /tmp/pump
  {PROG} device pump@1 meter@2 soil@3 --serial /tmp/bus --baud 9600
      three slaves on one line, at the speed of a real one
  {PROG} device pump --tcp 127.0.0.1:0 --fault slow=300 --fault silence:p=0.1,after=10,for=5
  {PROG} device pump --tcp 127.0.0.1:0 --replay recorded.csv --map pressure=p_bar
  {PROG} device pump --tcp 127.0.0.1:1502 --control /tmp/pump.ctl
      then:  {PROG} tell /tmp/pump.ctl fault bad-crc:p=0.2
             {PROG} tell /tmp/pump.ctl set setpoint=4200
             {PROG} tell /tmp/pump.ctl clear | show | stats
  {PROG} device relay --http 127.0.0.1:8080
      then:  curl 'http://127.0.0.1:8080/rpc/Switch.GetStatus?id=0'
  {PROG} device ups --snmp 127.0.0.1:1161
      then:  snmpwalk -v2c -c public 127.0.0.1:1161 1.3.6.1.2.1.33
  {PROG} device relay --mqtt 127.0.0.1:1883
      then:  mosquitto_sub -v -t '#', and:  mosquitto_pub -t cmnd/plug/POWER -m TOGGLE
  {PROG} device weather --line --tcp 127.0.0.1:4001
  {PROG} device soil --line --serial /tmp/probe --fault cut:p=0.1
      NMEA 0183 and SDI-12; a tank answers one line to one request
  {PROG} device {SENSOR_NODE} --udp 127.0.0.1:1337 --flash /tmp/node.flash
      an MCUmgr device with MCUboot; {PROG} image makes images for it
  {PROG} device {SENSOR_NODE} --serial /tmp/node --baud 115200 --fault power-cut=20

When it listens it prints one line on standard output: ready HOST:PORT, or ready PATH.
"""

_LINK_EXAMPLES = f"""\
examples:
  {PROG} link --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --delay-ms 300 --rate-bps 9600
  {PROG} link --listen 127.0.0.1:0 --to 127.0.0.1:8080 --control /tmp/link.ctl
      then:  {PROG} tell /tmp/link.ctl black-hole on     packets vanish, nothing is closed
             {PROG} tell /tmp/link.ctl black-hole off
             {PROG} tell /tmp/link.ctl reset             RST to every connection
             {PROG} tell /tmp/link.ctl delay 500 | rate 64000 | reset-after 10000
             {PROG} tell /tmp/link.ctl target 127.0.0.1:8081 | stats

When it listens it prints one line on standard output: ready HOST:PORT.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == ["demo"]:
            return _demo(given[1:])
        if given[:1] == ["fleet"]:
            return _fleet(given[1:])
        arguments = _parser().parse_args(given)
        return int(arguments.run(arguments))
    except MistakeError as mistake:
        return _complain(str(mistake), 2)
    except WorldError as trouble:
        return _complain(trouble.detail, 1)
    except BrokenPipeError:
        # Whoever read our output has gone, as `| head` does; leave quietly.
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return 130


def _complain(sentence: str, code: int) -> int:
    print(f"{PROG}: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Simulated field devices and bad links, on real ports.",
        epilog=f"'{PROG} COMMAND --help' explains one command, with examples.",
    )
    add_version(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_device(
        commands.add_parser(
            "device",
            help="devices that answer Modbus, MCUmgr SMP, HTTP or lines of text",
            description="Devices that answer Modbus (RTU on a real pseudo-terminal, or TCP), and a "
            f"{SENSOR_NODE} that answers SMP (on a pseudo-terminal, or UDP).",
            epilog=_DEVICE_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_link(
        commands.add_parser(
            "link",
            help="a slow, thin or vanishing link between two TCP programs",
            description="Passes TCP connections on, as badly as you wish.",
            epilog=_LINK_EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    image = commands.add_parser("image", help=f"a signed MCUboot image for a {SENSOR_NODE}")
    add_image_options(image)
    image.set_defaults(run=_image)
    models = commands.add_parser("models", help="the register maps of the devices")
    models.add_argument("model", nargs="*", help="a shipped model, or a TOML file of your own")
    models.add_argument("--json", action="store_true", help="as JSON")
    models.set_defaults(run=_models)
    tell = commands.add_parser("tell", help="a command to a running device or link")
    tell.add_argument("socket", type=Path, help="what --control named")
    tell.add_argument(
        "words", nargs="+", metavar="WORD", help="the command; a wrong one lists them"
    )
    tell.set_defaults(run=_tell)
    commands.add_parser("fleet", help="thousands of gateways that call a coordinator")
    commands.add_parser("demo", help="coordinator, agents and devices tell the whole story")
    return parser


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL[@UNIT]",
        help=f"'{PROG} models' lists them; or a TOML file of your own; or {SENSOR_NODE}",
    )
    port = parser.add_mutually_exclusive_group(required=True)
    port.add_argument(
        "--serial", type=Path, metavar="PATH", help="Modbus RTU, or SMP console; PATH is created"
    )
    port.add_argument("--tcp", metavar="HOST:PORT", help="Modbus TCP; port 0 takes a free one")
    port.add_argument("--udp", metavar="HOST:PORT", help="SMP; port 0 takes a free one")
    port.add_argument("--http", metavar="HOST:PORT", help="HTTP with JSON; port 0 takes a free one")
    port.add_argument("--snmp", metavar="HOST:PORT", help="SNMPv2c; port 0 takes a free one")
    port.add_argument("--mqtt", metavar="HOST:PORT", help="a broker; port 0 takes a free one")
    add = parser.add_argument
    add("--unit", type=int, action="append", default=[], help="unit address; may be repeated")
    add("--count", type=int, default=1, help="this many of them, at consecutive units")
    add("--seed", type=int, default=0, help="same seed, same signals, noise and faults")
    add(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="[UNIT:]POINT=VALUE",
        help="start a setting there, or hold a measurement fast",
    )
    add("--fault", action="append", default=[], dest="faults", metavar="FAULT", help=faults.HELP)
    add(
        "--replay",
        type=Path,
        metavar="CSV",
        help="measurements from a file: unix_ms, then columns named like points or in their order",
    )
    add(
        "--map",
        action="append",
        default=[],
        dest="columns",
        metavar="POINT=COLUMN",
        help="which column of the file a point replays",
    )
    add("--ledger", type=Path, metavar="FILE", help="append a JSON line for each request")
    add("--speed", type=float, default=1.0, help="simulated seconds per second")
    add("--start-ms", type=int, metavar="UNIX_MS", help="simulated time at the start; default now")
    add("--baud", type=int, help="let bytes take the time they take at this speed (serial)")
    add_text_options(parser)
    add_node_options(parser)
    _add_common(parser)
    parser.set_defaults(run=_device)


def _add_link(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--listen", required=True, metavar="HOST:PORT", help="port 0 takes a free one")
    add("--to", required=True, metavar="HOST:PORT", help="where connections lead")
    add("--delay-ms", type=int, default=0, help="one way; a round trip takes twice that")
    add("--rate-bps", type=int, help="bits per second each way, shared by all connections")
    add("--reset-after-bytes", type=int, help="reset each connection after this much")
    add(
        "--keep-stale",
        action="store_true",
        help="connections caught in a black hole go on after it; otherwise they are reset",
    )
    _add_common(parser)
    parser.set_defaults(run=_link)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control",
        type=Path,
        metavar="SOCKET",
        help="take commands there while it runs (see examples)",
    )
    parser.add_argument(
        "--ready-fd",
        type=int,
        metavar="N",
        help="also write the ready line to this descriptor, then close it",
    )


def _device(given: argparse.Namespace) -> int:
    if not 0.0 < given.speed <= 1e6:
        raise MistakeError(f"--speed {given.speed:g} is not above 0 and up to 1000000")
    if given.baud is not None and given.serial is None:
        raise MistakeError("--baud is for a serial line", mend="use it with --serial")
    if given.baud is not None and not 50 <= given.baud <= 10_000_000:
        raise MistakeError(f"--baud {given.baud} is no line speed", mend="9600 is usual")
    if SENSOR_NODE in given.models:
        return _node(given)
    textual = (given.http, given.snmp, given.mqtt)
    if any(port is not None for port in textual) or given.line or given.password:
        asyncio.run(run_text(text_order(given, dict(_pair(text) for text in given.columns))))
        return 0
    if given.udp is not None:
        raise MistakeError("--udp is for SMP", mend=f"Modbus devices take --tcp, {SENSOR_NODE} it")
    if given.columns and given.replay is None:
        raise MistakeError("--map says what to replay", mend="name the file with --replay")
    if not 1 <= given.count <= limits.SIM_UNITS:
        raise MistakeError(f"--count is 1 to {limits.SIM_UNITS}")
    if given.start_ms is not None and not 0 <= given.start_ms < 1 << 43:
        raise MistakeError("--start-ms is a time in milliseconds since 1970")
    order = DeviceOrder(
        models=given.models,
        serial=given.serial,
        tcp=None if given.tcp is None else parse_address(given.tcp),
        units=given.unit,
        count=given.count,
        seed=given.seed,
        faults=given.faults,
        replay=given.replay,
        columns=dict(_pair(text) for text in given.columns),
        settings=[parse_setting(text) for text in given.settings],
        ledger=given.ledger,
        speed=given.speed,
        start_ms=given.start_ms,
        baud=given.baud,
        control=given.control,
        ready_fd=given.ready_fd,
    )
    asyncio.run(run_device(order))
    return 0


def _node(given: argparse.Namespace) -> int:
    order = node_order(given)
    try:
        from firmware_sim.commands.node import run_node  # noqa: PLC0415 - only it needs cbor2
    except ModuleNotFoundError as missing:
        raise MistakeError(
            f"a {SENSOR_NODE} needs {missing.name}", mend="pip install 'outstation[smp]'"
        ) from None
    asyncio.run(run_node(order))
    return 0


def _pair(text: str) -> tuple[str, str]:
    point, equals, column = text.partition("=")
    if not equals or not point or not column:
        raise MistakeError(f"{text!r} is not POINT=COLUMN")
    return point, column


def _link(given: argparse.Namespace) -> int:
    for name in ("delay_ms", "rate_bps", "reset_after_bytes"):
        value, least = getattr(given, name), 0 if name == "delay_ms" else 1
        if value is not None and value < least:
            raise MistakeError(f"--{name.replace('_', '-')} {value} is below {least}")
    order = LinkOrder(
        listen=parse_address(given.listen),
        target=parse_address(given.to),
        delay_ms=given.delay_ms,
        rate_bps=given.rate_bps,
        reset_after_bytes=given.reset_after_bytes,
        keep_stale=given.keep_stale,
        control=given.control,
        ready_fd=given.ready_fd,
    )
    asyncio.run(run_link(order))
    return 0


def _image(given: argparse.Namespace) -> int:
    print(run_image(given), flush=True)
    return 0


def _models(given: argparse.Namespace) -> int:
    print(models_json(given.model) if given.json else models_text(given.model), flush=True)
    return 0


def _tell(given: argparse.Namespace) -> int:
    print(asyncio.run(run_tell(given.socket, given.words)), flush=True)
    return 0


def _demo(argv: Sequence[str]) -> int:
    from firmware_sim.demo import main as demo_main  # noqa: PLC0415 - devices need none of it

    return demo_main(argv)


def _fleet(argv: Sequence[str]) -> int:
    from firmware_sim.commands import fleet  # noqa: PLC0415 - devices need none of it

    parser = argparse.ArgumentParser(
        prog=f"{PROG} fleet",
        description="Plays gateways: real keys, signed contacts, believable readings, outages.",
        epilog=fleet.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fleet.add_fleet_options(parser)
    print(fleet.run_fleet(parser.parse_args(argv)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
