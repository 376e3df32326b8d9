"""Which stored blocks a question about readings needs, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.ports import Tx, fetch, fetch_one
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.reading import SchemaRef


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block as it came, with what the index knows of it."""

    agent: AgentId
    last_ms: WallMs
    rowid: int
    """Tells blocks of the same end apart; a cursor, not an id."""
    schema: SchemaRef
    data: bytes


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk through the blocks stands: the last one seen."""

    last_ms: int
    rowid: int


def blocks_between(
    agent: str, *, start_ms: int, end_ms: int, before: Cursor, size: int
) -> Tx[Sequence[StoredBlock]]:
    """Return blocks with rows in [start_ms, end_ms), latest end first, from `before` on.

    An empty `agent` means every agent.
    """
    name = "blocks_of_agent" if agent else "blocks_of_all"
    values = (before.last_ms, before.rowid, start_ms, end_ms, size)
    rows = yield from fetch(name, *values, *([agent] if agent else []))
    return [StoredBlock(*row) for row in rows]


def load_schema(agent: AgentId, ref: SchemaRef) -> Tx[bytes | None]:
    """Return a channel list's bytes, None while its agent has not sent it."""
    row = yield from fetch_one("schema", agent, ref)
    return row[0] if row else None
