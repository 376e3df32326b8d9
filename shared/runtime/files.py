"""Files that survive a power cut, and the one-process rule of a data directory.

Owns atomic replacement, directory syncs and the lock. Leaves out databases: SQLite has its own.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from shared.errors import MistakeError

LOCK_NAME = "lock"
_PID_CHARS = 20


def free_mb(path: Path) -> int:
    """Return the megabytes that users may still write where `path` is; 0 when nobody can tell."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize // 1_000_000


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; a file's own fsync does not cover its name.

    Raises:
        OSError: the device failed; nothing written there may be promised to anyone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_new(path: Path) -> None:
    """Look before any work is done for a file: it is not there yet, and could be.

    Raises:
        MistakeError: it is there, or its folder cannot be written.
    """
    if path.exists():
        raise MistakeError("exists already", where=str(path), mend="name a new file")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Look whether a file could stand here, itself there already or not.

    Raises:
        MistakeError: its folder is none, or cannot be written.
    """
    if not path.parent.is_dir():
        raise MistakeError("cannot be written", where=str(path), mend="make its folder first")
    if not os.access(path.parent, os.W_OK):
        raise MistakeError("cannot be written", where=str(path), mend="its folder is not yours")


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file's content so that a reader, or a power cut, meets the old or the new one.

    `mode` is exact: the umask does not widen or narrow it.

    Raises:
        OSError: nothing was replaced, and no temporary file stays behind.
    """
    with replacing(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = 0o600) -> Iterator[BinaryIO]:
    """Give a file to write that replaces `path`, durably, once the block ends without an error.

    `mode` is exact; None leaves it to the file system, for sticks whose own knows no modes.

    Raises:
        OSError: nothing was replaced, and no temporary file stays behind.
    """
    # A name nobody else makes: two writers of one file must not share a temporary one.
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode or 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # `write` does not know it; people want to
        raise
    sync_directory(path.parent)


class DirectoryLock:
    """The right to be the only process in a directory; the kernel takes it back at exit."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give the directory free; more than once is harmless."""
        if self._descriptor is not None:
            # Closing drops the flock. The file stays: unlinking it would let two processes
            # hold locks on two files of the same name.
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_directory(path: Path) -> DirectoryLock:
    """Take a data directory for this process alone, without waiting.

    Raises:
        MistakeError: another process has it, or the directory cannot be used.
    """
    try:
        descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise MistakeError(
            f"cannot be used as a data directory ({os.strerror(error.errno or 0)})",
            where=str(path),
            mend="name a directory that exists and that this user may write",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, _PID_CHARS, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise MistakeError(
            f"is already used by process {holder or 'unknown'}",
            where=str(path),
            mend="stop that process or name another directory",
        ) from error
    # For the sentence above only; the lock itself is the kernel's.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return DirectoryLock(path, descriptor)
