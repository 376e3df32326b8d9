"""How much of one agent is taken in on a day, so that none of them can fill the disk for all.

What is over the quota is neither acknowledged nor refused: the agent keeps it and brings it the
next day, told by `Reply.next_s` when that begins. So a quota loses nothing.
"""

from dataclasses import dataclass
from functools import lru_cache

from coordinator.core.ports import Query, Tx, fetch_one
from coordinator.core.retention import Keeping, keeping_of
from coordinator.core.rollup import DAY_MS, HOUR_MS
from shared import limits
from shared.block.codec import BlockHeader
from shared.clock import WallMs
from shared.ids import AgentId


@dataclass(slots=True)
class Quota:
    """One agent's day while a contact is taken in."""

    agent: AgentId
    now_ms: WallMs
    keeping: Keeping
    bytes: int
    """Taken in today before this contact, and with it."""
    held_back: int = 0
    """Blocks that have to wait for tomorrow."""

    def admits(self, header: BlockHeader, size: int) -> bool:
        """Take a block of so many bytes into account, or hold it back."""
        size = max(size, cost(header))
        most = self.keeping.quota_bytes(header.priority)
        if most is not None and self.bytes + size > most:
            self.held_back += 1
            return False
        self.bytes += size
        return True

    @property
    def next_s(self) -> int:
        """Return after how many seconds what was held back may come; 0: nothing was."""
        if not self.held_back:
            return 0
        return (DAY_MS - self.now_ms % DAY_MS) // 1000 + 1


def cost(header: BlockHeader) -> int:
    """Return what a block counts at least, however few bytes say what it says.

    Rollups have rows for each hour and channel that it has readings in. Its header may say less
    than its columns do: then it is unreadable, and has none.
    """
    hours = min(header.count, (header.last_ms - header.first_ms) // HOUR_MS + 1)
    return max(hours * limits.QUOTA_HOUR_BYTES, header.count * limits.QUOTA_READING_BYTES)


def load_quota(agent: AgentId, now_ms: WallMs) -> Tx[Quota]:
    """Return what an agent may still bring today."""
    row = yield from fetch_one("intake_day", agent)
    quota = yield from fetch_one("keeping_quota")
    keeping = _keeping(None if quota is None else quota[0])
    today = row is not None and row[0] == now_ms // DAY_MS
    return Quota(agent, now_ms, keeping, int(row[1]) if row is not None and today else 0)


@lru_cache(maxsize=16)
def _keeping(quota: int | None) -> Keeping:
    return keeping_of({} if quota is None else {"quota": quota})


def save_quota(quota: Quota) -> Query:
    """Return what keeps how much was taken in."""
    day = quota.now_ms // DAY_MS
    return Query("intake_day_save", (quota.agent, day, quota.bytes))
