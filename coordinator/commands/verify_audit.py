"""`verify-audit`: follow the hashes of the audit log and say where they break."""

import argparse
import asyncio
from functools import partial

from coordinator.commands import options as of
from coordinator.core.audit import Broken, Head, parse_head
from coordinator.place import open_fleet
from coordinator.transactions.audit import verify_audit
from shared.errors import MistakeError


def add(commands: of.Commands) -> None:
    """Add `verify-audit`."""
    verify = commands.add_parser(
        "verify-audit", help="check that nobody changed the audit log; works while it runs"
    )
    of.add_place(verify)
    verify.add_argument(
        "--expect",
        metavar="NUMBER:HASH",
        help="a head that was printed before and kept elsewhere: who can write to the whole "
        "database can make a new chain, but not one that leads through it",
    )
    verify.set_defaults(command=_verify)


def _verify(options: argparse.Namespace) -> int:
    expected = _head(options.expect) if options.expect else None
    found = asyncio.run(_follow(options, expected))
    match found:
        case Broken(number, why):
            print(f"BROKEN: entry {number} {why}")
            return 1
        case Head():
            print(f"{found.number} entries, none of them changed; keep this elsewhere:")
            print(found.text)
            return 0


async def _follow(options: argparse.Namespace, expected: Head | None) -> Head | Broken:
    async with open_fleet(of.place(options)) as (store, _):
        return await store.read(partial(verify_audit, expected))


def _head(text: str) -> Head:
    head = parse_head(text)
    if head is None:
        raise MistakeError(
            f"{text[:80]!r} is not NUMBER:HASH",
            where="--expect",
            mend="give the line that verify-audit printed",
        )
    return head
