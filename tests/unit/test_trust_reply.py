"""Each check of a reply has an attack that only this check stops; so have proofs of possession."""

import pytest

from shared.errors import Reason, RefusedError
from shared.trust.admission import Held, admit_reply
from shared.trust.documents import document_hash, open_enroll
from shared.trust.envelope import seal
from shared.wire.codec import pack
from shared.wire.messages import EnrollRequest
from tests.unit.test_trust_bundle import sealed
from tests.unit.trust_world import (
    DAY,
    NOW,
    World,
    signer,
)

WORLD = World()


# --- a reply --------------------------------------------------------------------------------------
DIGEST = document_hash(b"report")


def refused_reply(data: bytes, held: Held | None = None) -> Reason:
    with pytest.raises(RefusedError) as caught:
        admit_reply(data, held or WORLD.held(), report_hash=DIGEST)
    return caught.value.reason


def test_a_reply_counts_only_for_the_report_it_names_and_the_agent_it_names() -> None:
    good = admit_reply(WORLD.seal_reply(DIGEST), WORLD.held(), report_hash=DIGEST)
    assert good.now_ms == NOW
    older = WORLD.seal_reply(document_hash(b"older"))
    assert refused_reply(older) is Reason.WRONG_NONCE
    assert refused_reply(WORLD.seal_reply(DIGEST, agent="south-1")) is Reason.WRONG_AUDIENCE


@pytest.mark.parametrize("by", ["mallory", "release", "agent"])
def test_a_reply_that_the_director_did_not_sign_is_refused(by: str) -> None:
    assert refused_reply(WORLD.seal_reply(DIGEST, by)) is Reason.THRESHOLD_NOT_MET


def test_a_bundle_is_no_reply() -> None:
    assert refused_reply(sealed()) is Reason.WRONG_TYPE


def test_the_coordinator_that_a_restored_one_replaced_acknowledges_nothing_any_more() -> None:
    """It runs on somewhere, and what it takes in the restored one never has."""
    held = WORLD.held(counters=WORLD.counters(restore_epoch=2))
    zombie = WORLD.seal_reply(DIGEST, restore_epoch=1)
    assert refused_reply(zombie, held) is Reason.WRONG_RESTORE_EPOCH
    restored = WORLD.seal_reply(DIGEST, restore_epoch=2)
    assert admit_reply(restored, held, report_hash=DIGEST).restore_epoch == 2


def test_a_reply_counts_under_an_expired_root_and_for_an_unattested_agent() -> None:
    """Expiry stops orders, never the data path: readings must not be lost for a late ceremony."""
    data = WORLD.seal_reply(DIGEST)
    late = WORLD.held(floor_ms=WORLD.root.expires_ms + DAY)
    for held in (late, WORLD.held(counters=None)):
        assert admit_reply(data, held, report_hash=DIGEST).now_ms == NOW


def test_an_enrolment_proves_possession_of_the_key_it_names() -> None:
    request = EnrollRequest(secret=bytes(32), public_key=signer("agent").public_key)
    assert open_enroll(seal("enroll/1", pack(request), [signer("agent")])) == request
    with pytest.raises(RefusedError):
        open_enroll(seal("enroll/1", pack(request), [signer("mallory")]))
