"""Rows of jobs.db that hold packed values, read back as what was written.

SQLite's own check sees the structure of a file, not what a row says: a value that damage altered
shows when it is unpacked.
"""

from typing import TypeVar

from shared.errors import Reason, RefusedError, WorldError
from shared.wire.codec import unpack

T = TypeVar("T")


class UnreadableRowError(WorldError):
    """A row is not what was written; `JobsFile` then gives the file up, whole as it looks."""


def stored(data: bytes, type_: type[T], *, bound: int) -> T:
    """Return the value that a row holds, as `shared.wire.codec.unpack`.

    Raises:
        UnreadableRowError: STORE_CORRUPT, this is not what was written.
    """
    try:
        return unpack(data, type_, bound=bound)
    except RefusedError as error:
        detail = f"jobs.db: a row that holds a {type_.__name__} is not what was written: {error}"
        raise UnreadableRowError(Reason.STORE_CORRUPT, detail) from error
