"""What a verified copy of the database holds, and a database that was put back from one."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.transactions.outbox import jump
from coordinator.transactions.rows import audit, unpack_ranges
from shared.clock import WallMs
from shared.sync.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Safe:
    """Blocks of one telemetry store below a number are in a copy."""

    agent: str
    epoch: bytes
    safe_to: int


def load_safe() -> Tx[list[Safe]]:
    """Return what this database holds without a gap, or knows to be gone; asked of a copy."""
    found = []
    for agent, epoch, received, gone in (yield from fetch("telemetry_all")):
        held = Ranges.joined([*unpack_ranges(received), *unpack_ranges(gone)])
        if held.spans and held.spans[0][0] == 1:
            found.append(Safe(agent, epoch, held.spans[0][1] + 1))
    return found


def note_backup(safe: Sequence[Safe], *, digest: bytes, now_ms: WallMs) -> Tx[None]:
    """Remember what a copy holds, once it was verified: agents may forget that from now on."""
    yield from execute("backup_made", now_ms, digest)
    yield from execute_many("backup_safe", ((one.agent, one.epoch, one.safe_to) for one in safe))
    yield from audit(
        now_ms,
        actor="command line",
        action="coordinator.backup",
        object_="coordinator",
        detail={"sha256": digest.hex()},
    )


def begin_again(*, restore_epoch: int, now_ms: WallMs) -> Tx[None]:
    """Begin a new restore epoch: from here on this database answers for the fleet.

    Agents accept its lower numbers because of the epoch, which the director signs in every reply
    and bundle; and nothing of before, even what was signed later than this copy was made.
    """
    yield from execute("restore_epoch_set", restore_epoch)
    row = yield from fetch_one("backup_newest")
    yield from execute("restore_insert", restore_epoch, now_ms, row[0] if row else 0)
    yield from jump(restore_epoch)
    yield from audit(
        now_ms,
        actor="command line",
        action="coordinator.restore",
        object_="coordinator",
        detail={"restore_epoch": restore_epoch},
    )


def load_restore_epoch() -> Tx[int]:
    """Return how far restores have come; 0 before the first."""
    row = yield from fetch_one("restore_epoch")
    epoch: int = row[0] if row else 0
    return epoch
