"""Support bundles as agents bring them: kept in pieces, the newest few of each agent."""

from dataclasses import dataclass

from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.trust.words import Support


@dataclass(frozen=True, slots=True)
class BundleRow:
    """One bundle, as far as it has come."""

    sha256: bytes
    name: str
    size: int
    """Bytes of its text."""
    parts: int
    at_ms: WallMs
    """When its first piece came."""
    here: int
    """Pieces that have come."""


def keep_piece(agent: AgentId, word: Support, now_ms: WallMs) -> Tx[bool]:
    """Keep one piece; False when it was here already. The oldest bundles beyond the bound go."""
    yield from execute(
        *("support_insert", agent, word.sha256, word.name, word.size, word.parts, now_ms)
    )
    row = yield from fetch_one("support_piece_insert", agent, word.sha256, word.number, word.data)
    if row is None:
        return False
    for (old,) in (yield from fetch("support_old", agent, limits.SUPPORT_KEPT)):
        yield from execute("support_pieces_forget", agent, old)
        yield from execute("support_forget", agent, old)
    if word.number == word.parts - 1:
        yield from audit(
            now_ms,
            actor=f"agent:{agent}",
            action="agent.support",
            object_=f"agent:{agent}",
            detail={"bundle": word.sha256.hex(), "bytes": word.size},
        )
    return True


def list_bundles(agent: str) -> Tx[list[BundleRow]]:
    """Return an agent's bundles, the newest first."""
    return [BundleRow(*row) for row in (yield from fetch("support_of_agent", agent))]


def load_pieces(agent: str, sha256: bytes) -> Tx[list[bytes] | None]:
    """Return the pieces of a bundle that is here whole, else None."""
    row = yield from fetch_one("support_parts", agent, sha256)
    pieces = [data for (data,) in (yield from fetch("support_pieces", agent, sha256))]
    return pieces if row is not None and len(pieces) == row[0] else None
