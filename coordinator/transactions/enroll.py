"""Enrolment: a claim lets a key become an agent, once, and the same key gets the same answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from coordinator.core.ports import Tx, execute, execute_many, fetch_one
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, fingerprint, is_name, short_code
from shared.model.selector import is_label
from shared.wire.messages import EnrollRequest

SITE_CHARS = 33
"""Leaves room for a hyphen and a code of six in an agent's name of 40."""
_CODE_CHARS = (5, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What lets `count` agents of a site in; only the hash of its secret is kept."""

    claim_id: bytes
    secret_hash: bytes
    site: str
    count: int
    expires_ms: int


def save_claim(claim: Claim, *, actor: str, now_ms: WallMs) -> Tx[None]:
    """Make a claim valid.

    Raises:
        MistakeError: the site cannot be part of a name, or the count is out of range.
    """
    if not is_name(claim.site) or len(claim.site) > SITE_CHARS:
        raise MistakeError(
            f"{claim.site!r} cannot name a site",
            where="site",
            mend=f"use up to {SITE_CHARS} lower case letters, digits and hyphens",
        )
    if not 1 <= claim.count <= limits.CLAIM_COUNT:
        raise MistakeError(f"{claim.count} is not 1 to {limits.CLAIM_COUNT}", where="count")
    yield from execute(
        "claim_insert",
        claim.claim_id,
        claim.secret_hash,
        claim.site,
        claim.count,
        claim.expires_ms,
        now_ms,
        actor,
    )
    yield from audit(
        now_ms,
        actor=actor,
        action="claim.create",
        object_=f"claim:{claim.claim_id.hex()}",
        detail={"site": claim.site, "count": claim.count, "expires_ms": claim.expires_ms},
    )


def enroll(request: EnrollRequest, *, now_ms: WallMs) -> Tx[AgentId]:
    """Return the id of the agent this key is from now on, or has been before.

    Possession of the key was proven by the request's signature.

    Raises:
        RefusedError: CLAIM_INVALID, REVOKED, or BAD_SCHEMA for labels that are none.
    """
    claim = yield from fetch_one("claim_by_secret", sha256(request.secret).digest())
    if claim is None:
        raise RefusedError(Reason.CLAIM_INVALID, "nobody made this claim")
    claim_id, site, count, used, expires_ms = claim
    known = yield from fetch_one("agent_by_key", request.public_key)
    if known is not None:
        # The answer was lost, or the box asks again: the same key is the same agent.
        agent, revoked_ms = known
        if revoked_ms is not None:
            raise RefusedError(Reason.REVOKED)
        return AgentId(agent)
    if now_ms >= expires_ms:
        raise RefusedError(Reason.CLAIM_INVALID, "the claim is over")
    if used >= count:
        raise RefusedError(Reason.CLAIM_INVALID, "the claim is used up")
    labels = _labels(request, site)
    agent = yield from _free_name(request, site)
    yield from execute("claim_use", claim_id)
    yield from execute("agent_insert", agent, request.public_key, site, claim_id, now_ms)
    yield from execute_many("label_insert", ((agent, *label) for label in labels.items()))
    yield from audit(
        now_ms,
        actor=f"claim:{claim_id.hex()}",
        action="agent.enroll",
        object_=f"agent:{agent}",
        detail={"site": site, "fingerprint": fingerprint(request.public_key)},
    )
    return agent


def revoke(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """Let an agent in no more; its id is never given to another. False when there is none."""
    row = yield from fetch_one("agent_revoke", agent, now_ms)
    if row is None:
        return False
    yield from audit(
        now_ms, actor=actor, action="agent.revoke", object_=f"agent:{agent}", detail={}
    )
    return True


def release(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """End a quarantine; False when there is no such agent.

    What is remembered of its reports is forgotten: whichever machine reports next is the agent
    from then on, and another one with its key gives itself away again.
    """
    row = yield from fetch_one("agent_release", agent)
    if row is None:
        return (yield from fetch_one("agent_exists", agent)) is not None
    for query in ("contact_forget", "report_forget", "store_left_forget"):
        yield from execute(query, agent)
    yield from audit(
        now_ms, actor=actor, action="agent.release", object_=f"agent:{agent}", detail={}
    )
    return True


def _labels(request: EnrollRequest, site: str) -> Mapping[str, str]:
    labels = {**request.labels, "site": site}
    if len(labels) > limits.LABELS:
        raise RefusedError(Reason.BAD_SCHEMA, f"more than {limits.LABELS} labels")
    for key, value in labels.items():
        if not is_label(key, value):
            raise RefusedError(Reason.BAD_SCHEMA, f"not a label: {key!r}={value!r}"[:200])
    return labels


def _free_name(request: EnrollRequest, site: str) -> Tx[AgentId]:
    codes = [short_code(request.public_key, length) for length in _CODE_CHARS]
    wanted = [request.name] if is_name(request.name) else []
    for name in [*wanted, *(f"{site}-{code}" for code in codes)]:
        taken = yield from fetch_one("agent_exists", name)
        if taken is None:
            return AgentId(name)
    raise RefusedError(Reason.CLAIM_INVALID, "no free name; choose one")
