"""The chain of key sets: who may change them, one step at a time, and what a set must be."""

from typing import Any

import msgspec
import pytest

from shared.errors import Reason, RefusedError
from shared.trust.documents import ROOT_TYP, Role, Root, open_root
from shared.trust.envelope import seal
from shared.trust.root import check_not_over, check_root
from shared.wire.codec import pack
from tests.unit.trust_world import (
    DAY,
    NOW,
    OFFICERS,
    QUORUM,
    changed,
    kid,
    make_root,
    seal_root,
    signer,
)

TRUSTED = make_root()
NEXT = make_root(version=2)


def refused(data: bytes, trusted: Root | None = TRUSTED) -> Reason:
    with pytest.raises(RefusedError) as caught:
        open_root(data, trusted=trusted)
    return caught.value.reason


def owned_by(*names: str, threshold: int = 2) -> Root:
    """The next root, whose root role belongs to others."""
    keys = [signer(name).public_key for name in names]
    return changed(
        NEXT,
        keys=[*NEXT.keys[3:], *keys],
        roles=NEXT.roles | {"root": Role(threshold, [kid(name) for name in names])},
    )


def test_the_next_root_is_signed_by_a_quorum() -> None:
    assert open_root(seal_root(NEXT), trusted=TRUSTED) == NEXT
    assert open_root(seal_root(NEXT, *OFFICERS), trusted=TRUSTED) == NEXT


@pytest.mark.parametrize("names", [("root-1",), ("mallory", "root-1"), ("release", "director")])
def test_less_than_a_quorum_changes_nothing(names: tuple[str, ...]) -> None:
    assert refused(seal_root(NEXT, *names)) is Reason.THRESHOLD_NOT_MET


def test_one_officer_who_signs_twice_is_no_quorum() -> None:
    assert refused(seal_root(NEXT, "root-1", "root-1")) is Reason.DUPLICATE_KEY_ID


def test_officers_are_replaced_only_with_the_consent_of_both_sets() -> None:
    handed_over = owned_by("new-1", "new-2")
    both = seal_root(handed_over, *QUORUM, "new-1", "new-2")
    assert open_root(both, trusted=TRUSTED) == handed_over
    assert refused(seal_root(handed_over, "new-1", "new-2")) is Reason.THRESHOLD_NOT_MET


def test_a_root_that_cannot_sign_its_successor_is_refused() -> None:
    """A slip of the pen that would leave a fleet without anybody to ever change its keys."""
    assert refused(seal_root(owned_by("new-1", "new-2"))) is Reason.THRESHOLD_NOT_MET
    assert refused(seal_root(owned_by("new-1", "new-2"), *QUORUM, "new-1")) is (
        Reason.THRESHOLD_NOT_MET
    )


def test_a_thief_of_one_root_key_cannot_lower_the_threshold() -> None:
    usurped = changed(
        NEXT, roles=NEXT.roles | {"root": Role(1, [kid("root-1")])}, epoch=TRUSTED.epoch + 1
    )
    assert refused(seal_root(usurped, "root-1")) is Reason.THRESHOLD_NOT_MET
    assert refused(seal_root(usurped, "root-1", "mallory")) is Reason.THRESHOLD_NOT_MET


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 1}, Reason.WRONG_ROOT_VERSION),
        ({"version": 3}, Reason.WRONG_ROOT_VERSION),
        ({"epoch": 3}, Reason.WRONG_EPOCH),
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
    ],
)
def test_a_root_that_does_not_continue_the_trusted_one_is_refused(
    changes: dict[str, Any], reason: Reason
) -> None:
    assert refused(seal_root(changed(NEXT, **changes))) is reason


def test_the_epoch_goes_one_step_up_and_never_back() -> None:
    later = changed(NEXT, epoch=2)
    assert open_root(seal_root(later), trusted=TRUSTED).epoch == 2
    after = changed(later, version=3, epoch=1)
    assert refused(seal_root(after), later) is Reason.WRONG_EPOCH


def test_the_first_root_must_at_least_sign_itself() -> None:
    assert open_root(seal_root(TRUSTED), trusted=None) == TRUSTED
    assert refused(seal_root(TRUSTED, "root-1"), None) is Reason.THRESHOLD_NOT_MET


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"epoch": 0},
        {"fleet": bytes(15)},
        {"expires_ms": NOW - 2 * DAY},
        {"issued_ms": -1},
        {"keys": [*TRUSTED.keys, TRUSTED.keys[0]]},
        {"keys": [*TRUSTED.keys, b"short"]},
        {"keys": [*TRUSTED.keys, *(signer(str(n)).public_key for n in range(59))]},
        {"keys": TRUSTED.keys[1:]},
        {"roles": {name: role for name, role in TRUSTED.roles.items() if name != "enrol"}},
        {"roles": TRUSTED.roles | {"king": Role(1, [kid("enrol")])}},
        {"roles": TRUSTED.roles | {"release": Role(0, [kid("release")])}},
        {"roles": TRUSTED.roles | {"release": Role(2, [kid("release")])}},
        {"roles": TRUSTED.roles | {"root": Role(2, [kid("root-1"), kid("root-1")])}},
        {"roles": TRUSTED.roles | {"director": Role(1, [kid("release")])}},
        {"roles": TRUSTED.roles | {"enrol": Role(1, [kid("root-1")])}},
    ],
)
def test_a_set_of_keys_that_makes_no_sense_is_refused_whoever_signed_it(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(RefusedError) as caught:
        check_root(changed(TRUSTED, **changes))
    assert caught.value.reason is Reason.BAD_SCHEMA


def test_the_check_of_a_set_of_keys_is_part_of_opening_it() -> None:
    shared_key = changed(NEXT, roles=NEXT.roles | {"director": Role(1, [kid("release")])})
    assert refused(seal_root(shared_key)) is Reason.BAD_SCHEMA


def test_an_unknown_field_in_a_root_is_refused() -> None:
    plain = [*msgspec.to_builtins(NEXT, builtin_types=(bytes,)), 1]
    signers = [signer(name) for name in QUORUM]
    assert refused(seal(ROOT_TYP, pack(plain), signers)) is Reason.BAD_SCHEMA


def test_an_unsigned_payload_is_not_looked_at_while_a_root_is_trusted() -> None:
    garbage = seal(ROOT_TYP, b"\xc1", [signer("mallory")])
    assert refused(garbage) is Reason.THRESHOLD_NOT_MET
    assert refused(garbage, None) is Reason.BAD_SHAPE


def test_a_root_is_over_the_moment_after_its_end() -> None:
    check_not_over(TRUSTED, TRUSTED.expires_ms)
    with pytest.raises(RefusedError, match="root_expired"):
        check_not_over(TRUSTED, TRUSTED.expires_ms + 1)
