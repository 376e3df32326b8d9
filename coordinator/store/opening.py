"""A coordinator's store by the place of its rows; asyncpg is imported only for PostgreSQL."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from coordinator.core.ports import LivingStore
from coordinator.store.sqlite import SqliteStore
from shared.errors import MistakeError
from shared.runtime.logs import Events

_log = Events(__name__)


@asynccontextmanager
async def open_store(
    database: Path, postgres: str, *, finish: bool = False
) -> AsyncIterator[LivingStore]:
    """Open a store, bring its schema up to date, and close it again.

    Args:
        database: SQLite's file; it is made if it is not there.
        postgres: the URL of a PostgreSQL database in its stead, or empty.
        finish: take steps of the schema, too, that wait for the last older program to stop.

    Raises:
        MistakeError: it is somebody else's or a newer program's, or asyncpg is not installed.
        WorldError: it is damaged, the disk did not obey, or the server does not answer.
    """
    if not postgres:
        async with await SqliteStore.open(database) as store:
            yield store
        return
    try:
        # Here and not above: 5 MB that a coordinator on SQLite does without.
        from coordinator.store.postgres import PostgresStore  # noqa: PLC0415
    except ImportError as error:
        raise MistakeError(
            "PostgreSQL needs asyncpg, which is not installed",
            where="--database",
            mend="install outstation[coordinator,postgres]",
        ) from error
    async with await PostgresStore.open(postgres, finish=finish) as other:
        for step in other.waiting:
            _log.event(
                "schema_step_waits",
                level=logging.WARNING,
                step=f"{step.version:03}_{step.name}",
                text="once the last older coordinator has stopped: outstation-coordinator migrate",
            )
        yield other
