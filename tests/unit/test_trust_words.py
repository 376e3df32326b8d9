"""What an agent says of itself: who must have signed it, and what answers it."""

from typing import Any

import pytest

from shared.errors import Reason, RefusedError
from shared.trust.documents import REPORT_TYP
from shared.trust.envelope import document_hash, seal
from shared.trust.words import (
    HEARD_TYP,
    LABELS_TYP,
    LEAVE_TYP,
    REKEY_TYP,
    Heard,
    Labels,
    Leave,
    Rekey,
    claimed_speaker,
    open_heard,
    open_word,
)
from shared.wire.codec import pack
from tests.unit.trust_world import FLEET, NAME, make_root, signer

OLD, NEW, THIEF = signer("agent"), signer("agent-next"), signer("thief")
REKEY = Rekey(FLEET, NAME, NEW.public_key)
ROOT = make_root()


def refused(call: Any, *arguments: Any, **named: Any) -> Reason:
    with pytest.raises(RefusedError) as caught:
        call(*arguments, **named)
    return caught.value.reason


def test_another_key_is_vouched_for_by_the_key_in_use_and_by_itself():
    word = seal(REKEY_TYP, pack(REKEY), [OLD, NEW])
    assert claimed_speaker(word) == NAME
    assert open_word(word, OLD.public_key) == REKEY


@pytest.mark.parametrize("signers", [[OLD], [NEW], [THIEF, NEW], [OLD, THIEF], []])
def test_a_key_that_only_one_of_the_two_vouches_for_is_refused(signers):
    word = seal(REKEY_TYP, pack(REKEY), signers)
    assert refused(open_word, word, OLD.public_key) is Reason.THRESHOLD_NOT_MET


def test_a_key_does_not_replace_itself():
    word = seal(REKEY_TYP, pack(Rekey(FLEET, NAME, OLD.public_key)), [OLD])
    assert refused(open_word, word, OLD.public_key) is Reason.THRESHOLD_NOT_MET


@pytest.mark.parametrize(
    ("typ", "word"),
    [
        (LABELS_TYP, Labels(FLEET, NAME, 1, {"role": "pump"})),
        (LEAVE_TYP, Leave(FLEET, NAME, bytes(32))),
    ],
)
def test_other_words_need_the_agents_key_and_nothing_else_will_do(typ, word):
    assert open_word(seal(typ, pack(word), [OLD]), OLD.public_key) == word
    forged = seal(typ, pack(word), [THIEF])
    assert refused(open_word, forged, OLD.public_key) is Reason.THRESHOLD_NOT_MET


def test_a_word_of_another_kind_does_not_come_in_by_this_door():
    for typ in (REPORT_TYP, HEARD_TYP, "rekey/2"):
        assert refused(claimed_speaker, seal(typ, pack(REKEY), [OLD, NEW])) is Reason.WRONG_TYPE


def test_a_word_signed_as_one_kind_cannot_be_read_as_another():
    leave = seal(LEAVE_TYP, pack(Leave(FLEET, NAME, bytes(32))), [OLD])
    relabelled = leave.replace(LEAVE_TYP.encode(), b"rekey/1")
    assert refused(open_word, relabelled, OLD.public_key) is Reason.THRESHOLD_NOT_MET


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_length_is_none(key):
    word = seal(REKEY_TYP, pack(Rekey(FLEET, NAME, key)), [OLD])
    assert refused(open_word, word, OLD.public_key) is Reason.BAD_SCHEMA


def test_an_unknown_field_in_a_word_is_refused():
    word = seal(REKEY_TYP, pack([FLEET, NAME, NEW.public_key, True]), [OLD, NEW])
    assert refused(open_word, word, OLD.public_key) is Reason.BAD_SCHEMA


def test_the_answer_is_the_directors_and_to_exactly_this_word():
    word = seal(LEAVE_TYP, pack(Leave(FLEET, NAME, bytes(32))), [OLD])
    heard = Heard(NAME, document_hash(word))
    good = seal(HEARD_TYP, pack(heard), [signer("director")])
    assert open_heard(good, ROOT, word=word, agent=NAME) == heard
    assert refused(open_heard, good, ROOT, word=word + b"x", agent=NAME) is Reason.WRONG_NONCE
    assert refused(open_heard, good, ROOT, word=word, agent="other") is Reason.WRONG_AUDIENCE
    forged = seal(HEARD_TYP, pack(heard), [OLD])
    assert refused(open_heard, forged, ROOT, word=word, agent=NAME) is Reason.THRESHOLD_NOT_MET
