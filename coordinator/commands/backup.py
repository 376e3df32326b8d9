"""`backup` and `restore`: a verified copy, and a coordinator that comes back from one."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from coordinator.commands import options as of
from coordinator.core.ports import Store
from coordinator.place import Place, open_fleet, whole_or_nothing
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.services.backup import (
    Made,
    artifacts_of,
    begin_epoch,
    check_copy,
    keys_of,
    make_backup,
    restore,
)
from coordinator.services.backup_artifacts import copy_artifacts, whole_artifacts
from coordinator.services.hints import tell_of_documents
from coordinator.store.opening import open_store
from coordinator.transactions.artifacts import Artifact
from shared.errors import MistakeError
from shared.model.artifact import artifact_text
from shared.runtime.clock import SystemClock
from shared.runtime.files import lock_directory
from shared.words import some

_NAMED = 20
"""Missing files that are named; a screen shows as many."""


def add(commands: of.Commands) -> None:
    """Add `backup` and `restore`."""
    backup = commands.add_parser(
        "backup", help="copy the database and verify the copy; works while the coordinator runs"
    )
    of.add_place(backup)
    backup.add_argument("to", type=Path, metavar="FILE|DIR")
    backup.add_argument("--with-keys", action="store_true", help="into a second file beside it")
    backup.add_argument(
        "--artifacts", action="store_true", help="into a folder beside it; only what is new there"
    )
    backup.add_argument("--force", action="store_true", help="replace an older copy of that name")
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
    _check_new(options)

    async def work() -> tuple[Made, str]:
        async with open_fleet(place) as (store, _):
            made = await make_backup(
                store,
                place.database,
                place.directory,
                options.to.absolute(),
                clock=SystemClock(),
                with_keys=options.with_keys,
            )
            return made, await _keep_artifacts(store, place, made.path, copy=options.artifacts)

    made, artifacts = asyncio.run(work())
    print(f"{made.path}: {made.size} bytes, verified, sha256 {made.digest.hex()}")
    if made.keys is None:
        print("its keys are not in it: keep a copy of keys/, ca.pem and admin.toml elsewhere")
    else:
        print(
            f"WARNING: {made.keys} holds every key of this machine: whoever has it is the"
            " coordinator; keep it where nobody gets at it",
            file=sys.stderr,
        )
    print(artifacts)
    return 0


def _check_new(options: argparse.Namespace) -> None:
    for path in (options.to, keys_of(options.to) if options.with_keys else options.to):
        if path.exists() and not options.to.is_dir() and not options.force:
            raise MistakeError(
                "exists already",
                where=str(path),
                mend="name another file, or a folder, whose copies carry the time; or add --force",
            )


async def _keep_artifacts(store: Store, place: Place, path: Path, *, copy: bool) -> str:
    """Copy artifacts if they are to be; return the sentence about them."""
    wanted = await whole_artifacts(store)
    if not wanted:
        return "there are no artifacts"
    if not copy:
        return f"{_sum(wanted)} not in it: copy artifacts/ elsewhere, or add --artifacts"
    folder = artifacts_of(path)
    here = ArtifactFolder(place.directory.artifacts)
    missing = await copy_artifacts(wanted, here, ArtifactFolder(folder))
    if missing:
        _warn_missing(missing)
    return f"{folder}: {_sum([one for one in wanted if one not in missing])} there, verified"


def _sum(artifacts: Sequence[Artifact]) -> str:
    """Return for instance ``3 artifacts (1,024 bytes) are``."""
    size = sum(one.size for one in artifacts)
    verb = "is" if len(artifacts) == 1 else "are"
    return f"{some(len(artifacts), 'artifact')} ({size:,} bytes) {verb}"


def _warn_missing(missing: Sequence[Artifact]) -> None:
    """Name the files that gateways would ask for in vain."""
    print(
        f"WARNING: {_sum(missing)} missing or damaged; outstation artifacts push FILE brings one"
        " back",
        file=sys.stderr,
    )
    for one in missing[:_NAMED]:
        text = f"{artifact_text(one.digest)}  {one.size:,} bytes  {one.name} {one.version}"
        print(f"  {text.rstrip()}", file=sys.stderr)
    if len(missing) > _NAMED:
        print(f"  and {len(missing) - _NAMED} more", file=sys.stderr)


def _restore(options: argparse.Namespace) -> int:
    place = of.place(options)
    _check_file(options.file, place)
    place.directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_directory(place.directory.path), whole_or_nothing(place.directory.path):
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
        epoch = await restore(file, place.directory, place.database, SystemClock())
        async with open_store(place.database, "") as store:
            await _bring_artifacts(store, place, ArtifactFolder(artifacts_of(file)))
        return epoch
    async with open_fleet(place) as (store, _):
        epoch = await begin_epoch(store, 0, SystemClock())
        # No lock of a directory keeps replicas from running meanwhile.
        await tell_of_documents(store, place.directory.bell)
        await _bring_artifacts(store, place, ArtifactFolder(place.directory.artifacts))
        return epoch


async def _bring_artifacts(store: Store, place: Place, kept: ArtifactFolder) -> None:
    """Put back what the directory lacks, and say what is nowhere."""
    here = ArtifactFolder(place.directory.artifacts)
    if missing := await copy_artifacts(await whole_artifacts(store), kept, here):
        _warn_missing(missing)


def _check_file(file: Path | None, place: Place) -> None:
    if place.postgres and file is not None:
        raise MistakeError(
            "only pg_restore puts a PostgreSQL database back",
            where=str(file),
            mend="do so, then outstation-coordinator restore without a file",
        )
    if not place.postgres and file is None:
        raise MistakeError("needs the copy to restore from", where="FILE", mend="backup made it")
    if file is not None:
        check_copy(file.absolute(), place.directory)
