"""`token`: let people and programs use the REST API."""

import argparse
import asyncio

from coordinator.commands import options as of
from coordinator.core.access import ADMIN, ROLES
from coordinator.errands import issue_token
from shared.clock import WallMs
from shared.runtime.clock import SystemClock


def add(commands: of.Commands) -> None:
    """Add `token create`."""
    token = commands.add_parser("token", help="let people and programs use the REST API")
    create = token.add_subparsers(required=True, metavar="VERB").add_parser(
        "create", help="print a new bearer token; works while the coordinator runs"
    )
    of.add_place(create)
    create.add_argument("--name", required=True, help="whose it is; the audit log names it")
    create.add_argument(
        "--scope",
        default=ADMIN,
        help=f"roles ({', '.join(ROLES)}) and scopes (jobs:read), with commas; default %(default)s",
    )
    create.add_argument(
        "--selector", default="", help='only for agents that match, e.g. "site in (north,south)"'
    )
    create.add_argument("--expires", default="90d", help="for example 12h or 90d (default 90d)")
    create.set_defaults(command=_create)


def _create(options: argparse.Namespace) -> int:
    expires_ms = WallMs(SystemClock().wall_ms() + of.seconds(options.expires) * 1000)
    text = asyncio.run(
        issue_token(
            of.place(options),
            name=options.name,
            scope=options.scope,
            expires_ms=expires_ms,
            selector=options.selector,
        )
    )
    print(text)
    return 0
