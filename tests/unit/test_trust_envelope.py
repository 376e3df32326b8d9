"""The envelope and the one canonical form: what is refused before any document is looked at."""

from typing import Any

import pytest

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId
from shared.trust.documents import BUNDLE_TYP, REPLY_TYP
from shared.trust.envelope import (
    add_signature,
    open_envelope,
    open_signed,
    peek_payload,
    pre_authentication_encoding,
    seal,
)
from shared.wire.codec import pack, unpack
from tests.unit.trust_world import kid, signer

A, B = signer("a"), signer("b")
KEYS = {KeyId(kid("a")): A.public_key, KeyId(kid("b")): B.public_key}
BODY = pack({"say": "hello"})


def refused(data: bytes, *, typ: str = BUNDLE_TYP, threshold: int = 1) -> Reason:
    with pytest.raises(RefusedError) as caught:
        open_envelope(data, typ=typ, keys=KEYS, threshold=threshold, bound=4_096)
    return caught.value.reason


def test_pre_authentication_encoding_is_the_example_of_the_dsse_specification() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_document_opens_once_enough_keys_signed_it() -> None:
    data = seal(BUNDLE_TYP, BODY, [A, B])
    assert open_envelope(data, typ=BUNDLE_TYP, keys=KEYS, threshold=2, bound=4_096) == BODY
    assert open_signed(data, typ=BUNDLE_TYP, keys=KEYS, bound=4_096) == (
        BODY,
        frozenset(KEYS),
    )


def test_length_is_judged_before_anything_else() -> None:
    assert refused(b"\xc1" * 5_000) is Reason.TOO_LONG


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        pack([1, BUNDLE_TYP, BODY]),
        pack([2, BUNDLE_TYP, BODY, []]),
        pack([1, BUNDLE_TYP, BODY, [], 0]),
        pack([1, BUNDLE_TYP, {"say": "hello"}, []]),
        pack([1, BUNDLE_TYP, BODY, [[b"k" * 8, b"s" * 64]] * (limits.SIGNATURES + 1)]),
        b"\x94\x01" + pack(BUNDLE_TYP) + b"\xc5\x00\x01a\x90",  # a length in two bytes
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    assert refused(data) is Reason.BAD_SHAPE


def test_a_document_does_not_pass_another_door() -> None:
    assert refused(seal(REPLY_TYP, BODY, [A])) is Reason.WRONG_TYPE


def test_the_type_is_part_of_what_is_signed() -> None:
    signed = unpack(seal(REPLY_TYP, BODY, [A]), list[object], bound=4_096)
    relabelled = pack([signed[0], BUNDLE_TYP, *signed[2:]])
    assert refused(relabelled) is Reason.THRESHOLD_NOT_MET


def test_one_signature_repeated_does_not_meet_a_threshold_of_two() -> None:
    assert refused(seal(BUNDLE_TYP, BODY, [A, A]), threshold=2) is Reason.DUPLICATE_KEY_ID


def test_even_a_repeated_stranger_is_refused() -> None:
    stranger = signer("mallory")
    data = seal(BUNDLE_TYP, BODY, [A, stranger, stranger])
    assert refused(data) is Reason.DUPLICATE_KEY_ID


def test_fewer_keys_than_the_threshold_are_refused() -> None:
    assert refused(seal(BUNDLE_TYP, BODY, [A]), threshold=2) is Reason.THRESHOLD_NOT_MET


def test_a_threshold_of_nobody_still_asks_for_somebody() -> None:
    assert refused(seal(BUNDLE_TYP, BODY, []), threshold=0) is Reason.THRESHOLD_NOT_MET


def test_a_stranger_beside_a_signer_neither_helps_nor_harms() -> None:
    data = seal(BUNDLE_TYP, BODY, [signer("mallory"), A])
    assert open_envelope(data, typ=BUNDLE_TYP, keys=KEYS, threshold=1, bound=4_096) == BODY
    assert refused(data, threshold=2) is Reason.THRESHOLD_NOT_MET


def test_a_signature_under_another_keys_id_does_not_count() -> None:
    envelope: list[Any] = unpack(seal(BUNDLE_TYP, BODY, [signer("mallory")]), list, bound=4_096)
    signature = envelope[3][0][1]
    assert refused(pack([*envelope[:3], [[kid("a"), signature]]])) is Reason.THRESHOLD_NOT_MET


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_does_not_count(size: int) -> None:
    data = pack([1, BUNDLE_TYP, BODY, [[kid("a"), bytes(size)]]])
    assert refused(data) is Reason.THRESHOLD_NOT_MET


def test_keys_in_different_places_sign_in_turn() -> None:
    data = seal(BUNDLE_TYP, BODY, [A])
    both = add_signature(data, B, bound=4_096)
    assert open_envelope(both, typ=BUNDLE_TYP, keys=KEYS, threshold=2, bound=4_096) == BODY
    assert add_signature(both, B, bound=4_096) == both
    assert peek_payload(both, bound=4_096) == BODY


def test_a_full_envelope_takes_no_further_signature() -> None:
    full = seal(BUNDLE_TYP, BODY, [signer(str(n)) for n in range(limits.SIGNATURES)])
    with pytest.raises(RefusedError):
        add_signature(full, A, bound=4_096)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x82\xa1b\x02\xa1a\x01", Reason.NOT_CANONICAL),  # keys out of order
        (b"\x82\xa1a\x01\xa1a\x01", Reason.NOT_CANONICAL),  # one key twice
        (b"\x81\xa1a\xcc\x01", Reason.NOT_CANONICAL),  # an integer longer than it needs
        (b"\x81\xa1a\xd0\x01", Reason.NOT_CANONICAL),  # a positive integer as a signed one
        (b"\x81\xd9\x01a\x01", Reason.NOT_CANONICAL),  # a text longer than it needs
        (b"\x81\xa1a\xca\x3f\x80\x00\x00", Reason.NOT_CANONICAL),  # a float of 32 bits
        (b"\x81\xa1a\xcb\x7f\xf8" + bytes(6), Reason.BAD_SHAPE),  # not a number
        (b"\x81\xa1a\xcb\x7f\xf0" + bytes(6), Reason.BAD_SHAPE),  # infinite
        (b"\x81\xa1a\xcb\x80" + bytes(7), Reason.BAD_SHAPE),  # -0.0
        (b"\x81\xa1a\xcf\x00\x20" + bytes(6), Reason.BAD_SHAPE),  # 2^53
        (b"\x81\xc4\x01a\x01", Reason.BAD_SHAPE),  # a key of bytes
        (b"\x81\x01\x01", Reason.BAD_SHAPE),  # a key that is a number
        (b"\xc7\x01\x05x", Reason.BAD_SHAPE),  # an extension
        (b"\xd6\xff\x00\x00\x00\x00", Reason.BAD_SHAPE),  # a time stamp
        (b"\x81\xa1\xff\x01", Reason.BAD_SHAPE),  # not UTF-8
        (b"\x81\xa1a\x01\x01", Reason.BAD_SHAPE),  # more after the end
        (b"\x81\xa1a", Reason.BAD_SHAPE),  # less
        (b"\x91" * 17 + b"\x01", Reason.BAD_SHAPE),  # nested too deeply
        (b"\x81\xa1a\xa1b", Reason.BAD_SCHEMA),  # a text where a number belongs
    ],
)
def test_a_control_document_has_one_form(data: bytes, reason: Reason) -> None:
    assert unpack(b"\x81\xa1a\x01", dict[str, int | float], bound=100) == {"a": 1}
    with pytest.raises(RefusedError) as caught:
        unpack(data, dict[str, int | float], bound=100)
    assert caught.value.reason is reason


def test_a_number_is_neither_a_flag_nor_a_fraction() -> None:
    for value in (True, 1.0, "1", None, [1]):
        with pytest.raises(RefusedError):
            unpack(pack([value]), list[int], bound=100)
