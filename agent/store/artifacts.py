"""The shelf: files that jobs name by their content, in a folder of the data directory.

``HEX`` is a whole file whose hash was checked; ``HEX.BOOT.part`` is what has come of one so far, in
this boot. What a part's file holds counts; after a power cut its end may be anything, so the part
of another boot loses what was written after it was made durable last. A download and a stick may
bring the same file at the same time: each byte is appended where its writer thinks it belongs, or
not at all. Leaves out which files are needed (`agent.store.needed`) and how they come
(`agent.services.artifacts`).
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from agent.core.artifacts import Kept, Wanted, to_let_go
from shared import limits
from shared.errors import Reason, RefusedError, WorldError
from shared.model.artifact import artifact_text
from shared.runtime.files import sync_directory

FOLDER: Final = "artifacts"
_PART: Final = ".part"
_GIVEN: Final = ".neighbours"
"""Beside a file: how many of its bytes came from neighbours; absent where none did."""
_READ_BYTES: Final = 1 << 18


class Shelf:
    """One folder of files; every method blocks, for a thread."""

    def __init__(self, data_dir: Path, boot_id: bytes) -> None:
        self._folder = data_dir / FOLDER
        self._boot = boot_id.hex()[:16]

    def find(self, wanted: Wanted) -> Path | None:
        """Return a whole file, its hash checked once more: flash forgets. None: it is not here.

        Raises:
            WorldError: the disk failed.
        """
        path = self._whole(wanted.digest)
        with _disk(path):
            if not path.exists():
                return None
            if path.stat().st_size != wanted.size or _hash(path) != wanted.digest:
                path.unlink()
                self._given(wanted.digest).unlink(missing_ok=True)
                return None
            for left in self._folder.glob(f"{wanted.digest.hex()}.*{_PART}"):
                left.unlink(missing_ok=True)  # begun while somebody else made the file whole
            os.utime(path)
            return path

    def held(self, wanted: Wanted) -> int:
        """Return how many bytes of a file are here, durable or written in this boot."""
        if not self._folder.exists():
            return 0
        with _disk(self._folder), _alone(self._folder):
            return self._adopt(wanted)

    def open_part(self, wanted: Wanted) -> "Part":
        """Return what takes the next bytes of a file.

        Raises:
            WorldError: the disk failed.
        """
        path = self._part(wanted.digest)
        with _disk(path):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            return Part(path, os.fdopen(descriptor, "ab", buffering=0))

    def finish(self, wanted: Wanted) -> Path:
        """Make a part with all its bytes the file of its name; harmless when it is that already.

        Raises:
            RefusedError: ARTIFACT_ALTERED; nothing of it is kept.
            WorldError: the disk failed.
        """
        part, path = self._part(wanted.digest), self._whole(wanted.digest)
        with _disk(part), _alone(self._folder):
            if path.exists() and not part.exists():
                return path  # whoever else brought its last byte was first
            if part.stat().st_size != wanted.size or _hash(part) != wanted.digest:
                part.unlink()
                self._given(wanted.digest).unlink(missing_ok=True)
                raise RefusedError(
                    Reason.ARTIFACT_ALTERED,
                    f"what came is not {artifact_text(wanted.digest)}; nothing of it was kept",
                )
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.rename(path)
            sync_directory(self._folder)
        return path

    def make_room(self, wanted: Wanted, needed: Collection[bytes]) -> None:
        """Let go what no job needs until a file fits.

        Raises:
            WorldError: STORE_QUOTA or STORE_FULL: it does not fit beside what is needed.
        """
        with _disk(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _disk(self._folder), _alone(self._folder):
            kept = [one for one in self._kept() if one.digest != wanted.digest]
            gone = to_let_go(kept, needed, room=wanted.size, most=limits.SHELF_BYTES)
            if gone is None:
                what = f"{wanted.size} bytes do not fit beside what other jobs need"
                raise WorldError(Reason.STORE_QUOTA, what)
            left = [one for one in kept if one not in gone]
            lacking = wanted.size - self._adopt(wanted) + limits.SHELF_FREE_BYTES - self._free()
            lacking -= sum(self._drop(one.digest) for one in gone)
            if lacking > 0:
                most = sum(one.size for one in left) - lacking
                more = to_let_go(left, needed, room=0, most=most)
                if more is None:
                    what = f"the disk has no room for {wanted.size} bytes and what must stay free"
                    raise WorldError(Reason.STORE_FULL, what)
                for one in more:
                    self._drop(one.digest)

    # --- for neighbours -------------------------------------------------------------------------
    def lately(self, since_ms: int) -> dict[Wanted, int]:
        """Return whole files that somebody wanted since then, and when, by the file system."""
        found: dict[Wanted, int] = {}
        with contextlib.suppress(FileNotFoundError, WorldError), _disk(self._folder):
            for path in self._folder.iterdir():
                with contextlib.suppress(ValueError, FileNotFoundError):
                    told = path.stat()
                    used_ms = int(told.st_mtime * 1000)
                    if "." not in path.name and used_ms >= since_ms:
                        found[Wanted(bytes.fromhex(path.name), told.st_size)] = used_ms
        return found

    def shown(self, wanted: Wanted) -> int:
        """Return how many bytes may be read, whole or not; changes nothing."""
        for path in self._places(wanted):
            with contextlib.suppress(OSError):
                return min(path.stat().st_size, wanted.size)
        return 0

    def read(self, wanted: Wanted, start: int, size: int) -> bytes:
        """Return bytes of a file as they are here, not verified; fewer where there are no more."""
        for path in self._places(wanted):
            with contextlib.suppress(OSError), path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        return b""

    def note_given(self, wanted: Wanted, count: int) -> None:
        """Remember that so many bytes of a file came from neighbours; not durable, only told."""
        with _disk(self._folder):
            self._given(wanted.digest).write_text(f"{count}\n")

    def given(self, wanted: Wanted) -> int:
        """Return how many bytes of a file came from neighbours, as far as it is known."""
        try:
            return max(0, min(wanted.size, int(self._given(wanted.digest).read_text())))
        except (OSError, ValueError):
            return 0

    def _places(self, wanted: Wanted) -> tuple[Path, Path]:
        """Return where to look, in this order: a part may become the whole in between."""
        return self._part(wanted.digest), self._whole(wanted.digest)

    def _free(self) -> int:
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def _adopt(self, wanted: Wanted) -> int:
        """Return how much of a part counts, once one of an earlier boot was cut to what is sure."""
        part = self._part(wanted.digest)
        for old in self._folder.glob(f"{wanted.digest.hex()}.*{_PART}"):
            if old == part:
                continue
            # Whatever lies beyond a boundary was written after the bytes before it were synced.
            size = old.stat().st_size
            sure = max(0, size - 1) // limits.SHELF_SYNC_BYTES * limits.SHELF_SYNC_BYTES
            os.truncate(old, sure)
            old.rename(part)
        size = part.stat().st_size if part.exists() else 0
        if size > wanted.size:
            part.unlink()
            return 0
        return size

    def _kept(self) -> Iterator[Kept]:
        for path in self._folder.iterdir():
            with contextlib.suppress(ValueError, FileNotFoundError):
                found = path.stat()
                digest = bytes.fromhex(path.name.partition(".")[0])
                yield Kept(digest, found.st_size, int(found.st_mtime * 1000))

    def _drop(self, digest: bytes) -> int:
        freed = 0
        for path in self._folder.glob(f"{digest.hex()}*"):
            freed += path.stat().st_size
            path.unlink(missing_ok=True)
        return freed

    def _whole(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def _given(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}{_GIVEN}"

    def _part(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.{self._boot}{_PART}"


class Part:
    """Takes bytes behind those that are here; used by one thread."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._opened = os.fstat(file.fileno())
        self.size = self._opened.st_size
        """Bytes that are here."""

    def write(self, data: bytes) -> bool:
        """Append; at each boundary everything before it is made durable first.

        False: somebody else went on with the file, or let it go; nothing was written.

        Raises:
            WorldError: the disk did not take it.
        """
        with _disk(self._path), _alone(self._path.parent):
            if not self._is_last():
                return False
            view = memoryview(data)
            while view:
                left = limits.SHELF_SYNC_BYTES - self.size % limits.SHELF_SYNC_BYTES
                count = self._file.write(view[:left])
                self.size += count
                view = view[count:]
                if self.size % limits.SHELF_SYNC_BYTES == 0:
                    os.fdatasync(self._file.fileno())
        return True

    def _is_last(self) -> bool:
        """Tell whether nobody but this writer has touched the file since it was opened."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False  # whole by now, or given up
        return os.path.samestat(now, self._opened) and now.st_size == self.size

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _hash(path: Path) -> bytes:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.digest()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other writers out of the folder meanwhile: threads of this process and others."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = Reason.STORE_FULL if full else Reason.STORE_FAILED
        raise WorldError(reason, f"{path.name}: {error.strerror or error}") from error
