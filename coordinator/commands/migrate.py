"""`migrate`: bring a database's schema up to date, the steps included that wait."""

import argparse
import asyncio

from coordinator.commands import options as of
from coordinator.place import existing
from coordinator.store.opening import open_store


def add(commands: of.Commands) -> None:
    """Add `migrate`."""
    parser = commands.add_parser(
        "migrate",
        help="end a rolling upgrade on PostgreSQL: the last older coordinator has stopped",
    )
    of.add_place(parser)
    parser.set_defaults(command=_migrate)


def _migrate(options: argparse.Namespace) -> int:
    place = of.place(options)
    if not place.postgres:
        existing(place)

    async def work() -> None:
        async with open_store(place.database, place.postgres, finish=True):
            pass

    asyncio.run(work())
    print("the schema is up to date")
    return 0
