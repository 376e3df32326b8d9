"""Each check of the trust documents has an attack that only this check stops."""

import msgspec
import pytest

from shared.errors import Reason, RefusedError
from shared.ids import key_id
from shared.model.job import JobSpec, Step
from shared.trust.admission import admit_bundle, admit_reply
from shared.trust.documents import (
    BUNDLE_TYP,
    REPLY_TYP,
    Reply,
    Role,
    document_hash,
    open_enroll,
    open_root,
)
from shared.trust.envelope import open_envelope, pre_authentication_encoding, seal
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollRequest, Grant
from tests.unit.trust_world import DAY, NOW, World, make_root, seal_root, signer

WORLD = World()
SPEC = JobSpec(name="raise", steps=[Step("apply", "device.write", {"setpoint": 4200})])
GRANT = Grant(bytes(16), pack(SPEC), NOW + DAY)


def refused(data: bytes, **held: int) -> Reason:
    with pytest.raises(RefusedError) as caught:
        admit_bundle(data, WORLD.held(**held))
    return caught.value.reason


def test_pre_authentication_encoding_is_the_example_of_the_dsse_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_good_bundle_is_admitted_with_its_jobs() -> None:
    admitted = admit_bundle(WORLD.seal_bundle(WORLD.bundle(GRANT)), WORLD.held())
    assert admitted.seq == 1
    assert [job.spec for job in admitted.jobs] == [SPEC]
    assert admitted.refused == ()


def test_a_bundle_signed_by_a_stranger_is_refused() -> None:
    data = WORLD.seal_bundle(WORLD.bundle(GRANT), by="mallory")
    assert refused(data) is Reason.THRESHOLD_NOT_MET


def test_a_root_key_cannot_sign_bundles() -> None:
    data = WORLD.seal_bundle(WORLD.bundle(GRANT), by="root")
    assert refused(data) is Reason.THRESHOLD_NOT_MET


def test_every_altered_byte_of_a_bundle_is_refused() -> None:
    good = WORLD.seal_bundle(WORLD.bundle(GRANT))
    for index in range(len(good)):
        altered = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        with pytest.raises(RefusedError):
            admit_bundle(altered, WORLD.held())


def test_every_truncated_bundle_is_refused() -> None:
    good = WORLD.seal_bundle(WORLD.bundle(GRANT))
    for size in range(len(good)):
        with pytest.raises(RefusedError):
            admit_bundle(good[:size], WORLD.held())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
        ({"agent": "south-1"}, Reason.WRONG_AUDIENCE),
        ({"agent_key": bytes(8)}, Reason.WRONG_AUDIENCE),
        ({"epoch": 2}, Reason.WRONG_EPOCH),
        ({"epoch": 0}, Reason.WRONG_EPOCH),
        ({"root_version": 2}, Reason.WRONG_ROOT_VERSION),
        ({"issued_ms": NOW - 9, "not_before_ms": NOW - 9, "expires_ms": NOW - 1}, Reason.EXPIRED),
        ({"expires_ms": NOW - 1}, Reason.BAD_SCHEMA),
    ],
)
def test_a_bundle_with_one_wrong_field_is_refused(
    change: dict[str, object], reason: Reason
) -> None:
    assert refused(WORLD.seal_bundle(WORLD.bundle(GRANT, **change))) is reason


def test_a_replayed_bundle_is_refused() -> None:
    assert refused(WORLD.seal_bundle(WORLD.bundle(GRANT)), bundle_seq=1) is Reason.REPLAYED


def test_a_bundle_is_refused_before_its_time_once_the_time_is_known() -> None:
    data = WORLD.seal_bundle(WORLD.bundle(GRANT, not_before_ms=NOW + 5))
    held = WORLD.held()
    assert admit_bundle(data, held).seq == 1
    known = type(held)(**{name: getattr(held, name) for name in held.__slots__} | {"now_ms": NOW})
    with pytest.raises(RefusedError, match="not_yet_valid"):
        admit_bundle(data, known)


def test_a_document_does_not_pass_another_door() -> None:
    data = seal(REPLY_TYP, pack(WORLD.bundle(GRANT)), [signer("director")])
    assert refused(data) is Reason.WRONG_TYPE


def test_one_signature_repeated_does_not_meet_a_threshold_of_two() -> None:
    key = signer("director")
    twice = seal(BUNDLE_TYP, b"\x90", [key, key])
    with pytest.raises(RefusedError) as caught:
        open_envelope(
            twice,
            typ=BUNDLE_TYP,
            keys={key_id(key.public_key): key.public_key},
            threshold=2,
            bound=10_000,
        )
    assert caught.value.reason is Reason.DUPLICATE_KEY_ID


def test_an_unknown_field_in_a_bundle_is_refused() -> None:
    plain = [*msgspec.to_builtins(WORLD.bundle(GRANT), builtin_types=(bytes,)), 1]
    assert refused(seal(BUNDLE_TYP, pack(plain), [signer("director")])) is Reason.BAD_SCHEMA


def test_one_bad_job_is_refused_and_the_others_stand() -> None:
    unknown = JobSpec(name="odd", steps=[Step("x", "device.explode")])
    bundle = WORLD.bundle(
        GRANT,
        Grant(b"u" * 16, pack(unknown), NOW + DAY),
        Grant(b"g" * 16, b"\xc1garbage", NOW + DAY),
    )
    admitted = admit_bundle(WORLD.seal_bundle(bundle), WORLD.held())
    assert [job.execution for job in admitted.jobs] == [GRANT.execution]
    assert [(job.execution, job.reason) for job in admitted.refused] == [
        (b"u" * 16, Reason.BAD_PARAMETERS),
        (b"g" * 16, Reason.BAD_SPEC),
    ]


def test_a_reply_counts_only_for_the_report_it_names_and_the_agent_it_names() -> None:
    digest = document_hash(b"report")

    def sealed(agent: str, report: bytes, by: str = "director") -> bytes:
        return seal(REPLY_TYP, pack(Reply(agent, report, NOW, 0)), [signer(by)])

    good = admit_reply(sealed("north-1", digest), WORLD.held(), report_hash=digest)
    assert good.now_ms == NOW
    for data, reason in (
        (sealed("north-1", document_hash(b"older")), Reason.WRONG_NONCE),
        (sealed("south-1", digest), Reason.WRONG_AUDIENCE),
        (sealed("north-1", digest, by="mallory"), Reason.THRESHOLD_NOT_MET),
    ):
        with pytest.raises(RefusedError) as caught:
            admit_reply(data, WORLD.held(), report_hash=digest)
        assert caught.value.reason is reason


def test_a_root_must_be_signed_by_the_root_before_it_and_by_itself() -> None:
    trusted = make_root()
    assert open_root(seal_root(make_root(version=2)), trusted=trusted).version == 2
    new_owner = signer("new-root")
    usurped = msgspec.structs.replace(
        make_root(version=2),
        keys=[new_owner.public_key, signer("director").public_key],
        roles=make_root().roles | {"root": Role(1, [key_id(new_owner.public_key)])},
    )
    both = open_root(seal_root(usurped, "root", "new-root"), trusted=trusted)
    assert both.version == 2
    for names in (("root",), ("new-root",), ("mallory",)):
        with pytest.raises(RefusedError):
            open_root(seal_root(usurped, *names), trusted=trusted)


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        (make_root(version=1), Reason.WRONG_ROOT_VERSION),
        (make_root(version=3), Reason.WRONG_ROOT_VERSION),
        (make_root(version=2, epoch=0), Reason.WRONG_EPOCH),
        (msgspec.structs.replace(make_root(version=2), fleet=bytes(16)), Reason.WRONG_FLEET),
    ],
)
def test_a_root_that_does_not_continue_the_trusted_one_is_refused(
    root: object, reason: Reason
) -> None:
    assert isinstance(root, type(WORLD.root))
    with pytest.raises(RefusedError) as caught:
        open_root(seal_root(root), trusted=make_root())
    assert caught.value.reason is reason


def test_an_enrolment_proves_possession_of_the_key_it_names() -> None:
    request = EnrollRequest(secret=bytes(32), public_key=signer("agent").public_key)
    assert open_enroll(seal("enroll/1", pack(request), [signer("agent")])) == request
    with pytest.raises(RefusedError):
        open_enroll(seal("enroll/1", pack(request), [signer("mallory")]))


def test_control_documents_are_canonical() -> None:
    packed = pack({"a": 1, "b": 2})
    assert unpack(packed, dict[str, int], bound=100) == {"a": 1, "b": 2}
    swapped = b"\x82\xa1b\x02\xa1a\x01"
    doubled = b"\x82\xa1a\x01\xa1a\x01"
    overlong = b"\x81\xa1a\xcc\x01"
    for data in (swapped, doubled, overlong, b"\x81\xa1a\xcb\x7f\xf8" + bytes(6), b"\xc7\x01\x05x"):
        with pytest.raises(RefusedError):
            unpack(data, dict[str, int], bound=100)
