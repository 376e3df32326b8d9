"""`backup` and `restore`: a verified copy, and a coordinator that comes back from one."""

import argparse
import asyncio
import sys
from pathlib import Path

from coordinator.app import Place, open_fleet
from coordinator.commands import options as of
from coordinator.services.backup import Made, begin_epoch, make_backup, restore
from coordinator.services.hints import tell_of_documents
from shared.errors import MistakeError
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
    back = commands.add_parser(
        "restore", help="put a coordinator back from a copy, or after pg_restore did so"
    )
    back.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="made by backup; none with PostgreSQL"
    )
    of.add_place(back)
    back.set_defaults(command=_restore)


def _backup(options: argparse.Namespace) -> int:
    place = of.place(options)
    if place.postgres:
        raise MistakeError(
            "PostgreSQL's own tools copy such a database",
            where="--database",
            mend="pg_dump -Fc FLEET > FILE, and keep keys/, ca.pem and admin.toml elsewhere; after"
            " pg_restore, outstation-coordinator restore begins a new epoch",
        )

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
    _check_file(options.file, place)
    place.directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_directory(place.directory.path):
        epoch = asyncio.run(_restored(options.file and options.file.absolute(), place))
    print(f"restored into {place.directory.path}; restore epoch {epoch}")
    print(
        "WARNING: what people did since the copy was made is undone: revoke and release agents and"
        " tokens again, publish newer documents again, hand in jobs again",
        file=sys.stderr,
    )
    return 0


async def _restored(file: Path | None, place: Place) -> int:
    """Put the coordinator back; return its restore epoch."""
    if file is not None:
        return await restore(file, place.directory, place.database, SystemClock())
    async with open_fleet(place) as (store, _):
        epoch = await begin_epoch(store, 0, SystemClock())
        # No lock of a directory keeps replicas from running meanwhile.
        await tell_of_documents(store, place.directory.bell)
        return epoch


def _check_file(file: Path | None, place: Place) -> None:
    if place.postgres and file is not None:
        raise MistakeError(
            "only pg_restore puts a PostgreSQL database back",
            where=str(file),
            mend="do so, then outstation-coordinator restore without a file",
        )
    if not place.postgres and file is None:
        raise MistakeError("needs the copy to restore from", where="FILE", mend="backup made it")
