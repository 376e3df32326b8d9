"""What an agent trusts: the newest root it was led to, and the catalog and policy it vouches for.

Bytes in; trust advances or the document is refused, and then nothing changed. Envelopes are kept
beside what they say: when the root moves on, what its new keys no longer vouch for falls.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.trust.catalog import Catalog, open_catalog
from shared.trust.counters import Counters
from shared.trust.policy import Policy, open_policy
from shared.trust.root import Root, check_not_over, open_root

D = TypeVar("D", Catalog, Policy)


@dataclass(frozen=True, slots=True)
class Vouched(Generic[D]):
    """A document together with the bytes that were verified."""

    document: D
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """The key set in force, and what may run under it."""

    root: Root
    root_envelope: bytes
    catalog: Vouched[Catalog] | None = None
    policy: Vouched[Policy] | None = None

    @property
    def catalog_version(self) -> int:
        """Return the version of the catalog in force, 0 without one."""
        return 0 if self.catalog is None else self.catalog.document.version

    @property
    def policy_version(self) -> int:
        """Return the version of the policy in force, 0 without one."""
        return 0 if self.policy is None else self.policy.document.version


def load_trust(root: bytes, catalog: bytes | None, policy: bytes | None) -> Trust:
    """Return the trust that was kept on the agent's own disk, verified again.

    A catalog or policy that the root does not vouch for is as good as none.

    Raises:
        RefusedError: the root is not one.
    """
    return _under(open_root(root, trusted=None), root, catalog, policy)


def advance_root(trust: Trust, data: bytes) -> Trust:
    """Return the trust after the next root: exactly one version on, signed by both.

    Roots that have expired meanwhile are steps all the same: only the last one has to be valid,
    when something is admitted under it.

    Raises:
        RefusedError: a check failed.
    """
    root = open_root(data, trusted=trust.root)
    catalog = None if trust.catalog is None else trust.catalog.envelope
    policy = None if trust.policy is None else trust.policy.envelope
    return _under(root, data, catalog, policy)


def accept_catalog(
    trust: Trust, data: bytes, *, counters: Counters | None, earliest_ms: WallMs
) -> Trust:
    """Return the trust with a newer catalog; the one in force, come again, changes nothing.

    Args:
        trust: what is in force.
        data: the envelope.
        counters: how far this agent had come; None when it does not know.
        earliest_ms: no earlier than this is it now.

    Raises:
        RefusedError: a check failed.
    """
    catalog = open_catalog(data, trust.root)
    new = Vouched(catalog, data)
    least = 0 if counters is None else counters.under(trust.root).catalog_version
    if not _advances(new, trust.catalog, trust.root, least=least, earliest_ms=earliest_ms):
        return trust
    return replace(trust, catalog=new)


def accept_policy(
    trust: Trust, data: bytes, *, counters: Counters | None, earliest_ms: WallMs
) -> Trust:
    """Return the trust with a newer policy, as `accept_catalog`.

    Raises:
        RefusedError: a check failed.
    """
    policy = open_policy(data, trust.root)
    new = Vouched(policy, data)
    least = 0 if counters is None else counters.under(trust.root).policy_version
    if not _advances(new, trust.policy, trust.root, least=least, earliest_ms=earliest_ms):
        return trust
    return replace(trust, policy=new)


def counted(trust: Trust, counters: Counters) -> Counters:
    """Return the counters that belong to `trust`: make them durable together with it."""
    base = counters.under(trust.root)
    seen = Counters(
        epoch=base.epoch,
        root_version=trust.root.version,
        catalog_version=trust.catalog_version,
        policy_version=trust.policy_version,
    )
    return base.joined(seen)


def _under(root: Root, envelope: bytes, catalog: bytes | None, policy: bytes | None) -> Trust:
    return Trust(
        root=root,
        root_envelope=envelope,
        catalog=_reopened(catalog, root, open_catalog),
        policy=_reopened(policy, root, open_policy),
    )


def _reopened(
    envelope: bytes | None, root: Root, opened: Callable[[bytes, Root], D]
) -> Vouched[D] | None:
    if envelope is None:
        return None
    try:
        document = opened(envelope, root)
        _belongs(document, root)
    except RefusedError:
        return None
    return Vouched(document, envelope)


def _advances(
    new: Vouched[D], held: Vouched[D] | None, root: Root, *, least: int, earliest_ms: WallMs
) -> bool:
    """Tell whether a document replaces the one held; refuse what must not."""
    document = new.document
    _belongs(document, root)
    if document.version < max(least, held.document.version if held else 0):
        raise RefusedError(Reason.ROLLED_BACK, f"version {document.version}")
    if held is not None and document.version == held.document.version:
        if document != held.document:
            raise RefusedError(Reason.EQUIVOCATED, f"another version {document.version}")
        return False
    moment = max(earliest_ms, document.issued_ms)
    check_not_over(root, moment)
    if moment > document.expires_ms:
        raise RefusedError(Reason.EXPIRED, f"version {document.version}")
    return True


def _belongs(document: Catalog | Policy, root: Root) -> None:
    if document.fleet != root.fleet:
        raise RefusedError(Reason.WRONG_FLEET)
    if document.epoch != root.epoch:
        raise RefusedError(Reason.WRONG_EPOCH, f"{document.epoch}, the root is of {root.epoch}")
