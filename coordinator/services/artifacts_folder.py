"""Artifacts in a folder: ``ab/cdef...`` once whole, ``partial/abcdef...`` before.

Owns the files, that only whole ones with the right hash get their name, and one writer for each
upload, also where several coordinators share the folder. How many bytes of an upload are here is
how long its file is: nothing else to keep in step. Leaves out what is known of them
(`coordinator.transactions.artifacts`).
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from coordinator.core.artifacts import OvertakenError
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.runtime.files import sync_directory

_READ_BYTES: Final = 1 << 20


@dataclass(slots=True)
class _Upload:
    """Who writes a file now: the newest request; what is older has lost its connection."""

    turn: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ArtifactFolder:
    """`coordinator.core.artifacts.Blobs` on a disk of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._uploads: dict[bytes, _Upload] = {}

    async def received(self, digest: bytes) -> int:
        """Return how many bytes of a file are here."""
        whole = await asyncio.to_thread(_size, self._whole(digest))
        if whole is not None:
            return whole
        return await asyncio.to_thread(_size, self._partial(digest)) or 0

    async def has(self, digest: bytes) -> bool:
        """Tell whether the whole file is here."""
        return await asyncio.to_thread(_size, self._whole(digest)) is not None

    async def sound(self, digest: bytes) -> bool:
        """Tell whether the whole file is here as its name says; a damaged one is gone then."""
        path = self._whole(digest)
        with _disk(path):
            return await asyncio.to_thread(_sound, path, digest)

    async def write(
        self, digest: bytes, offset: int, chunks: AsyncIterator[bytes], wanted: bytes | None
    ) -> int:
        """Append to an upload; see `coordinator.core.artifacts.Blobs.write`."""
        upload = self._uploads.setdefault(digest, _Upload())
        upload.turn += 1
        turn, path, hashed = upload.turn, self._partial(digest), sha256()
        with _disk(path):
            async with upload.lock:
                here = await asyncio.to_thread(_begin, path)
            if here != offset:
                raise OvertakenError(
                    f"{here} bytes are here, not {offset}",
                    where="header.upload-offset",
                    mend=f"go on at {here}",
                )
            try:
                async for chunk in chunks:
                    async with upload.lock:
                        _check_turn(upload, turn)
                        await asyncio.to_thread(_append, path, here, chunk)
                    hashed.update(chunk)
                    here += len(chunk)
            finally:
                await asyncio.to_thread(_sync, path)
            if wanted is not None and hashed.digest() != wanted:
                async with upload.lock:
                    _check_turn(upload, turn)
                    await asyncio.to_thread(os.truncate, path, offset)
                raise MistakeError(
                    "the piece is not what its digest says; it was not kept",
                    where="header.content-digest",
                    mend="send it again",
                )
        return here

    async def settle(self, digest: bytes) -> bool:
        """Make an upload the file of its name; False when it has another hash, and is gone."""
        partial, whole = self._partial(digest), self._whole(digest)
        upload = self._uploads.setdefault(digest, _Upload())
        with _disk(partial):
            async with upload.lock:
                upload.turn += 1
                done = await asyncio.to_thread(_settle, partial, whole, digest)
        self._uploads.pop(digest, None)
        return done

    async def read(self, digest: bytes, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, end) of a settled file."""
        path = self._whole(digest)
        with _disk(path):
            file = await asyncio.to_thread(path.open, "rb")
            try:
                await asyncio.to_thread(file.seek, start)
                while start < end:
                    most = min(limits.ARTIFACT_CHUNK_BYTES, end - start)
                    chunk = await asyncio.to_thread(file.read, most)
                    if not chunk:
                        raise WorldError(Reason.STORE_CORRUPT, f"{path} ends before its end")
                    start += len(chunk)
                    yield chunk
            finally:
                file.close()

    async def peek(self, digest: bytes, start: int, size: int) -> bytes:
        """Return up to `size` bytes of a settled file, to tell what it is."""
        path = self._whole(digest)
        with _disk(path):
            return await asyncio.to_thread(_peek, path, start, size)

    async def remove(self, digest: bytes) -> None:
        """Let a file go; harmless without one."""
        upload = self._uploads.pop(digest, None)
        if upload is not None:
            upload.turn += 1
        for path in (self._whole(digest), self._partial(digest)):
            with _disk(path):
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def all(self) -> set[bytes]:
        """Return the names of everything that is here, whole or not."""
        return await asyncio.to_thread(lambda: set(_names(self._path)))

    def _whole(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._path / name[:2] / name[2:]

    def _partial(self, digest: bytes) -> Path:
        return self._path / "partial" / digest.hex()


def _names(path: Path) -> Iterator[bytes]:
    for folder in path.iterdir() if path.is_dir() else ():
        prefix = "" if folder.name == "partial" else folder.name
        for file in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(ValueError):
                yield bytes.fromhex(prefix + file.name)


def _check_turn(upload: _Upload, turn: int) -> None:
    if upload.turn != turn:
        raise _overtaken()


def _overtaken() -> OvertakenError:
    return OvertakenError("another request goes on with this upload", where="artifact")


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Say what the disk did not do.

    Raises:
        WorldError: STORE_FULL or STORE_FAILED.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in {28, 122}  # ENOSPC, EDQUOT
        reason = Reason.STORE_FULL if full else Reason.STORE_FAILED
        raise WorldError(reason, f"{path}: {error.strerror or error}") from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _begin(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _append(path: Path, offset: int, data: bytes) -> None:
    """Write where an upload ends.

    Raises:
        OvertakenError: it ends elsewhere. Another replica may have gone on with it, or settled it;
            or a request was given up while its thread waited for the disk. A turn tells neither.
    """
    try:
        file = path.open("r+b", buffering=0)
    except FileNotFoundError:
        raise _overtaken() from None
    with file, _alone(file.fileno()):
        if file.seek(0, os.SEEK_END) != offset:
            raise _overtaken()
        try:
            _write(file, data)
        except OSError:
            # A piece of a piece is no harm, but a torn one is not what the next request expects.
            with contextlib.suppress(OSError):
                file.truncate(offset)
            raise


def _write(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep other threads and replicas from an upload, where the folder can."""
    # Where it cannot, the offset has to do: what is written twice there is the same bytes.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield


def _sync(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())


def _settle(partial: Path, whole: Path, digest: bytes) -> bool:
    if whole.exists():
        partial.unlink(missing_ok=True)
        return True
    with partial.open("r+b") as file, _alone(file.fileno()):
        if _hash(file) != digest:
            partial.unlink()
            return False
        os.fsync(file.fileno())
    whole.parent.mkdir(mode=0o700, exist_ok=True)
    partial.rename(whole)
    sync_directory(whole.parent)
    sync_directory(whole.parent.parent)
    return True


def _sound(path: Path, digest: bytes) -> bool:
    try:
        with path.open("rb") as file:
            if _hash(file) == digest:
                return True
    except FileNotFoundError:
        return False
    path.unlink(missing_ok=True)
    return False


def _hash(file: BinaryIO) -> bytes:
    hashed = sha256()
    while data := file.read(_READ_BYTES):
        hashed.update(data)
    return hashed.digest()


def _peek(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)
