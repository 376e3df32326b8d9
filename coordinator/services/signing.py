"""A bundle is signed: the same for one that answers a contact and one that leaves on a stick."""

from dataclasses import dataclass

from coordinator.services.shelf import InForce
from coordinator.transactions.issue import Order
from shared.clock import WallMs
from shared.ids import AgentId, key_id
from shared.trust.documents import BUNDLE_TYP, Bundle
from shared.trust.envelope import seal
from shared.wire.codec import pack

NOT_BEFORE_MS = 3_600_000
"""A bundle is valid from an hour before it was signed: an agent's clock drifts between contacts."""
STALE_S = 5_184_000
"""60 days of powered silence end what an agent may begin; a class of the policy may say less."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """Whom a bundle is for: an agent, its key, and its memory of what ran."""

    agent: AgentId
    public_key: bytes
    jobs_epoch: bytes


def sign_bundle(
    order: Order, to: Addressee, force: InForce, *, now_ms: WallMs, valid_s: int
) -> bytes:
    """Return the envelope of a bundle whose number is committed."""
    shelf = force.shelf
    bundle = Bundle(
        fleet=shelf.root.fleet,
        agent=to.agent,
        agent_key=key_id(to.public_key),
        jobs_epoch=to.jobs_epoch,
        epoch=shelf.root.epoch,
        root_version=shelf.root.version,
        catalog_version=shelf.catalog.version,
        policy_version=shelf.policy.version,
        restore_epoch=shelf.restore_epoch,
        seq=order.seq,
        issued_ms=now_ms,
        not_before_ms=now_ms - NOT_BEFORE_MS,
        expires_ms=now_ms + valid_s * 1000,
        stale_s=STALE_S,
        grants=list(order.grants),
        cancels=list(order.cancels),
    )
    return seal(BUNDLE_TYP, pack(bundle), [force.director])
