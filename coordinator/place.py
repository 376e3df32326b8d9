"""One coordinator's files, and the fleet that was founded in them.

Leaves out what is done there: it serves (`coordinator.app`), or a command does one thing and ends
(`coordinator.errands`). Imports nothing that only a server needs.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.core.ports import LivingStore
from coordinator.keys.directory import DataDirectory
from coordinator.store.opening import open_store
from coordinator.transactions.fleet import Fleet, load_fleet
from shared.errors import MistakeError
from shared.runtime.files import LOCK_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one coordinator's files are."""

    directory: DataDirectory
    database: Path
    """SQLite's file."""
    postgres: str = ""
    """The URL of a PostgreSQL database in its stead."""


@asynccontextmanager
async def open_fleet(place: Place) -> AsyncIterator[tuple[LivingStore, Fleet]]:
    """Open a coordinator's database and close it again.

    Raises:
        MistakeError: nothing was founded there, or its schema is newer.
        WorldError: it is damaged, or the disk did not obey.
    """
    directory = existing(place)
    async with open_store(place.database, place.postgres) as store:
        fleet = await store.read(load_fleet)
        if fleet is None:
            raise _not_founded(directory)
        yield store, fleet


def existing(place: Place) -> DataDirectory:
    """Return the directory of a coordinator that was founded there.

    Raises:
        MistakeError: none was.
    """
    # Rows may stand elsewhere; keys never do.
    there = place.directory.authority if place.postgres else place.database
    if not there.is_file():
        raise _not_founded(place.directory)
    return place.directory


@contextmanager
def whole_or_nothing(directory: Path) -> Iterator[None]:
    """Take everything out of a directory again if the block fails, where it was empty before it."""
    began_empty = all(one.name == LOCK_NAME for one in directory.iterdir())
    try:
        yield
    except BaseException:
        for one in list(directory.iterdir()) if began_empty else []:
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            elif one.name != LOCK_NAME:
                one.unlink(missing_ok=True)
        raise


def _not_founded(directory: DataDirectory) -> MistakeError:
    if directory.request.exists():
        return MistakeError(
            "the ceremony of this fleet is not over",
            where=str(directory.path),
            mend="outstation-coordinator adopt brings the signed papers home",
        )
    return MistakeError(
        "no fleet was founded here",
        where=str(directory.path),
        mend="outstation-coordinator init DIR makes one",
    )
