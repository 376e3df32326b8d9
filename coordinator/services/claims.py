"""Claims: the file that lets a gateway in, made by the command line and by the REST API alike."""

import base64
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from coordinator.contract.common import to_time
from coordinator.contract.fleet import ClaimFile
from coordinator.core.ports import Store
from coordinator.transactions.enroll import Claim, save_claim
from coordinator.transactions.fleet import Fleet
from shared.clock import Clock, Entropy, WallMs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimWish:
    """Who may enrol."""

    site: str
    count: int
    expires_ms: WallMs
    url: str
    """Where the agents will reach us; the fleet's own URL when empty."""


async def create_claim(
    store: Store,
    fleet: Fleet,
    ca_pem: str,
    wish: ClaimWish,
    *,
    actor: str,
    clock: Clock,
    entropy: Entropy,
) -> ClaimFile:
    """Make a claim and return the file for the gateway; its secret is kept nowhere else.

    Raises:
        MistakeError: the site or the count cannot be used.
    """
    secret = entropy.token(32)
    claim = Claim(
        claim_id=entropy.token(8),
        secret_hash=sha256(secret).digest(),
        site=wish.site,
        count=wish.count,
        expires_ms=wish.expires_ms,
    )
    body = partial(save_claim, claim, actor=actor, now_ms=clock.wall_ms())
    await store.run(body, durable=True)
    return ClaimFile(
        url=wish.url or fleet.url,
        fleet=fleet.fleet_id.hex(),
        site=wish.site,
        secret=secret.hex(),
        ca_pem=ca_pem,
        root=base64.b64encode(fleet.root).decode(),
        expires=to_time(wish.expires_ms),
    )
