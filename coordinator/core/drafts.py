"""The next root, catalog and policy, as drafts: what rotating, revoking and publishing change.

Pure: what is in force and what somebody wants in, drafts that nobody has signed out. A new root
renews the end of the key set. Where it would leave the catalog or the policy without anybody who
vouches for them, both come along, to be signed anew. Leaves out signatures.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from msgspec.structs import replace

from coordinator.core.papers import TYPS, Document, Kind, Paper, Trusted
from shared.clock import WallMs
from shared.errors import MistakeError, RefusedError
from shared.ids import FleetId, KeyId, key_id
from shared.trust.catalog import Catalog, open_catalog
from shared.trust.envelope import seal
from shared.trust.policy import Policy, open_policy
from shared.trust.root import DIRECTOR, ENROL, RELEASE, ROOT, Role, Root, check_root
from shared.trust.starter import first_catalog, first_policy
from shared.wire.codec import pack
from shared.words import some

ROOT_DAYS: Final = 3_653
"""Ten years: a gateway may be switched off for long; people forget dates sooner."""
DAY_MS: Final = 86_400_000

D = TypeVar("D", Catalog, Policy)


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """Public keys that speak for a role, and how many of them it takes."""

    keys: Sequence[bytes]
    threshold: int


@dataclass(frozen=True, slots=True)
class Online:
    """Public keys that stay with the coordinator."""

    director: bytes
    carrier: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What becomes of the keys of one role."""

    role: str
    new: Sequence[bytes]
    drop: Collection[KeyId]
    threshold: int | None = None
    """None: as it was."""
    new_epoch: bool = False


def draft(kind: Kind, document: Document) -> Paper:
    """Return a document that nobody has signed."""
    return Paper(kind, seal(TYPS[kind], pack(document), []))


def first_root(
    fleet: FleetId, *, root: RoleKeys, release: RoleKeys, online: Online, now_ms: WallMs
) -> Root:
    """Return the root that a fleet begins with.

    Raises:
        MistakeError: a key comes twice, or a threshold cannot be reached.
    """
    director = Role(1, [key_id(online.director)])
    return _checked(
        Root(
            version=1,
            fleet=fleet,
            epoch=1,
            issued_ms=now_ms,
            expires_ms=now_ms + ROOT_DAYS * DAY_MS,
            keys=[*root.keys, *release.keys, online.director],
            roles={
                ROOT: Role(root.threshold, [key_id(key) for key in root.keys]),
                RELEASE: Role(release.threshold, [key_id(key) for key in release.keys]),
                DIRECTOR: director,
                # Both are on one machine; a key of its own would be stolen together with it.
                ENROL: director,
            },
            carrier=online.carrier,
        )
    )


def loud_catalog(root: Root) -> Catalog:
    """Return the catalog of a fleet on one machine: any action, on any device."""
    return first_catalog(fleet=root.fleet, issued_ms=root.issued_ms, expires_ms=root.expires_ms)


def careful_catalog(root: Root) -> Catalog:
    """Return the catalog of a fleet that wrote none: reading only, until profiles are listed."""
    return replace(loud_catalog(root), any_profile=False)


def plain_policy(root: Root) -> Policy:
    """Return the policy of a fleet that wrote none: nobody's approval is asked."""
    return first_policy(fleet=root.fleet, issued_ms=root.issued_ms, expires_ms=root.expires_ms)


def exchange(held: Trusted, wish: Exchange, *, now_ms: WallMs) -> list[Paper]:
    """Return the drafts that exchange keys.

    Raises:
        MistakeError: the key set that would come out could not work.
    """
    before = held.root
    publics = {key_id(key): key for key in before.keys}
    publics |= {key_id(key): key for key in wish.new}
    roles = _roles(before, wish)
    used = {key for role in roles.values() for key in role.keys}
    after = _checked(
        replace(
            before,
            version=before.version + 1,
            epoch=before.epoch + wish.new_epoch,
            issued_ms=max(now_ms, before.issued_ms),
            expires_ms=max(now_ms, before.issued_ms) + ROOT_DAYS * DAY_MS,
            keys=[public for key, public in publics.items() if key in used],
            roles=roles,
        )
    )
    drafts = [draft("root", after)]
    _, catalog, policy = held.papers
    if not (_counts(catalog, after) and _counts(policy, after)):
        drafts.append(draft("catalog", _again(held.catalog, after)))
        drafts.append(draft("policy", _again(held.policy, after)))
    return drafts


def revocation(held: Trusted, key: KeyId, *, new: Sequence[bytes]) -> Exchange:
    """Return what ends a stolen key.

    A new epoch begins where its thief could sign by himself: then his numbers, his catalogs and
    his orders are void. A thief below the threshold has signed nothing that anybody accepted.

    Raises:
        MistakeError: the root document names no such key.
    """
    roles = [name for name, role in held.root.roles.items() if key in role.keys]
    if not roles:
        people = {key_id(person.key): person.name for person in held.policy.approvers}
        if key in people:
            raise MistakeError(
                f"{key.hex()} is {people[key]}'s key, who approves",
                mend="publish a policy without it",
            )
        known = ", ".join(one.hex() for role in held.root.roles.values() for one in role.keys)
        raise MistakeError(f"no role has the key {key.hex()}", mend=f"the keys are {known}")
    return Exchange(
        role=roles[0],
        new=new,
        drop={key},
        new_epoch=any(held.root.roles[name].threshold == 1 for name in roles),
    )


def next_catalog(
    held: Trusted, content: Catalog, *, now_ms: WallMs, expires_ms: int | None
) -> Paper:
    """Return the draft of a catalog that says what `content` says.

    Raises:
        MistakeError: it would be over before it begins.
    """
    version = held.catalog.version + 1
    made = fitted(content, held.root, version=version, now_ms=now_ms, expires_ms=expires_ms)
    return draft("catalog", made)


def next_policy(held: Trusted, content: Policy, *, now_ms: WallMs, expires_ms: int | None) -> Paper:
    """Return the draft of a policy that says what `content` says; see `next_catalog`."""
    version = held.policy.version + 1
    made = fitted(content, held.root, version=version, now_ms=now_ms, expires_ms=expires_ms)
    return draft("policy", made)


def fitted(content: D, root: Root, *, version: int, now_ms: WallMs, expires_ms: int | None) -> D:
    """Return a document under `root` that says what `content` says.

    Raises:
        MistakeError: it would be over before it begins.
    """
    until = root.expires_ms if expires_ms is None else expires_ms
    if until <= now_ms:
        raise MistakeError("it would be over already", mend="write a later date into expires")
    return replace(
        content,
        version=version,
        fleet=root.fleet,
        epoch=root.epoch,
        issued_ms=now_ms,
        expires_ms=until,
    )


def _again(document: D, root: Root) -> D:
    """Return the same content, to be signed under another root."""
    same = document.epoch == root.epoch
    over = document.expires_ms <= root.issued_ms
    return replace(
        document,
        version=document.version + 1 if same else 1,
        epoch=root.epoch,
        issued_ms=root.issued_ms,
        expires_ms=root.expires_ms if over else document.expires_ms,
    )


def _counts(paper: Paper, root: Root) -> bool:
    opened = open_catalog if paper.kind == "catalog" else open_policy
    try:
        document: Catalog | Policy = opened(paper.envelope, root)
    except RefusedError:
        return False
    return document.epoch == root.epoch


def _roles(before: Root, wish: Exchange) -> Mapping[str, Role]:
    added = [key_id(key) for key in wish.new]
    roles = {}
    for name, role in before.roles.items():
        if name != wish.role and not set(role.keys) & set(wish.drop):
            roles[name] = role
            continue
        keys = [key for key in role.keys if key not in wish.drop]
        keys += [key for key in added if key not in keys]
        threshold = role.threshold
        if name == wish.role and wish.threshold is not None:
            threshold = wish.threshold
        if not 1 <= threshold <= len(keys):
            raise MistakeError(
                f"the {name} role would ask for {threshold} of {some(len(keys), 'key')}",
                mend="name another key with --new, or another --threshold",
            )
        roles[name] = Role(threshold, keys)
    return roles


def _checked(root: Root) -> Root:
    try:
        check_root(root)
    except RefusedError as error:
        raise MistakeError(f"such a root document cannot be: {error.detail}") from None
    return root
