"""`outstation-agent status`, `devices`, `doctor`, `lock`, `unlock`: what is typed at the site.

Owns their arguments, and whether a terminal gets colours. What is shown stands in
`agent.core.status_text`, `agent.core.device_list` and `agent.core.doctor`.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

from agent.core.doctor import Finding, fail, has_failed
from agent.core.doctor import render as render_findings
from shared.errors import MistakeError

OK, FAILED = 0, 1
_ANSWER_S = 30
"""How long a technician waits for a slow disk's agent."""
DEFAULT_CONFIG = "/etc/outstation/agent.toml"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands."""
    shown = commands.add_parser("status", help="how this agent is, running or not")
    shown.set_defaults(command=show_status)
    listed = commands.add_parser("devices", help="what is attached here, and what was found")
    listed.set_defaults(command=show_devices)
    doctor = commands.add_parser(
        "doctor", help="check config, disk, clock, link, ports and devices; say what to mend"
    )
    doctor.set_defaults(command=call_doctor)
    lock = commands.add_parser(
        "lock", help="hands are inside: nothing is written or switched for a while"
    )
    lock.add_argument(
        "--for", dest="seconds", type=seconds_of, default=7200, metavar="TIME", help="2h, 45m, 90s"
    )
    lock.set_defaults(command=lambda options: _say(options, f"lock {options.seconds}"))
    unlock = commands.add_parser("unlock", help="hands are out: orders that waited go on")
    unlock.set_defaults(command=lambda options: _say(options, "unlock"))
    for parser in (shown, listed, doctor, lock, unlock):
        parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
        parser.add_argument(
            "--config", type=Path, default=Path(DEFAULT_CONFIG), metavar="FILE", help="TOML"
        )


def show_status(options: argparse.Namespace) -> int:
    """Print how the agent is; exit 0 whatever that is."""
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.core.status_text import render  # noqa: PLC0415
    from agent.services.ask import find_status  # noqa: PLC0415

    config = load_config(options.config)
    budget = config.uplink.budget
    status = find_status(config.data_dir, config.runtime_dir, config.devices, budget)
    if options.json:
        print(msgspec.json.encode(status).decode())
    else:
        print(render(status, colours=has_colours(sys.stdout)))
    return OK


def show_devices(options: argparse.Namespace) -> int:
    """Print what is attached and what was found, whether the agent runs or not."""
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.core.adopted import adopted_in  # noqa: PLC0415
    from agent.core.device_list import (  # noqa: PLC0415
        DeviceList,
        candidate_row,
        device_rows,
        lines_of,
    )
    from agent.core.status_text import paint  # noqa: PLC0415
    from agent.services.ask import find_status  # noqa: PLC0415
    from agent.services.lookout import candidates_in  # noqa: PLC0415

    config = load_config(options.config)
    status = find_status(config.data_dir, config.runtime_dir, config.devices)
    found = {one.id: one for one in status.devices} if status.running else {}
    told = DeviceList(
        devices=device_rows(config.devices, found, adopted_in(config.remote), config.aside),
        candidates=[candidate_row(one) for one in candidates_in(config.data_dir)],
    )
    if options.json:
        print(msgspec.json.encode(told).decode())
    else:
        print(paint(lines_of(told), colours=has_colours(sys.stdout)))
    return OK


def call_doctor(options: argparse.Namespace) -> int:
    """Print what is right and wrong; exit 1 when something does not work."""
    import msgspec  # noqa: PLC0415

    findings = _examined(options.config)
    failed = has_failed(findings)
    if options.json:
        print(msgspec.json.encode({"failed": failed, "findings": findings}).decode())
    else:
        print(render_findings(findings, colours=has_colours(sys.stdout)))
    return FAILED if failed else OK


def seconds_of(text: str) -> int:
    """Return the seconds of ``90s``, ``45m``, ``2h`` or ``1d``.

    >>> seconds_of("45m")
    2700
    """
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not number.isdigit() or len(number) > 6:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2h, 45m or 90s")
    return int(number) * unit


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _say(options: argparse.Namespace, words: str) -> int:
    """Say words to the running agent and print what it answers."""
    import msgspec  # noqa: PLC0415

    from agent.config import load_config  # noqa: PLC0415
    from agent.services.ask import insist, socket_path  # noqa: PLC0415
    from agent.services.site_lock import LockAnswer  # noqa: PLC0415

    config = load_config(options.config)
    try:
        said = insist(socket_path(config.runtime_dir, config.data_dir), words, wait_s=_ANSWER_S)
    except OSError as error:
        raise MistakeError(
            f"the agent is there and does not answer ({error.strerror or error})",
            where=str(config.data_dir),
            mend="ask again, as its user; until it says so, believe neither locked nor unlocked",
        ) from None
    if not said:
        raise MistakeError(
            "the agent does not run, and so does nothing to the site",
            where=str(config.data_dir),
            mend="cut the power of what you work on if it could start",
        )
    try:
        answer = msgspec.json.decode(said, type=LockAnswer)
    except msgspec.ValidationError:
        raise MistakeError(
            "this agent takes no orders, so there is nothing to lock", mend="it is not enrolled"
        ) from None
    if options.json:
        print(said.decode().strip())
    elif answer.error:
        print(f"outstation-agent: {answer.error}", file=sys.stderr)
    else:
        minutes = -(-answer.locked_s // 60)
        print(f"locked for {minutes} minutes" if answer.locked_s else "unlocked")
    return FAILED if answer.error else OK


def _examined(path: Path) -> list[Finding]:
    from agent.config import load_config  # noqa: PLC0415
    from agent.services.doctor import Box, examine  # noqa: PLC0415

    try:
        config = load_config(path)
    except MistakeError as error:
        return [fail("config", error.what, where=error.where, mend=error.mend)]
    box = Box(
        data_dir=config.data_dir,
        runtime_dir=config.runtime_dir,
        buses=config.buses,
        devices=config.devices,
        budget=config.uplink.budget,
        endpoint=config.uplink.endpoint,
    )
    return list(examine(box))


def has_colours(stream: TextIO) -> bool:
    """Tell whether whoever reads `stream` sees colours: a terminal that nobody asked to be plain.

    https://no-color.org, and POSIX' ``TERM=dumb``.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in {"", "dumb"}
    return stream.isatty() and not plain
