"""A copy of a coordinator that was opened and checked, and a coordinator put back from one.

A copy is one SQLite file, made page by page while the coordinator runs. Only once it was verified
the running database learns what is in it, and tells agents what they may forget. Keys are copied
only when asked for. Leaves out what the database learns (`coordinator.transactions.backup`).
"""

import asyncio
import errno
import hashlib
import os
import sqlite3
import tarfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from coordinator.core.ports import Store
from coordinator.keys.directory import DataDirectory
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.backup import (
    Safe,
    begin_again,
    load_restore_epoch,
    load_safe,
    note_backup,
)
from coordinator.transactions.fleet import load_fleet
from shared.clock import Clock, WallMs
from shared.errors import MistakeError, OutstationError, Reason, WorldError
from shared.runtime.files import replacing, sync_directory

KEYS_SUFFIX = ".keys"
ARTIFACTS_SUFFIX = ".artifacts"
_PAGES = 2_048
"""Pages copied at a time: 8 MB, then the coordinator may write."""
_KEPT = ("ca.pem", "admin.toml", "keys")
_READ_BYTES = 1 << 20
_SQLITE = b"SQLite format 3\0"
"""The first bytes of every SQLite file."""


@dataclass(frozen=True, slots=True)
class Made:
    """A verified copy."""

    path: Path
    size: int
    digest: bytes
    keys: Path | None
    agents: int


async def make_backup(
    store: Store,
    database: Path,
    directory: DataDirectory,
    to: Path,
    *,
    clock: Clock,
    with_keys: bool,
) -> Made:
    """Copy a database that may be in use, verify the copy, and let agents know.

    Args:
        store: the same database, to tell it.
        database: its file.
        directory: where its keys are.
        to: a file, or a folder that gets one with the time in its name.
        clock: for that name.
        with_keys: copy keys too, into a second file: whoever has both is the coordinator.

    Raises:
        MistakeError: the place cannot be written.
        WorldError: the copy failed its check; there is none then.
    """
    path = _named(to, _stamp(clock.wall_ms()))
    partial_path = path.with_name(f".{path.name}.partial")
    keys = keys_of(path) if with_keys else None
    try:
        await asyncio.to_thread(_copy, database, partial_path)
        safe = await _verify(partial_path)
        digest = await asyncio.to_thread(_settle, partial_path, path)
        if keys is not None:
            await asyncio.to_thread(_copy_keys, directory, keys)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(path)) from error
    finally:
        _remove(partial_path)
    now_ms = clock.wall_ms()
    await store.run(partial(note_backup, safe, digest=digest, now_ms=now_ms), durable=True)
    return Made(path, _size(path), digest, keys, len({one.agent for one in safe}))


async def restore(file: Path, directory: DataDirectory, database: Path, clock: Clock) -> int:
    """Put a coordinator back from a copy; return its restore epoch.

    What was in the place of the database is set aside, never deleted.

    Raises:
        MistakeError: the copy is none, it is of another fleet, or there are no keys.
    """
    fresh = database.with_name(f".{database.name}.restoring")
    _remove(fresh)
    try:
        await asyncio.to_thread(_copy, file, fresh)
        await _verify(fresh)
        before = await _epoch_before(database)
        async with await SqliteStore.open(fresh) as store:
            epoch = await begin_epoch(store, before, clock)
        await asyncio.to_thread(_swap, fresh, database, _stamp(clock.wall_ms()))
        if not directory.keys.is_dir():
            await asyncio.to_thread(_unpack_keys, keys_of(file), directory)
    except OSError as error:
        raise MistakeError(
            f"cannot be written ({error.strerror})", where=str(directory.path)
        ) from error
    finally:
        _remove(fresh)
    return epoch


async def begin_epoch(store: Store, before: int, clock: Clock) -> int:
    """Let a database that was put back answer for the fleet; return its restore epoch.

    Args:
        store: the database.
        before: the epoch that the one in its place had, 0 when nobody can say.
        clock: two restores never share an epoch, for it counts seconds since 1970: whichever
            copies they began from, also when nothing is left of the one before.

    Raises:
        WorldError: nothing was changed.
    """
    known = max(before, await store.read(load_restore_epoch))
    epoch = max(known + 1, clock.wall_ms() // 1000)
    body = partial(begin_again, restore_epoch=epoch, now_ms=clock.wall_ms())
    await store.run(body, durable=True)
    return epoch


async def _verify(path: Path) -> list[Safe]:
    """Open a copy as a coordinator would; return what it holds."""
    await asyncio.to_thread(_check, path)
    async with await SqliteStore.open(path) as store:
        if await store.read(load_fleet) is None:
            raise MistakeError("holds no fleet", where=str(path))
        return await store.read(load_safe)


async def _epoch_before(database: Path) -> int:
    """Return the restore epoch of the database that is being replaced, 0 when nobody can say."""
    if not _is_there(database):
        return 0
    try:
        async with await SqliteStore.open(database) as store:
            return await store.read(load_restore_epoch)
    except OutstationError:
        return 0


def _copy(source: Path, target: Path) -> None:
    """Copy a database in use; the copy is one file, of one moment.

    A copy begins anew when somebody commits between two steps of it, unless it reads in a
    transaction: what is written meanwhile then waits in the log beside the database.
    """
    _remove(target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.execute("BEGIN")
            old.execute("SELECT 1 FROM sqlite_schema").fetchone()  # from here on it reads one state
            old.backup(new, pages=_PAGES)
            new.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise MistakeError(f"is no database that can be copied ({error})", where=str(source)) from (
            error
        )


def _check(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as db:
            said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise WorldError(Reason.STORE_CORRUPT, f"{path}: the copy failed its check ({said})")


def _settle(temporary: Path, path: Path) -> bytes:
    """Give a verified copy its name, durably; return its sha256."""
    with closing(sqlite3.connect(temporary)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    digest = hashlib.sha256()
    with temporary.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)
    return digest.digest()


def _swap(fresh: Path, database: Path, stamp: str) -> None:
    with closing(sqlite3.connect(fresh)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    for suffix in ("-wal", "-shm", ""):
        old = database.with_name(database.name + suffix)
        if old.exists():
            old.replace(database.with_name(f"{database.name}.before-{stamp}{suffix}"))
    fresh.replace(database)
    sync_directory(database.parent)


def _copy_keys(directory: DataDirectory, path: Path) -> None:
    with replacing(path, mode=0o600) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name in _KEPT:
            if (directory.path / name).exists():
                tar.add(directory.path / name, arcname=name)


def keys_of(file: Path) -> Path:
    """Return where the keys of a copy are, if they were kept with it."""
    return file.with_name(file.name + KEYS_SUFFIX)


def artifacts_of(file: Path) -> Path:
    """Return the folder of a copy's artifacts, if they were kept with it."""
    return file.with_name(file.name + ARTIFACTS_SUFFIX)


def _named(to: Path, stamp: str) -> Path:
    return to / f"outstation-{stamp}.db" if to.is_dir() else to


def _size(path: Path) -> int:
    return path.stat().st_size


def _is_there(path: Path) -> bool:
    return path.exists()


def check_copy(file: Path, directory: DataDirectory) -> None:
    """Look before anything is made for a restore whether there is something to restore from.

    Raises:
        MistakeError: the file is no copy, or there are no keys.
    """
    try:
        with file.open("rb") as copy:
            begun = copy.read(len(_SQLITE))
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(file)) from error
    if begun != _SQLITE:
        raise MistakeError("is no copy that backup made", where=str(file))
    if directory.keys.is_dir() or keys_of(file).is_file():
        return
    raise MistakeError(
        "has no keys, and without them nobody believes this coordinator",
        where=str(directory.path),
        mend=f"put keys, ca.pem and admin.toml there, or {keys_of(file).name} beside the copy",
    )


def _unpack_keys(path: Path, directory: DataDirectory) -> None:
    try:
        with tarfile.open(path, "r:") as tar:
            for member in _own(tar.getmembers()):
                _unpack(tar, member, directory.path)
    except tarfile.TarError as error:
        raise MistakeError(f"holds no keys ({error})", where=str(path)) from error
    directory.keys.chmod(0o700)
    for key in directory.keys.iterdir():
        key.chmod(0o600)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one member as `backup` put it there: tarfile's own filters came with CPython 3.11.4.

    Raises:
        tarfile.TarError: it is no plain file or directory below the folder.
    """
    target = folder / member.name
    if ".." in target.parts or not (member.isdir() or member.isreg()):
        raise tarfile.TarError(f"{member.name} is not from a backup")
    if member.isdir():
        target.mkdir(mode=0o700, exist_ok=True)
        return
    content = tar.extractfile(member)
    assert content is not None, "it is a file"
    with content:
        target.write_bytes(content.read())
    target.chmod(member.mode & 0o755)


def _own(members: Sequence[tarfile.TarInfo]) -> list[tarfile.TarInfo]:
    return [one for one in members if one.name.split("/")[0] in _KEPT]


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _stamp(now_ms: WallMs) -> str:
    return datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
