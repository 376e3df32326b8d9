"""`backup` and `restore`: a verified copy, and a coordinator that comes back from one."""

import argparse
import asyncio
import sys
from pathlib import Path

from coordinator.app import open_fleet
from coordinator.commands import options as of
from coordinator.services.backup import Made, make_backup, restore
from shared.runtime.clock import SystemClock
from shared.runtime.files import lock_directory


def add(commands: of.Commands) -> None:
    """Add `backup` and `restore`."""
    backup = commands.add_parser(
        "backup", help="copy the database and verify the copy; works while the coordinator runs"
    )
    of.add_place(backup)
    backup.add_argument("to", type=Path, metavar="FILE|DIR")
    backup.add_argument("--with-keys", action="store_true", help="into a second file beside it")
    backup.set_defaults(command=_backup)
    back = commands.add_parser("restore", help="put a coordinator back from a copy")
    back.add_argument("file", type=Path, metavar="FILE")
    of.add_place(back)
    back.set_defaults(command=_restore)


def _backup(options: argparse.Namespace) -> int:
    place = of.place(options)

    async def work() -> Made:
        async with open_fleet(place) as (store, _):
            return await make_backup(
                store,
                place.database,
                place.directory,
                options.to.absolute(),
                clock=SystemClock(),
                with_keys=options.with_keys,
            )

    made = asyncio.run(work())
    print(f"{made.path}: {made.size} bytes, verified, sha256 {made.digest.hex()}")
    if made.keys is None:
        print("its keys are not in it: keep a copy of keys/, ca.pem and admin.toml elsewhere")
    else:
        print(
            f"WARNING: {made.keys} holds every key of this machine: whoever has it is the"
            " coordinator; keep it where nobody gets at it",
            file=sys.stderr,
        )
    return 0


def _restore(options: argparse.Namespace) -> int:
    place = of.place(options)
    place.directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_directory(place.directory.path):
        epoch = asyncio.run(
            restore(options.file.absolute(), place.directory, place.database, SystemClock())
        )
    print(f"restored into {place.directory.path}; restore epoch {epoch}")
    print(
        "WARNING: what people did since the copy was made is undone: revoke and release agents and"
        " tokens again, publish newer documents again, hand in jobs again",
        file=sys.stderr,
    )
    return 0
