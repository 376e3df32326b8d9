"""`trust`: tell gateways whom to trust, without a right to enrol."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from coordinator.commands import options as of
from coordinator.errands import make_trust_file
from shared.runtime.files import check_new, write_atomically


def add(commands: of.Commands) -> None:
    """Add `trust`."""
    trust = commands.add_parser(
        "trust", help="write a file that tells gateways whom to trust; it is no secret"
    )
    of.add_place(trust)
    trust.add_argument("--url", help="where those agents reach the coordinator, if elsewhere")
    trust.add_argument("file", type=Path, metavar="FILE")
    trust.set_defaults(command=_write)


def _write(options: argparse.Namespace) -> int:
    check_new(options.file)
    made = asyncio.run(make_trust_file(of.place(options), url=of.reach(options.url)))
    data = msgspec.json.format(msgspec.json.encode(made), indent=2)
    write_atomically(options.file, data + b"\n", mode=0o644)
    print(
        f"{options.file} tells a gateway whom to trust; it gets in once its fingerprint is"
        " registered or accepted"
    )
    return 0
