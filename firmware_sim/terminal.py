"""A pseudo-terminal with a stable name: the serial line of a simulated device.

Owns its descriptors, its name and the lock on that name. Leaves out what is said on it.
"""

import os
import socket
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from shared.errors import MistakeError, Reason, WorldError


@contextmanager
def named_terminal(path: Path) -> Iterator[int]:
    """Create a terminal that `path` names; yield the device's end, non-blocking; remove both.

    Raises:
        MistakeError: `path` is something else, or cannot be created.
        WorldError: another simulated device serves it, or there is no terminal left.
    """
    lock = _claim(path)
    try:
        # Masters come and go: our own hold on their end keeps ours from hanging up.
        ours, theirs = _terminal()
        try:
            device = os.ttyname(theirs)
            _publish(path, device)
            try:
                yield ours
            finally:
                with suppress(OSError):
                    if path.readlink() == Path(device):
                        path.unlink()
        finally:
            os.close(ours)
            os.close(theirs)
    finally:
        lock.close()


def _terminal() -> tuple[int, int]:
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        raise WorldError(
            Reason.BUS_DOWN, f"this machine has no pseudo-terminal left: {error.strerror}"
        ) from error
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    return ours, theirs


def _claim(path: Path) -> socket.socket:
    """Return a lock on a terminal's name that ends with this process, however it ends.

    An abstract socket: a lock on the terminal itself would keep masters from locking theirs.
    """
    name = sha256(os.fsencode(path.absolute())).hexdigest()
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(f"\0outstation-sim-{name}")
    except OSError:
        lock.close()
        raise WorldError(
            Reason.BUS_DOWN, f"{path} is already served by another simulated device"
        ) from None
    return lock


def _publish(path: Path, device: str) -> None:
    """Let `path` name the terminal; replace what an earlier run left, and nothing else."""
    if os.path.lexists(path) and not (
        path.is_symlink() and path.readlink().is_relative_to("/dev/pts")
    ):
        raise MistakeError(
            f"{path} exists and is no simulated port", mend="remove it or choose another --serial"
        )
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.symlink_to(device)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise MistakeError(
            f"cannot create {path}: {error.strerror}", mend="choose another --serial"
        ) from None
