"""Which files the orders in jobs.db name: they are fetched, and they stay.

Owns one query. Where files lie stands in `agent.store.artifacts`.
"""

import sqlite3
from collections.abc import Mapping

from agent.store.jobs_file import JobsFile
from agent.store.stored import stored_spec
from shared.errors import MistakeError
from shared.model.artifact import artifacts_of
from shared.runtime.queries import load_queries

_SQL = load_queries("agent.store", "queries/artifacts.sql")


class NeededFiles:
    """Asks jobs.db."""

    def __init__(self, file: JobsFile) -> None:
        self._file = file

    async def all(self) -> Mapping[bytes, int]:
        """Return the size of each file that open orders name, in the order of their admission.

        Raises:
            WorldError: the store does not work now.
        """

        def query(db: sqlite3.Connection) -> dict[bytes, int]:
            found: dict[bytes, int] = {}
            for spec, digest in db.execute(_SQL["specs_with_artifacts"]):
                job = stored_spec(spec, digest)
                try:
                    named = artifacts_of(job)
                except MistakeError:
                    continue  # its step says so when it is done
                found |= {digest: size for digest, size in named.items() if size > 0}
            return found

        return await self._file.read(query)
