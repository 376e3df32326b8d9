"""Who sends what nobody signed: bounded by address, so that it costs little to refuse.

Only contacts that failed their check count against an address, so a site with a hundred gateways
behind one is never slowed by their number. A gateway that proved itself from an address stands
there for itself: what strangers send from the same one does not shut it out. Who has spent what an
address may is refused before a key is looked for in the database; one that stands there is known by
its signature, should somebody else have used its name. Leaves out what a check is
(`coordinator.services.verifier`) and who an address is (`coordinator.api`).
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from shared import limits
from shared.clock import Clock
from shared.errors import Reason, RefusedError
from shared.ids import AgentId

_V6_PREFIX = 64
"""Of one customer: whoever has it has all its addresses (RFC 6177)."""


@dataclass(slots=True)
class _Bucket:
    """How many failures were too many for what passed since."""

    failures: float
    at_ms: int


class Sources:
    """What came from where and was no good; bounded, the one that failed longest ago goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._homes: dict[AgentId, str] = {}
        """From where each agent proved itself last."""

    def __len__(self) -> int:
        """Return how many are watched."""
        return len(self._buckets)

    def admit(self, source: str, agent: AgentId) -> None:
        """Let a contact be looked at that claims to be an agent's.

        Args:
            source: its address as `source_of` gives it; empty: nobody knows, and nothing is bound.
            agent: not verified.

        Raises:
            RefusedError: CONTACTS_CROWDED.
        """
        if not source or not self._buckets:
            return
        bucket = self._buckets.get(self._key(source, agent))
        if bucket is not None and self._left(bucket) < 1:
            raise RefusedError(Reason.CONTACTS_CROWDED, "too much from your address was no good")

    def fail(self, source: str, agent: AgentId) -> None:
        """Count a contact that was no good."""
        if not source:
            return
        key, now_ms = self._key(source, agent), self._clock.mono_ms()
        bucket = self._buckets.pop(key, None)
        failures = 0.0 if bucket is None else limits.SOURCE_FAILURES - self._left(bucket)
        if len(self._buckets) >= limits.SOURCES_WATCHED:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = _Bucket(failures + 1, now_ms)

    def prove(self, source: str, agent: AgentId) -> None:
        """Remember from where an agent's report was verified."""
        if not source or self.is_home(source, agent):
            return
        self._homes.pop(agent, None)
        if len(self._homes) >= limits.KEYS_REMEMBERED:
            del self._homes[next(iter(self._homes))]
        self._homes[agent] = source

    def is_home(self, source: str, agent: AgentId) -> bool:
        """Tell whether an agent proved itself from an address last."""
        return self._homes.get(agent) == source

    def _key(self, source: str, agent: AgentId) -> tuple[str, str]:
        return (source, agent if self.is_home(source, agent) else "")

    def _left(self, bucket: _Bucket) -> float:
        """Return how many more may fail now."""
        passed_s = (self._clock.mono_ms() - bucket.at_ms) / 1000
        failures = max(0.0, bucket.failures - passed_s * limits.SOURCE_FAILURES_PER_S)
        return limits.SOURCE_FAILURES - failures


@lru_cache(maxsize=4_096)
def source_of(address: str) -> str:
    """Return what is bound together: an IPv4 address, the network of an IPv6 one.

    Empty for this machine, whose proxy may not say who calls, and for what is no address.

    >>> source_of("192.0.2.7"), source_of("2001:db8:1:2:3::4"), source_of("127.0.0.1")
    ('192.0.2.7', '2001:db8:1:2::', '')
    """
    if not address:
        return ""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.IPv6Network((found, _V6_PREFIX), strict=False).network_address)
