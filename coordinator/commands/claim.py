"""`claim`: let gateways enrol."""

import argparse
import asyncio
from pathlib import Path

import msgspec

from coordinator.commands import options as of
from coordinator.errands import make_claim
from coordinator.services.claims import ClaimWish
from shared.clock import WallMs
from shared.runtime.clock import SystemClock
from shared.runtime.files import check_new, write_atomically
from shared.words import some


def add(commands: of.Commands) -> None:
    """Add `claim create`."""
    claim = commands.add_parser("claim", help="let gateways enrol")
    create = claim.add_subparsers(required=True, metavar="VERB").add_parser(
        "create", help="write a claim file; works while the coordinator runs"
    )
    of.add_place(create)
    create.add_argument("--site", required=True, help="the site its agents belong to")
    create.add_argument("--count", type=int, default=1, help="agents it lets in (default 1)")
    create.add_argument("--expires", default="7d", help="for example 12h or 7d (default 7d)")
    create.add_argument("--url", help="where those agents reach the coordinator, if elsewhere")
    create.add_argument("file", type=Path, metavar="FILE")
    create.set_defaults(command=_create)


def _create(options: argparse.Namespace) -> int:
    expires_ms = WallMs(SystemClock().wall_ms() + of.seconds(options.expires) * 1000)
    wish = ClaimWish(
        site=options.site, count=options.count, expires_ms=expires_ms, url=of.reach(options.url)
    )
    check_new(options.file)
    claim = asyncio.run(make_claim(of.place(options), wish))
    data = msgspec.json.format(msgspec.json.encode(claim), indent=2)
    write_atomically(options.file, data + b"\n", mode=0o600)
    print(
        f"{options.file} lets {some(wish.count, 'agent')} of site {wish.site} in;"
        " guard it like a key"
    )
    return 0
