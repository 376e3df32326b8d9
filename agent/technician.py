"""`outstation-agent status` and `doctor`: what a technician types on a phone at the site.

Owns their arguments, and whether a terminal gets colours. What is shown stands in
`agent.core.status_text` and `agent.core.doctor`.
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
DEFAULT_CONFIG = "/etc/outstation/agent.toml"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare both commands."""
    shown = commands.add_parser("status", help="how this agent is, running or not")
    shown.set_defaults(command=show_status)
    doctor = commands.add_parser(
        "doctor", help="check config, disk, clock, link, ports and devices; say what to mend"
    )
    doctor.set_defaults(command=call_doctor)
    for parser in (shown, doctor):
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
    )
    return list(examine(box))


def has_colours(stream: TextIO) -> bool:
    """Tell whether whoever reads `stream` sees colours: a terminal that nobody asked to be plain.

    https://no-color.org, and POSIX' ``TERM=dumb``.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in {"", "dumb"}
    return stream.isatty() and not plain
