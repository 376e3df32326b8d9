"""What an agent trusts: how root, catalog and policy are replaced, and what falls with them."""

from collections.abc import Callable
from typing import Any

import pytest

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.trust.counters import Counters
from shared.trust.keyset import (
    Trust,
    accept_catalog,
    accept_policy,
    advance_root,
    counted,
    load_trust,
)
from shared.trust.root import Root
from tests.unit.trust_world import (
    DAY,
    NOW,
    make_catalog,
    make_policy,
    make_root,
    make_trust,
    seal_catalog,
    seal_policy,
    seal_root,
)

Accept = Callable[..., Trust]
KINDS: list[tuple[Accept, Callable[..., Any], Callable[..., bytes], str]] = [
    (accept_catalog, make_catalog, seal_catalog, "catalog"),
    (accept_policy, make_policy, seal_policy, "policy"),
]
kinds = pytest.mark.parametrize(
    ("accept", "make", "seal", "name"), KINDS, ids=["catalog", "policy"]
)


def counters(**changes: Any) -> Counters:
    return Counters(**({"epoch": 1, "root_version": 1} | changes))


def attempt(accept: Accept, data: bytes, trust: Trust | None = None, **given: Any) -> Trust:
    known = {"counters": counters(), "earliest_ms": WallMs(NOW)} | given
    return accept(trust or make_trust(), data, **known)


def refused(accept: Accept, data: bytes, trust: Trust | None = None, **given: Any) -> Reason:
    with pytest.raises(RefusedError) as caught:
        attempt(accept, data, trust, **given)
    return caught.value.reason


@kinds
def test_a_newer_document_replaces_the_one_in_force(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str
) -> None:
    newer = make(version=7)
    trust = attempt(accept, seal(newer))
    held = getattr(trust, name)
    assert (held.document, held.envelope) == (newer, seal(newer))
    assert getattr(counted(trust, counters()), f"{name}_version") == 7


@kinds
def test_the_one_in_force_come_again_changes_nothing(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str
) -> None:
    trust = make_trust()
    again = attempt(
        accept, getattr(trust, name).envelope, trust, earliest_ms=WallMs(NOW + 99 * DAY)
    )
    assert again is trust


@kinds
def test_an_older_document_is_refused_also_after_its_successor_was_lost(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str
) -> None:
    newer = attempt(accept, seal(make(version=7)))
    assert refused(accept, seal(make(version=6)), newer) is Reason.ROLLED_BACK
    lost = Trust(newer.root, newer.root_envelope)
    reached = counters(**{f"{name}_version": 7})
    assert refused(accept, seal(make(version=6)), lost, counters=reached) is Reason.ROLLED_BACK
    assert attempt(accept, seal(make(version=7)), lost, counters=reached) != lost


@kinds
def test_two_documents_of_one_version_are_not_both_believed(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str
) -> None:
    assert refused(accept, seal(make(issued_ms=NOW))) is Reason.EQUIVOCATED


@kinds
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
        ({"epoch": 2}, Reason.WRONG_EPOCH),
        ({"expires_ms": NOW - 1}, Reason.EXPIRED),
        ({"issued_ms": NOW + 366 * DAY, "expires_ms": NOW + 400 * DAY}, Reason.ROOT_EXPIRED),
    ],
)
def test_a_document_that_does_not_belong_here_or_now_is_refused(
    accept: Accept,
    make: Callable[..., Any],
    seal: Callable[..., bytes],
    name: str,
    changes: dict[str, Any],
    reason: Reason,
) -> None:
    assert refused(accept, seal(make(version=2, **changes))) is reason


@kinds
def test_nothing_new_is_accepted_under_an_expired_root(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str
) -> None:
    trust = make_trust(make_root(expires_ms=NOW + DAY))
    data = seal(make(version=2))
    assert attempt(accept, data, trust, earliest_ms=WallMs(NOW + DAY)) != trust
    late = refused(accept, data, trust, earliest_ms=WallMs(NOW + DAY + 1))
    assert late is Reason.ROOT_EXPIRED


@kinds
@pytest.mark.parametrize("by", ["mallory", "director", "root-1"])
def test_only_release_replaces_it(
    accept: Accept, make: Callable[..., Any], seal: Callable[..., bytes], name: str, by: str
) -> None:
    assert refused(accept, seal(make(version=2), by)) is Reason.THRESHOLD_NOT_MET


def test_a_catalog_does_not_come_in_as_a_policy() -> None:
    assert refused(accept_policy, seal_catalog(make_catalog(version=2))) is Reason.WRONG_TYPE
    assert refused(accept_catalog, seal_policy(make_policy(version=2))) is Reason.WRONG_TYPE


# --- the root moves on ----------------------------------------------------------------------------
def test_a_new_director_leaves_catalog_and_policy_in_force() -> None:
    trust = make_trust()
    after = advance_root(trust, seal_root(make_root(version=2, director="director-2")))
    assert after.root.version == 2
    assert (after.catalog, after.policy) == (trust.catalog, trust.policy)


def test_what_a_stolen_release_key_signed_falls_with_the_key() -> None:
    stolen = attempt(accept_catalog, seal_catalog(make_catalog(version=9, any_profile=True)))
    after = advance_root(stolen, seal_root(make_root(version=2, release="release-2")))
    assert (after.catalog, after.policy) == (None, None)


def test_a_higher_epoch_voids_catalog_policy_and_every_number_that_a_thief_used_up() -> None:
    spoiled = attempt(accept_catalog, seal_catalog(make_catalog(version=limits.INT_MAX)))
    before = counters(
        catalog_version=limits.INT_MAX,
        policy_version=8,
        bundle_seq=limits.INT_MAX,
        restore_epoch=9,
        counter=77,
        floor_ms=limits.INT_MAX,
    )
    after = advance_root(spoiled, seal_root(make_root(version=2, epoch=2)))
    assert (after.catalog, after.policy) == (None, None)
    fresh = counted(after, before)
    assert fresh == Counters(epoch=2, root_version=2, counter=77, floor_ms=make_root().issued_ms)
    good = seal_catalog(make_catalog(version=1, epoch=2))
    assert attempt(accept_catalog, good, after, counters=before).catalog_version == 1


def test_roots_that_expired_meanwhile_are_steps_all_the_same() -> None:
    """A gateway that was off for two years is led through every root it missed."""
    trust = make_trust()
    for version in (2, 3, 4):
        short = make_root(version=version, expires_ms=NOW - version)
        trust = advance_root(trust, seal_root(short))
    assert advance_root(trust, seal_root(make_root(version=5))).root.version == 5


@pytest.mark.parametrize("version", [1, 3])
def test_a_root_is_neither_skipped_nor_repeated(version: int) -> None:
    trust = make_trust()
    with pytest.raises(RefusedError, match="wrong_root_version"):
        advance_root(trust, seal_root(make_root(version=version)))


# --- from disk ------------------------------------------------------------------------------------
def load(root: Root, catalog: bytes | None, policy: bytes | None) -> Trust:
    return load_trust(seal_root(root), catalog, policy)


def test_trust_is_verified_again_when_it_is_loaded() -> None:
    trust = make_trust()
    assert trust.catalog is not None
    assert trust.policy is not None
    kept = (trust.catalog.envelope, trust.policy.envelope)
    assert load(trust.root, *kept) == trust
    forged = seal_catalog(make_catalog(any_profile=True), "mallory")
    assert load(trust.root, forged, kept[1]).catalog is None
    assert load(trust.root, kept[0], b"rubbish").policy is None
    assert load(make_root(epoch=2), *kept).catalog is None
    assert load(make_root(fleet=bytes(16)), *kept).policy is None
    assert load(trust.root, None, None) == Trust(trust.root, trust.root_envelope)


def test_a_damaged_root_on_disk_is_no_root() -> None:
    with pytest.raises(RefusedError):
        load_trust(seal_root(make_root(), "root-1"), None, None)


def test_an_agent_without_counters_takes_any_catalog_and_is_still_held_to_what_it_is_told() -> None:
    """It admits nothing until it is told a floor, and then only under documents above it."""
    bare = Trust(make_root(), seal_root(make_root()))
    assert attempt(accept_catalog, seal_catalog(make_catalog()), bare, counters=None).catalog
