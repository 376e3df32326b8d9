"""What a stick brings back is judged like an answer, and asks for no more than it may."""

from typing import Any, cast

import pytest

from agent.core.carrier import freed_by_return
from shared.errors import Reason, RefusedError
from shared.sync.incoming import is_gap_unexplained
from shared.sync.ranges import Ranges
from shared.trust.carried import (
    CARRIED_TYP,
    RETURN_TYP,
    Carried,
    Return,
    admit_return,
    open_carried,
)
from shared.trust.counters import Counters
from shared.trust.documents import REPLY_TYP, REPORT_TYP
from shared.trust.envelope import seal
from shared.wire.codec import pack
from shared.wire.messages import Tally
from tests.fuzz.sticks import make_return
from tests.unit.trust_world import World, make_report, signer

WORLD = World()
RESTORED = Counters(epoch=1, root_version=1, catalog_version=1, policy_version=1, restore_epoch=7)


def admit(by: str = "director", typ: str = RETURN_TYP, **changes: Any) -> Return:
    sealed = seal(typ, pack(make_return(**changes)), [signer(by)])
    return admit_return(sealed, WORLD.held(counters=RESTORED))


def test_a_return_is_for_one_agent_with_one_key_after_the_last_restore():
    assert admit(restore_epoch=7).restore_epoch == 7
    assert admit(restore_epoch=8).restore_epoch == 8
    for reason, changes in (
        (Reason.WRONG_AUDIENCE, {"agent": "south-1"}),
        (Reason.WRONG_AUDIENCE, {"agent_key": b"k" * 8}),
        (Reason.WRONG_RESTORE_EPOCH, {"restore_epoch": 6}),
        (Reason.THRESHOLD_NOT_MET, {"by": "agent"}),
        (Reason.WRONG_TYPE, {"typ": REPLY_TYP}),
    ):
        with pytest.raises(RefusedError) as refused:
            admit(**cast("dict[str, Any]", {"restore_epoch": 7, **changes}))
        assert refused.value.reason is reason


def test_a_report_of_the_chain_is_no_carried_one_and_the_other_way_round():
    payload = pack(Carried(1, make_report()))
    key = signer("agent").public_key
    assert open_carried(seal(CARRIED_TYP, payload, [signer("agent")]), key).number == 1
    for typ, by in ((REPORT_TYP, "agent"), (CARRIED_TYP, "director")):
        with pytest.raises(RefusedError):
            open_carried(seal(typ, payload, [signer(by)]), key)


def freed(answer: Return, *, telemetry: bytes = b"T" * 16, jobs: bytes = b"J" * 16) -> Any:
    return freed_by_return(
        answer, telemetry_epoch=telemetry, jobs_epoch=jobs, sealed=9, rows=6, told=3
    )


def test_a_return_frees_only_what_the_store_in_use_numbered():
    answer = make_return(
        acked=[(1, 4), (8, 99)], nacked=[(2, 200), (5, 200), (10, 200)], receipts_to=3, ledger_to=2
    )
    mine = freed(answer)
    assert mine.blocks == Ranges(((1, 4), (8, 9))), "nothing that was not made yet"
    assert mine.rejected == ((5, Reason.BLOCK_MALFORMED),), "what is acknowledged is not refused"
    assert (mine.receipts_to, mine.ledger_to) == (3, 2)
    other = freed(answer, telemetry=b"U" * 16, jobs=b"K" * 16)
    assert (other.blocks, other.rejected) == (Ranges(), ())
    assert (other.receipts_to, other.ledger_to, other.safe_to) == (0, 0, None)


def test_a_return_frees_no_row_of_the_ledger_that_its_report_did_not_know():
    assert freed(make_return(ledger_to=7)).ledger_to == 6


def test_a_return_that_speaks_of_receipts_never_written_frees_none():
    later = make_return(acked=[(1, 4)], receipts_to=4)
    assert freed(later).receipts_to == 0, "an older card is in the box: its numbers are others"


def account(*, delivered: int, stored: int) -> Tally:
    return Tally(delivered + stored, 0, delivered, stored, 0)


def test_only_a_gap_that_does_not_explain_itself_is_asked_for():
    backlog = account(delivered=500, stored=90_000)
    assert not is_gap_unexplained(backlog, readings=500, arrived=40), "the rest is on its way"
    assert is_gap_unexplained(backlog, readings=499, arrived=40), "it takes more for delivered"
    assert is_gap_unexplained(account(delivered=500, stored=40), readings=540, arrived=40)
