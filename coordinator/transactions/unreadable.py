"""A stored block that turns out to be unreadable: put aside, counted, and in the audit log.

Its checksum and header were sound, and its agent's signed report vouched for these bytes, so it was
acknowledged: what no decoder makes anything of was made that way. The bytes are kept, bounded like
others that are kept aside; without room they stay where they are, and every reader passes them by.
Leaves out who finds it (`coordinator.services.rollups`).
"""

from coordinator.core.intake import block_digest
from coordinator.core.ports import Tx, execute, fetch_one
from coordinator.transactions.contact import count_refusals
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId


def set_aside_unreadable(
    agent: AgentId, epoch: bytes, seq: int, data: bytes, *, now_ms: WallMs
) -> Tx[None]:
    """Take a block from among the readings; its number stays received, nobody sends it again."""
    digest = block_digest(data)
    yield from execute(
        "block_aside_insert", agent, epoch, seq, digest, now_ms, data, limits.BLOCKS_ASIDE
    )
    if (yield from fetch_one("block_aside_exists", agent, epoch, seq, digest)) is not None:
        yield from execute("block_remove", agent, epoch, seq)
    yield from count_refusals(agent, {Reason.BLOCK_MALFORMED: 1}, now_ms)
