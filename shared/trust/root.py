"""The key set of a fleet: which keys speak for which role, how many of them it takes, until when.

Each version is signed by the root role of the one before it and by its own, so the chain can
neither be taken over by fewer keys than a threshold nor be led into a set that cannot sign the
next one. Approvers are not here: people come and go, so the release-signed policy names them.

Source: TUF specification 1.0.34, section 5.3.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.trust.envelope import open_envelope, peek_payload
from shared.wire.codec import unpack

ROOT_TYP: Final = "root/1"

ROOT: Final = "root"
RELEASE: Final = "release"
"""Signs what may ever run: catalog and policy."""
DIRECTOR: Final = "director"
"""Signs what runs now: bundles and replies."""
ENROL: Final = "enrol"
"""Signs agents' records."""
OFFLINE: Final = frozenset({ROOT, RELEASE})
ONLINE: Final = frozenset({DIRECTOR, ENROL})

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
FLEET_BYTES: Final = 16
HASH_BYTES: Final = 32


class Role(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How many of which keys speak for a role."""

    threshold: int
    keys: list[bytes]
    """Key ids, all of them listed in the root's `keys`."""


class Root(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The set of keys a fleet trusts, by role; signed by the root role itself."""

    version: int
    fleet: bytes
    epoch: int
    """Everything that counts is counted within an epoch: a higher one makes older numbers void."""
    issued_ms: int
    expires_ms: int
    keys: list[bytes]
    """Ed25519 public keys."""
    roles: dict[str, Role]
    carrier: bytes = b""
    """X25519 public key that sticks for the coordinator are sealed to; empty: it takes none."""

    def keys_of(self, role: str) -> tuple[Mapping[KeyId, bytes], int]:
        """Return the public keys of a role by id, and its threshold.

        Raises:
            RefusedError: the root names no such role.
        """
        entry = self.roles.get(role)
        if entry is None:
            raise RefusedError(Reason.BAD_SCHEMA, f"the root names no role {role!r}")
        known = {key_id(public): public for public in self.keys}
        return {KeyId(k): known[KeyId(k)] for k in entry.keys if k in known}, entry.threshold


def open_root(data: bytes, *, trusted: Root | None) -> Root:
    """Return a root document signed by its own root role and, when given, by `trusted`'s.

    Without `trusted` the document proves nothing but that its makers can sign: it has to come
    from where trust begins, a claim file or the agent's own disk.

    Raises:
        RefusedError: a check failed; the trusted root stays in force.
    """
    if trusted is not None:
        _signed_by(data, trusted)
    payload = peek_payload(data, bound=limits.DOCUMENT_BYTES)
    claimed = unpack(payload, Root, bound=limits.DOCUMENT_BYTES)
    check_root(claimed)
    _signed_by(data, claimed)
    if trusted is not None:
        _follows(claimed, trusted)
    return claimed


def check_root(root: Root) -> None:
    """Check what a root's types leave open.

    Raises:
        RefusedError: BAD_SCHEMA with the member at fault.
    """
    if root.version < 1 or root.epoch < 1 or len(root.fleet) != FLEET_BYTES:
        raise _bad("version, epoch or fleet")
    if not 0 <= root.issued_ms <= root.expires_ms:
        raise _bad("it ends before it begins")
    ids = {key_id(public) for public in root.keys}
    if not len(ids) == len(root.keys) <= limits.KEYS_IN_ROOT:
        raise _bad("a key comes twice, or there are too many")
    if any(len(public) != KEY_BYTES for public in root.keys):
        raise _bad("a key has 32 bytes")
    if len(root.carrier) not in {0, KEY_BYTES}:
        raise _bad("the carrier's key has 32 bytes")
    if root.roles.keys() != OFFLINE | ONLINE:
        raise _bad(f"the roles are {', '.join(sorted(OFFLINE | ONLINE))}")
    for name, role in root.roles.items():
        _check_role(name, role, ids)
    offline, online = (
        {key for name in names for key in root.roles[name].keys} for names in (OFFLINE, ONLINE)
    )
    if offline & online:
        # Whoever steals the coordinator would hold what decides what may ever run.
        raise _bad("a key of an online role also speaks for an offline one")


def check_not_over(root: Root, moment_ms: int) -> None:
    """Check that a root still speaks for its fleet.

    Raises:
        RefusedError: ROOT_EXPIRED.
    """
    if moment_ms > root.expires_ms:
        raise RefusedError(Reason.ROOT_EXPIRED, f"root {root.version}")


def _check_role(name: str, role: Role, ids: set[KeyId]) -> None:
    distinct = set(role.keys)
    if len(distinct) != len(role.keys) or not distinct <= ids:
        raise _bad(f"{name} has an unknown key, or one twice")
    if not 1 <= role.threshold <= len(distinct):
        raise _bad(f"{name} asks for {role.threshold} of {len(distinct)} keys")


def _signed_by(data: bytes, judge: Root) -> None:
    keys, threshold = judge.keys_of(ROOT)
    bound = limits.DOCUMENT_BYTES
    open_envelope(data, typ=ROOT_TYP, keys=keys, threshold=threshold, bound=bound)


def _follows(claimed: Root, trusted: Root) -> None:
    if claimed.fleet != trusted.fleet:
        raise RefusedError(Reason.WRONG_FLEET)
    # One step at a time: a slip of the pen must not use up all the epochs there are.
    if not trusted.epoch <= claimed.epoch <= trusted.epoch + 1:
        raise RefusedError(Reason.WRONG_EPOCH, f"{claimed.epoch} after {trusted.epoch}")
    if claimed.version != trusted.version + 1:
        raise RefusedError(Reason.WRONG_ROOT_VERSION, f"{claimed.version} after {trusted.version}")


def _bad(what: str) -> RefusedError:
    return RefusedError(Reason.BAD_SCHEMA, what)
