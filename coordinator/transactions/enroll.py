"""A key becomes an agent: by a claim, by its fingerprint told beforehand, or by a person's word.

The same key always gets the same answer: a lost one costs nothing. Leaves out what people decide
(`coordinator.transactions.enrolments`) and what becomes of an agent later
(`coordinator.transactions.membership`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from coordinator.core.ports import Tx, execute, execute_many, fetch_one
from coordinator.transactions.happenings import happened
from coordinator.transactions.rows import audit, to_json
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, fingerprint, is_name, parse_fingerprint, short_code
from shared.model.selector import is_label
from shared.wire.messages import EnrollRequest

SITE_CHARS = 33
"""Leaves room for a hyphen and a code of six in an agent's name of 40."""
ID_CHARS = 12
"""Digits of a fingerprint that name an enrolment; whoever decides compares all 32."""
_CODE_CHARS = (5, 6)
_MINUTE_MS = 60_000
_PENDING_KEPT_MS = 86_400_000
"""A box that has not asked for a day has given up, or was no box."""
_REJECTED_KEPT_MS = 30 * 86_400_000
_AGAIN_MIN_S, _AGAIN_MAX_S = 5, 300
_AGAIN_PART = 10
"""A box asks again after a tenth of the time it has waited: soon while a person is at the phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What lets `count` agents of a site in; only the hash of its secret is kept."""

    claim_id: bytes
    secret_hash: bytes
    site: str
    count: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Entered:
    """What a key is told: who it is now, or when to ask again."""

    agent: AgentId | None
    site: str = ""
    again_s: int = 0


def save_claim(claim: Claim, *, actor: str, now_ms: WallMs) -> Tx[None]:
    """Make a claim valid.

    Raises:
        MistakeError: the site cannot be part of a name, or the count is out of range.
    """
    check_site(claim.site)
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


def check_site(site: str) -> None:
    """Check that a site's name can be part of its agents' names.

    Raises:
        MistakeError: it cannot.
    """
    if not is_name(site) or len(site) > SITE_CHARS:
        raise MistakeError(
            f"{site!r} cannot name a site",
            where="site",
            mend=f"use up to {SITE_CHARS} lower case letters, digits and hyphens",
        )


def enroll(request: EnrollRequest, *, now_ms: WallMs, address: str = "") -> Tx[Entered]:
    """Return what this key is from now on, has been before, or that it has to wait for a person.

    Possession of the key was proven by the request's signature.

    Args:
        request: what the box asks.
        now_ms: the present.
        address: where it asks from, for the person who decides.

    Raises:
        RefusedError: CLAIM_INVALID, REVOKED, DECOMMISSIONED, KEY_REPLACED, ENROLMENT_REJECTED,
            ENROLMENT_FULL, or BAD_SCHEMA for labels that are none.
    """
    claim = None
    if request.secret:
        claim = yield from fetch_one("claim_by_secret", sha256(request.secret).digest())
        if claim is None:
            raise RefusedError(Reason.CLAIM_INVALID, "nobody made this claim")
    known = yield from fetch_one("key_known", request.public_key)
    if known is not None:
        # The answer was lost, or the box asks again: the same key is the same agent.
        return _known(*known)
    if claim is None:
        return (yield from _by_fingerprint(request, now_ms, address))
    claim_id, site, count, used, expires_ms = claim
    if now_ms >= expires_ms:
        raise RefusedError(Reason.CLAIM_INVALID, "the claim is over")
    if used >= count:
        raise RefusedError(Reason.CLAIM_INVALID, "the claim is used up")
    agent = yield from _free_name(request, site)
    yield from execute("claim_use", claim_id)
    actor = f"claim:{claim_id.hex()}"
    yield from _create(agent, request, site, claim_id=claim_id, actor=actor, now_ms=now_ms)
    return Entered(agent, site)


def _known(
    agent: str, revoked_ms: int | None, left_ms: int | None, site: str, is_current: int
) -> Entered:
    if revoked_ms is not None:
        raise RefusedError(Reason.REVOKED, f"{agent} was revoked")
    if left_ms is not None:
        raise RefusedError(Reason.DECOMMISSIONED, f"{agent} was decommissioned")
    if not is_current:
        raise RefusedError(Reason.KEY_REPLACED, f"{agent} has another key by now")
    return Entered(AgentId(agent), site)


def _by_fingerprint(request: EnrollRequest, now_ms: WallMs, address: str) -> Tx[Entered]:
    digits = parse_fingerprint(fingerprint(request.public_key), where="key")
    row = yield from fetch_one("enrolment_by_fingerprint", digits)
    if row is None:
        return (yield from _ask(request, digits, now_ms, address))
    enrolment_id, _, state, site, name, _, _, first_ms, asked_ms = row
    match state:
        case "REJECTED":
            raise RefusedError(Reason.ENROLMENT_REJECTED, "an admin did not let this key in")
        case "PENDING":
            if now_ms - asked_ms >= _MINUTE_MS:
                yield from execute("enrolment_asked", digits, now_ms)
            return Entered(None, again_s=_again_s(now_ms - first_ms))
    named = msgspec.structs.replace(request, name=name or request.name)
    agent = yield from _free_name(named, site)
    actor = f"enrolment:{enrolment_id}"
    yield from _create(agent, request, site, claim_id=b"", actor=actor, now_ms=now_ms)
    yield from execute("enrolment_delete", enrolment_id)
    return Entered(agent, site)


def _ask(request: EnrollRequest, digits: str, now_ms: WallMs, address: str) -> Tx[Entered]:
    """Note a key that nobody expects, while there is room for strangers."""
    labels = _labels(request, request.labels.get("site", ""))
    kept = (now_ms - _PENDING_KEPT_MS, now_ms - _REJECTED_KEPT_MS)
    yield from execute("enrolment_forget_old", *kept)
    counts = yield from fetch_one("enrolment_counts", address, now_ms - _MINUTE_MS)
    assert counts is not None, "an aggregate always answers"
    every, here, lately, _ = counts
    if every >= limits.ENROLMENTS or here >= limits.ENROLMENTS_PER_ADDRESS:
        raise RefusedError(Reason.ENROLMENT_FULL, "too many gateways wait for a person already")
    if lately >= limits.ENROLMENTS_PER_MINUTE:
        raise RefusedError(Reason.ENROLMENT_FULL, "too many gateways ask at once; wait a minute")
    site = labels["site"] if is_name(labels["site"]) else ""
    name = request.name if is_name(request.name) else ""
    row = (digits[:ID_CHARS], digits, "PENDING", site, name)
    made = yield from fetch_one(
        "enrolment_insert", *row, to_json(labels), address[:64], now_ms, now_ms
    )
    if made is None:
        raise RefusedError(Reason.ENROLMENT_FULL, "another key waits under the same number")
    return Entered(None, again_s=_again_s(0))


def _again_s(waited_ms: int) -> int:
    return min(_AGAIN_MAX_S, max(_AGAIN_MIN_S, waited_ms // 1000 // _AGAIN_PART))


def _create(
    agent: AgentId,
    request: EnrollRequest,
    site: str,
    *,
    claim_id: bytes,
    actor: str,
    now_ms: WallMs,
) -> Tx[None]:
    labels = _labels(request, site)
    yield from execute("agent_insert", agent, request.public_key, site, claim_id, now_ms)
    yield from execute("key_insert", request.public_key, agent, now_ms)
    yield from execute_many("label_insert", ((agent, *label) for label in labels.items()))
    yield from audit(
        now_ms,
        actor=actor,
        action="agent.enroll",
        object_=f"agent:{agent}",
        detail={"site": site, "fingerprint": fingerprint(request.public_key)},
    )
    yield from happened("agent.enrolled", agent, agent=agent, now_ms=now_ms)


def check_labels(labels: Mapping[str, str]) -> None:
    """Check labels that an agent says of itself.

    Raises:
        RefusedError: BAD_SCHEMA with the label at fault.
    """
    if len(labels) > limits.LABELS:
        raise RefusedError(Reason.BAD_SCHEMA, f"more than {limits.LABELS} labels")
    for key, value in labels.items():
        if not is_label(key, value):
            raise RefusedError(Reason.BAD_SCHEMA, f"not a label: {key!r}={value!r}"[:200])


def _labels(request: EnrollRequest, site: str) -> Mapping[str, str]:
    labels = {**request.labels, "site": site}
    check_labels(labels)
    return labels


def _free_name(request: EnrollRequest, site: str) -> Tx[AgentId]:
    codes = [short_code(request.public_key, length) for length in _CODE_CHARS]
    wanted = [request.name] if is_name(request.name) else []
    digits = parse_fingerprint(fingerprint(request.public_key), where="key")
    for name in [*wanted, *(f"{site}-{code}" for code in codes)]:
        taken = yield from fetch_one("agent_exists", name)
        promised = yield from fetch_one("name_expected", name, digits)
        if taken is None and promised is None:
            return AgentId(name)
    raise RefusedError(Reason.CLAIM_INVALID, "no free name; choose one")
